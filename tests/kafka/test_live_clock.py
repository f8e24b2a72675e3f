"""The live clock: time follows the wall, but never past an event that lies unread.

The rule: what a reminder means, "two seconds and no order", holds by the times at which events arrived at the
brokers, whenever a worker comes to read them.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.stopping import stopped
from tests.kafka.under_fault import RUNS
from tests.kafka.working import wait_until
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment
from tests.support.kafka.frames import Api
from tests.support.kafka.proxy import Proxy
from worker.operations.commanding import tick
from worker.operations.standing import roles

DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "segments": [{"id": "cart_abandoner", "enter": "cart_items > 0 and time_since_cart_add >= 2s"}],
    "campaigns": [
        {"id": "reminder", "trigger": {"entered": "cart_abandoner"}, "channel": "email"},
    ],
}
HASTY = {"id": "hasty", "trigger": {"entered": "cart_abandoner"}, "channel": "push", "expires": "1s"}
REMINDER_SECONDS = 2
DAY_MS = 86_400_000
SILENT_SECONDS = 2 * REMINDER_SECONDS
ORDERING, WAITING = [f"orders-{number}" for number in range(8)], [f"waits-{number}" for number in range(8)]


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Iterator[Deployment]:
    """A live deployment that knows everybody, and that everybody has agreed to be written to; its worker has ended."""
    with Deployment(broker, prefix, definitions=DEFINITIONS, clock="wall", grace_ms=300) as deployment:
        begin(deployment)
        yield deployment


def begin(shop: Deployment) -> None:
    """Have a worker come to know everybody, and end."""
    traits = {"consent": {"email": True, "push": True}}
    shop.feed([written(user, type="identify", traits=traits) for user in [*ORDERING, *WAITING]])
    worker = shop.start_worker("first")
    shop.wait_until_read()
    assert worker.stop() == 0


def written(user: str, **members: Any) -> tuple[bytes, bytes]:
    """A record of a user, whose time is that of its arrival."""
    return user.encode(), json.dumps({"type": "track", "userId": user, **members}).encode()


def fill_carts(shop: Deployment) -> None:
    """Everybody puts something into a cart, and those who order do so at once."""
    added = {"event": "Product Added", "properties": {"product_id": "p-1", "quantity": 1}}
    bought = {"event": "Order Completed", "properties": {"total": 5}}
    shop.feed(
        [*(written(user, **added) for user in [*ORDERING, *WAITING]), *(written(user, **bought) for user in ORDERING)]
    )


def reminded(shop: Deployment, outcome: str = "fired", campaign: str = "reminder") -> Counter[str]:
    """How often each user was reminded, or not."""
    decisions = [json.loads(record.value or b"") for record in shop.read("campaign-decisions")]
    return Counter(
        decision["user_id"]
        for decision in decisions
        if decision["outcome"] == outcome and decision["campaign"] == campaign
    )


def wait_until_reminded(shop: Deployment) -> None:
    """Wait until those who didn't order are reminded."""
    deadline = time.monotonic() + SECONDS_MAX
    while not reminded(shop).keys() >= set(WAITING):
        assert time.monotonic() < deadline, f"{reminded(shop)}\n{shop.workers[-1].last_words()}"
        time.sleep(0.2)


def test_a_backlog_is_worked_off_in_its_own_time(shop: Deployment) -> None:
    """Whose order waits in it isn't reminded, however late it is by the wall; who didn't order is."""
    fill_carts(shop)
    time.sleep(SILENT_SECONDS)
    worker = shop.start_worker("late", batch_records_max=3)
    wait_until_reminded(shop)
    assert reminded(shop) == dict.fromkeys(WAITING, 1)
    assert worker.stop() == 0
    check(shop)


def test_a_reminder_is_dated_to_the_millisecond_at_which_it_fell_due(
    shop: Deployment, request: pytest.FixtureRequest
) -> None:
    """Arrival and two seconds; on an idle topic it is sent soon after."""
    shop.start_worker("punctual").wait_for(RUNS, count=2)
    fill_carts(shop)
    wait_until_reminded(shop)
    arrivals = {record.key: record.timestamp for record in shop.read("events") if b"Product Added" in record.value}
    changes = [json.loads(record.value or b"") for record in shop.read("segment-changes")]
    late_ms = [0]
    for change in changes:
        due_ms = arrivals[change["user_id"].encode()] + 1_000 * REMINDER_SECONDS
        assert milliseconds(change["occurred_at"]) == due_ms
        late_ms.append(milliseconds(change["emitted_at"]) - due_ms)
    request.node.user_properties.append(("emitted after, ms", max(late_ms)))
    assert {change["user_id"] for change in changes} == set(WAITING)


def milliseconds(text: str) -> int:
    """A time of an output, since the epoch."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


@pytest.mark.parametrize("api", [Api.FETCH, Api.LIST_OFFSETS, pytest.param(None, marks=pytest.mark.faults)])
def test_time_stands_still_while_something_may_be_unread(broker: Broker, prefix: str, api: int | None) -> None:
    """Records don't come through, the broker doesn't say whether there are any, or says nothing at all for a while."""
    with (
        Proxy(broker.port) as proxy,
        Deployment(broker, prefix, definitions=DEFINITIONS, clock="wall", grace_ms=300,
                   request_timeout_ms=20_000, transaction_timeout_ms=30_000) as shop,
    ):  # fmt: skip
        begin(shop)
        worker = shop.start_worker("slow", bootstrap_servers=proxy.bootstrap)
        worker.wait_for(RUNS, count=2)
        with proxy.rule("stall_reply", api, client="slow") as rule:
            rule.wait()
            fill_carts(shop)
            time.sleep(SILENT_SECONDS)
            assert not reminded(shop)
        wait_until_reminded(shop)
        assert reminded(shop) == dict.fromkeys(WAITING, 1)
        assert worker.stop() == 0
        check(shop)


def test_what_is_worked_off_too_late_is_stale(broker: Broker, prefix: str) -> None:
    """A trigger that fell due longer ago than it lasts isn't sent, and the decision says why."""
    both = {**DEFINITIONS, "campaigns": [*DEFINITIONS["campaigns"], HASTY]}
    with Deployment(broker, prefix, definitions=both, clock="wall", grace_ms=300) as shop:
        begin(shop)
        fill_carts(shop)
        time.sleep(SILENT_SECONDS)
        shop.start_worker("late")
        wait_until_reminded(shop)
        assert reminded(shop) == dict.fromkeys(WAITING, 1)
        assert reminded(shop, "suppressed", "hasty") == dict.fromkeys(WAITING, 1)
        decisions = [json.loads(record.value or b"") for record in shop.read("campaign-decisions")]
        assert {decision["blocked_by"] for decision in decisions if decision["campaign"] == "hasty"} == {"stale"}


def test_an_idle_partition_writes_nothing(shop: Deployment, request: pytest.FixtureRequest) -> None:
    """Time passes without a commit where it changes nothing, and costs next to nothing."""
    worker = shop.start_worker("idle")
    worker.wait_for(RUNS, count=2)
    time.sleep(2)
    before, began = shop.ends("state", "read_uncommitted"), (cpu_seconds(worker.pid), time.monotonic())
    time.sleep(10)
    busy = (cpu_seconds(worker.pid) - began[0]) / (time.monotonic() - began[1])
    request.node.user_properties.append(("CPU of an idle worker", f"{busy:.1%}"))
    assert shop.ends("state", "read_uncommitted") == before


def test_users_who_are_idle_for_days_by_the_wall_leave(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Nothing comes for three days, and the worker begins again after them: users have been idle for two, and go, with
    tombstones; the points say when, so whoever works the log off again has them go at the same instant.
    """
    clock = tmp_path / "clock"
    clock.write_text(str(3 * DAY_MS))
    definitions = {**DEFINITIONS, "retention": {"idle": "2d"}}
    with Deployment(broker, prefix, definitions=definitions, clock="wall", grace_ms=300) as shop:
        begin(shop)
        fill_carts(shop)
        today = shop.start_worker("today")
        wait_until_reminded(shop)
        assert (today.stop(), users(shop)) == (0, {*ORDERING, *WAITING})
        later = shop.start_worker("later", without=["clock"], environment={"SHOAL_TEST_CLOCK": str(clock)})
        wait_until(lambda: users(shop) == set(), "they are kept")
        told = {record.key: record.value for record in shop.read("memberships")}
        assert told == dict.fromkeys((user.encode() for user in [*ORDERING, *WAITING]), None)
        exits = Counter(json.loads(record.value or b"")["cause"] for record in shop.read("segment-changes"))
        assert exits["erasure"] == len(WAITING)
        assert later.stop() == 0
        check(shop)


def users(shop: Deployment) -> set[str]:
    """Those whom the state knows."""
    found = [shop.state(partition).finish() for partition in range(shop.partitions)]
    return {user for engine, _ in filter(None, found) for user in engine.users.slots}


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_records_with_their_producers_time_stop_the_live_clock(shop: Deployment) -> None:
    """Where somebody changes the topic under a running worker; what came before counts."""
    worker = shop.start_worker("misled")
    worker.wait_for(RUNS, count=2)
    meddling.configure(shop, "events", message_timestamp_type="CreateTime")
    ends = {partition: shop.end_of_input(partition) for partition in (0, 1)}
    fill_carts(shop)
    sentences = stopped(worker, (0, 1))
    told = asyncio.run(roles(shop.settings, set(), SECONDS_MAX))["worker"]
    assert [(part["state"], part["instance"]) for part in told["partitions"]] == [("stopped", "misled")] * 2
    assert told["lag_records"] == sum(part["lag_records"] for part in told["partitions"]) > 0
    for partition, said in sentences.items():
        assert told["partitions"][partition]["detail"] == said
        assert f"From offset {ends[partition]:,} on, partition {partition} of {shop.settings.events_topic}" in said
        assert "message.timestamp.type=LogAppendTime" in said
    assert {partition: offset for partition, (offset, _) in shop.committed().items()} == ends


def test_a_tick_comes_after_what_was_written_before_it(broker: Broker, prefix: str) -> None:
    """Also where a backlog is worked off when it is told, by a partition that has never been told anything before."""
    with Deployment(broker, prefix, definitions=DEFINITIONS, batch_records_max=20) as shop:
        start_ms = 1_774_641_600_000
        shop.feed([written(user, type="identify", timestamp=start_ms) for user in [*ORDERING, *WAITING]])
        worker = shop.start_worker("first")
        shop.wait_until_read()
        assert worker.stop() == 0
        shop.feed([written("waits-0", event="Product Added", timestamp=start_ms + n) for n in range(400)])
        shop.feed([written("orders-0", event="Product Added", timestamp=start_ms + n) for n in range(400)])
        shop.feed([written("orders-0", event="Order Completed", timestamp=start_ms + 500)])
        asyncio.run(tick(shop.settings, start_ms + 60_000))
        worker = shop.start_worker("second")
        wait_until_ticked(shop, start_ms + 60_000)
        entered = Counter(json.loads(record.value or b"")["user_id"] for record in shop.read("segment-changes"))
        assert entered == {"waits-0": 1}
        assert worker.stop() == 0
        check(shop)


def wait_until_ticked(shop: Deployment, until_ms: int) -> None:
    """Wait until every partition's clock is there."""
    deadline = time.monotonic() + SECONDS_MAX
    clocks: list[int | None] = []
    while clocks != [until_ms] * shop.partitions:
        assert time.monotonic() < deadline, clocks
        states = [shop.state(partition).checkpoint for partition in range(shop.partitions)]
        clocks = [state.clock_ms if state else None for state in states]
