"""`shoal bench kafka` on a small scale: that everything is measured and nothing is left, not how fast anything is."""

import asyncio
import json
import secrets
from typing import Any

import pytest
from rich.console import Console

from tests.kafka.commands import Deployment
from tests.support.kafka.broker import Broker
from worker.bench import kafka
from worker.bench.kafka_saturation import Point, figures
from worker.kafka import clients

Data = dict[str, Any]
EVENTS, USERS = 2_000, 500


@pytest.fixture(scope="module")
def deployment(broker: Broker) -> Deployment:
    """Where it is measured: a broker, and a prefix that nobody else has."""
    return Deployment.on(broker, f"t{secrets.token_hex(3)}.")


@pytest.fixture(scope="module")
def result(deployment: Deployment) -> Data:
    """What it says."""
    told = deployment.shoal("bench", "kafka", "--quick", "--events", str(EVENTS), "--users", str(USERS), "--json")
    assert told.stdout.count("\n") == 1
    parsed: Data = json.loads(told.stdout)
    return parsed


def test_saturation_is_measured_for_both_definitions_with_one_worker_and_two(result: Data) -> None:
    """Each with its CPU, the broker's beside it, and how many events that is of."""
    rows = result["saturation"]
    assert [(row["definitions"], row["workers"]) for row in rows] == [
        ("equivalent", 1), ("equivalent", 2), ("demo", 1), ("demo", 2),
    ]  # fmt: skip
    for row in rows:
        assert 0 < row["events"] <= EVENTS
        assert row["events_per_second"] > 0
        assert row["users"] == USERS
        both = row["cpu_us_per_event"] + row["broker_us_per_event"]
        assert row["with_broker_us_per_event"] == pytest.approx(both, abs=0.02)
    assert result["brokers"] == {"seen": True}


def test_every_event_and_every_timer_of_the_latency_run_is_accounted_for(result: Data) -> None:
    """All events were sent, some brought transitions about, time brought others, and delays are in their order."""
    latency = result["latency"]
    assert latency["events"] == 50_000
    for delays in (latency["transitions"], latency["timers"]):
        assert delays["count"] > 0
        assert 0 <= delays["p50_ms"] <= delays["p99_ms"] <= delays["max_ms"]


def test_everybody_was_restored(result: Data) -> None:
    """So many users as were asked for, with their rows; a process takes longer to be ready than to restore."""
    restore = result["restore"]
    assert restore["users"] == USERS
    assert restore["state_bytes"] > 0
    assert 0 < restore["seconds"] < restore["ready_seconds"]


def test_a_killed_worker_is_replaced(result: Data) -> None:
    """Its partitions were taken over, and not before a dead worker can be told from a slow one."""
    takeover = result["takeover"]
    assert takeover["partitions"] > 0
    assert takeover["session_timeout_seconds"] == 6


def test_an_idle_worker_commits_nothing(result: Data) -> None:
    """It has users and the wall clock, and writes nothing."""
    assert result["idle"]["users"] == USERS
    assert result["idle"]["commits"] == 0


def test_nothing_is_left_on_the_broker(result: Data, deployment: Deployment) -> None:
    """All topics that were made for it are gone."""
    prefix = deployment.settings.topic_prefix

    async def all_gone() -> bool:
        async with asyncio.timeout(60), clients.admin(deployment.settings) as client:
            while any(topic.startswith(prefix) for topic in await client.list_topics()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return True

    assert result["machine"]
    assert asyncio.run(all_gone())


def test_the_table_tells_the_same_figures_uncut_on_80_columns(result: Data) -> None:
    """A person sees what was wanted, the grid and how it was measured; without a broker in sight a dash."""
    unseen = [{**row, "broker_us_per_event": None, "with_broker_us_per_event": None} for row in result["saturation"]]
    console = Console(width=80, file=None)
    with console.capture() as capture:
        console.print(kafka.as_table({**result, "saturation": unseen}))
    shown = capture.get()
    for expected in ("wanted, at most", "equivalent", f"restore of {USERS:,} users", "session timeout 6 s", " - "):
        assert expected in shown
    assert "…" not in shown


def test_figures_are_of_the_middle() -> None:
    """Neither the start nor the end counts where enough was seen between; brokers that weren't seen aren't told of."""
    points = [
        Point(0.0, 0, 0, 5.0, None), Point(1.0, 100, 1, 6.0, None), Point(2.0, 500, 3, 6.5, None),
        Point(3.0, 900, 5, 7.0, None), Point(9.0, 1_000, 6, 9.0, None),
    ]  # fmt: skip
    told = figures(points, 1_000)
    assert (told["events"], told["cpu_us_per_event"], told["events_per_second"]) == (800, 1_250.0, 400)
    assert told["events_per_commit"] == 200
    assert told["broker_us_per_event"] is told["with_broker_us_per_event"] is None


def test_few_events_are_told_of_whole() -> None:
    """Where nothing was seen to move in the middle, everything is told of, with the brokers' share."""
    halfway = [Point(0.5, 50, 1, 1.1, 2.0), Point(0.6, 50, 1, 1.1, 2.0)]
    told = figures([Point(0.0, 0, 0, 1.0, 2.0), *halfway, Point(2.0, 100, 2, 1.5, 2.1)], 100)
    assert (told["events"], told["cpu_us_per_event"], told["events_per_second"]) == (100, 5_000.0, 50)
    assert (told["broker_us_per_event"], told["with_broker_us_per_event"]) == (1_000.0, 6_000.0)
