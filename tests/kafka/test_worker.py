"""`shoal worker` on a real broker: what it writes is what one engine makes of the same log, whoever comes and goes."""

import asyncio
import json
import random
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.topics import TOPICS
from tests.kafka.working import RUNS, definitions, got, metric, wait_until
from tests.support import random_definitions
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import Verdict, check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, events
from tests.support.kafka.worker_process import Process
from worker.operations.commanding import Place, ask, brake, explain_command, standings, tick


def wait_until_ready(worker: Process) -> dict[str, Any]:
    """What /ready says once it is 200 and every partition that the worker has runs."""
    said: dict[str, Any] = {}

    def is_ready() -> bool:
        status, body = got(worker.http_port, "/ready")
        said.update(json.loads(body))
        return status == 200 and {one["state"] for one in said["partitions"].values()} == {"running"}

    wait_until(is_ready, "the worker isn't ready")
    return said


def wait_for_points(deployment: Deployment, kinds: list[str]) -> None:
    """Wait until every partition's points, the version that began it aside, are of these kinds."""

    def are_there() -> bool:
        found = [deployment.state(partition).points for partition in range(deployment.partitions)]
        return all([points[number].kind for number in sorted(points)][1:] == kinds for points in found)

    wait_until(are_there, f"there are no points {kinds}")


# One worker that has read all there is; the tests that only look share it.


@pytest.fixture(scope="module")
def shop(broker: Broker) -> Iterator[Deployment]:
    """A deployment that has been restarted once in the middle, and has nothing left to read."""
    log = events(1, 3000)
    with Deployment(broker, f"t{secrets.token_hex(3)}.", definitions=definitions(11)) as made:
        made.feed(log[:1500])
        before = made.start_worker("before")
        made.wait_until_read()
        assert before.stop() == 0
        made.feed(log[1500:])
        made.start_worker("shop")
        made.wait_until_read()
        yield made


@pytest.fixture(scope="module")
def verdict(shop: Deployment) -> Verdict:
    """What the checker found."""
    return check(shop)


def test_a_log_is_worked_off_exactly_once_over_a_restart(shop: Deployment, verdict: Verdict) -> None:
    """Outputs and state are those of one engine; the second worker began where the first one's checkpoint was."""
    assert [verdict.counts[name] > 0 for name in ("segment-changes", "campaign-decisions", "campaign-triggers",
                                                   "conversions", "messages", "training-samples", "observations",
                                                   "dead-letters")] == [True] * 8  # fmt: skip
    before, after = shop.workers
    assert verdict.counts["records"] == 3000
    assert {line["offset"] for line in before.said(RUNS)} == {0}
    assert sum(line["offset"] for line in after.said(RUNS)) == 1500
    assert all(line["users"] > 0 for line in after.said(RUNS))


def test_every_record_is_of_the_contract(shop: Deployment, verdict: Verdict) -> None:
    """Each value is accepted by its topic's model, and has CloudEvents headers and its own id."""
    del verdict
    for topic in TOPICS:
        if topic.direction == "written" and topic.value is not None and topic.partitions == "as the input":
            records = shop.read(topic.name)
            for record in records:
                topic.value.model_validate_json(record.value or b"")
            told = [dict(record.headers) for record in records]
            assert {headers["ce_source"] for headers in told} <= {f"/shoal/{shop.settings.topic_prefix}".encode()}
            ids = [headers["ce_id"] for headers in told]
            assert len(set(ids)) == len(ids), topic.name


def test_ready_and_live_say_how_the_partitions_are(shop: Deployment) -> None:
    """Both partitions run; the event loop turns; other paths aren't there."""
    worker = shop.workers[-1]
    assert set(wait_until_ready(worker)["partitions"]) == {"0", "1"}
    status, body = got(worker.http_port, "/live")
    assert (status, json.loads(body)["live"]) == (200, True)
    assert got(worker.http_port, "/state")[0] == 404


def test_metrics_count_what_was_committed(shop: Deployment, verdict: Verdict) -> None:
    """Records and dead letters add up to what the worker read; gauges are those of the state; nothing is left over."""
    text = got(shop.workers[-1].http_port, "/metrics")[1]
    references = verdict.references.values()
    assert sum(metric(text, "shoal_records_total").values()) == 1500
    assert metric(text, "shoal_state_users") == {"": verdict.counts["users"]}
    assert metric(text, "shoal_lag_records") == {'partition="0"': 0, 'partition="1"': 0}
    assert metric(text, "shoal_backfill_remaining_users") == {"": 0}
    assert (
        sum(metric(text, "shoal_dead_letters_total").values())
        == metric(text, "shoal_records_total")['result="dead_letter"']
    )
    segments = {segment for reference in references for segment in reference.engine.members()}
    members = {segment: sum(r.engine.members().get(segment, 0) for r in references) for segment in segments}
    assert metric(text, "shoal_members") == {f'segment="{segment}"': count for segment, count in members.items()}
    assert metric(text, "shoal_restore_seconds_count") == {"": 2}
    assert metric(text, "shoal_transaction_seconds_count")[""] > 0


def test_status_is_answered_by_every_partition(shop: Deployment, verdict: Verdict) -> None:
    """Each says where it stands, which is where the checker finds it."""
    answers = asyncio.run(standings(shop.settings, ["worker"], SECONDS_MAX))
    for partition, reference in verdict.references.items():
        answer = answers[Place("worker", partition)]
        assert answer is not None
        engine, said = reference.engine, dict[str, Any](answer.body)
        assert (said["state"], said["lag_records"], said["instance"]) == ("running", 0, "shop")
        assert (said["next_offset"], said["users"]) == (reference.checkpoint.next_offset, engine.rows.count)
        assert {name: count for name, count in said["members"].items() if count} == {
            name: count for name, count in engine.members().items() if count
        }
        assert (said["definitions"], said["paused"]) == (engine.version.definition, [])


def test_explain_is_answered_by_the_partition_that_knows_the_user(shop: Deployment, verdict: Verdict) -> None:
    """With the engine's own words; of a user whom nobody knows every partition says so."""
    for reference in verdict.references.values():
        user = reference.engine.users.ids[0]
        answers = asyncio.run(ask(shop.settings, explain_command(user), SECONDS_MAX))
        (known,) = [answer for answer in answers.values() if answer is not None and answer.found]
        assert known.partition == reference.engine.partition
        assert known.body == json.loads(json.dumps(reference.engine.explain(user)))
    answers = asyncio.run(ask(shop.settings, explain_command("nobody"), SECONDS_MAX))
    assert [answer is not None and answer.found for answer in answers.values()] == [False, False]


# Whoever comes and goes, and what takes effect meanwhile.


def test_workers_share_the_partitions_and_hand_them_over(broker: Broker, prefix: str) -> None:
    """One, two, then the other one alone, under load: nobody's transitions are lost, doubled or out of order."""
    log = events(2, 8000)
    with Deployment(broker, prefix, partitions=4, definitions=definitions(12)) as deployment:
        first = deployment.start_worker("first")
        with deployment.feeding(log, per_second=400) as enough:
            first.wait_for(RUNS, count=4)
            second = deployment.start_worker("second")
            second.wait_for(RUNS, count=2)
            assert first.stop() == 0
            second.wait_for(RUNS, count=4)
            enough.set()
        deployment.wait_until_read()
        assert check(deployment).counts["records"] > 1000
        restored = {line["partition"] for line in second.said(RUNS)}
        assert restored == {0, 1, 2, 3}


def test_sigterm_under_load_ends_with_0_and_leaves_no_transaction_open(broker: Broker, prefix: str) -> None:
    """What was under way is committed or was never begun: at once nothing is open, and the next worker goes on."""
    with Deployment(broker, prefix, definitions=definitions(13)) as deployment:
        deployment.feed(events(3, 6000))
        worker = deployment.start_worker(fault="B8:6:mark", batch_records_max=50)
        worker.wait_until_fired()
        assert worker.stop() == 0
        assert deployment.unstable(deployment.full_name(topic.name) for topic in TOPICS) == []
        assert sum(offset for offset, _ in deployment.committed().values()) < 6000
        deployment.start_worker("next")
        deployment.wait_until_read()
        check(deployment)


def test_a_version_takes_effect_at_one_point_in_the_middle_of_a_load(broker: Broker, prefix: str) -> None:
    """Each partition records one point, past its first record, and its log comes to the same with it.

    A segment that is new is shown though nobody is in it, and one that is gone isn't any more.
    """
    before = definitions(14)
    after = random_definitions.changed(random.Random(5), before, new_reads=True)
    for change, segment in ((before, "gone"), (after, "fresh")):
        change["segments"] = [*change["segments"], {"id": segment, "enter": "orders_total > 1e6"}]
    log = events(4, 5000)
    with Deployment(broker, prefix, definitions=before) as deployment:
        worker = deployment.start_worker()
        with deployment.feeding(log, per_second=1000):
            worker.wait_for(RUNS, count=2)
            time.sleep(1)
            deployment.publish(after)
            worker.wait_for("A version takes effect.", count=2)
        deployment.wait_until_read()
        wait_until(lambda: 'segment="fresh"' in members_of(worker), "the new segment isn't shown")
        assert 'segment="gone"' not in members_of(worker)
        verdict = check(deployment)
        for reference in verdict.references.values():
            first, second = reference.points
            assert (first.offset, first.clock_ms) == (0, None)
            assert 0 < second.offset < reference.checkpoint.next_offset
            assert second.hash == worker.said("A version takes effect.")[0]["definitions"].partition("/")[2]
        assert worker.stop() == 0


def members_of(worker: Process) -> dict[str, float]:
    """What a worker shows of its segments' members."""
    return metric(got(worker.http_port, "/metrics")[1], "shoal_members")


CAMPAIGN = {
    "version": 1,
    "segments": [{"id": "cart_abandoner", "enter": "cart_items > 0 and time_since_cart_add >= 30m"}],
    "campaigns": [{"id": "cart_reminder", "trigger": {"entered": "cart_abandoner"}}],
}


def added(number: int, time_ms: int) -> tuple[bytes, bytes]:
    """A product put into a cart by a user at a time."""
    event = {"type": "track", "event": "Product Added", "userId": f"user-{number}", "timestamp": time_ms,
             "properties": {"product_id": "p-1", "price": 5}}  # fmt: skip
    return f"user-{number}".encode(), json.dumps(event).encode()


def test_pauses_and_ticks_take_effect_at_recorded_points(broker: Broker, prefix: str) -> None:
    """Paused: decided as such. Resumed: fired. A tick lets time pass for everyone though no record comes."""
    begin = 1_774_641_600_000
    hour = 3_600_000
    with Deployment(broker, prefix, definitions=CAMPAIGN) as deployment:
        worker = deployment.start_worker()
        worker.wait_for(RUNS, count=2)
        asyncio.run(brake(deployment.settings, "cart_reminder", paused=True))
        wait_for_points(deployment, ["pause"])
        deployment.feed([added(number, begin) for number in range(20)])
        deployment.wait_until_read()
        asyncio.run(tick(deployment.settings, begin + hour))
        wait_for_points(deployment, ["pause", "tick"])
        asyncio.run(brake(deployment.settings, "cart_reminder", paused=False))
        wait_for_points(deployment, ["pause", "tick", "resume"])
        deployment.feed([added(number, begin + 2 * hour) for number in range(20, 50)])
        deployment.wait_until_read()
        asyncio.run(tick(deployment.settings, begin + 3 * hour))
        wait_for_points(deployment, ["pause", "tick", "resume", "tick"])
        assert worker.stop() == 0
        verdict = check(deployment)
        outcomes = [(json.loads(record.value)["outcome"], json.loads(record.value)["blocked_by"])
                    for record in deployment.read("campaign-decisions")]  # fmt: skip
        assert sorted(outcomes, key=str) == [("fired", None)] * 30 + [("suppressed", "paused")] * 20
        assert verdict.counts["segment-changes"] == 50


def test_a_worker_waits_for_definitions_and_says_so(broker: Broker, prefix: str) -> None:
    """Nothing is read, /ready says why; once they are published it begins before the first record."""
    with Deployment(broker, prefix) as deployment:
        deployment.feed(events(6, 300))
        worker = deployment.start_worker()
        worker.wait_for("No definitions are published", count=2)
        partitions = json.loads(got(worker.http_port, "/ready")[1])["partitions"]
        assert {one["detail"] for one in partitions.values()} == {"waits for definitions: shoal definitions publish"}
        assert deployment.committed() == {}
        deployment.publish(definitions(15))
        deployment.wait_until_read()
        assert check(deployment).counts["points"] == 2
        assert worker.stop() == 0
