"""A state that isn't what it was, or isn't there: the partition stops and says what to do, or knows better.

The rule: who can't go on without a guess writes nothing at all; whoever can isn't held up by the others.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.kafka.stopping import ready, stopped, written
from tests.kafka.under_fault import AGAIN, RUNS, definitions
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, events
from tests.support.kafka.frames import Api
from tests.support.kafka.proxy import Proxy
from worker.core.changelog import sealed

SEGMENT_SECONDS = 0.2
COMPACTED = {"segment_ms": "200", "min_cleanable_dirty_ratio": "0.001", "delete_retention_ms": "0"}
FOREIGN = {
    0: ("is damaged, or was not written by Shoal", b"u" + b"somebody", b"{}"),
    1: ("has the unknown type b'!'", b"!", sealed(b"!", b"")),
    2: ("was deleted, which Shoal never does", b"c", None),
    3: ("has no key", b"", b"{}"),
}


def at_work(broker: Broker, prefix: str, partitions: int = 2, state: Mapping[str, str] | None = None,
            **settings: Any) -> Deployment:  # fmt: skip
    """A deployment whose worker has read what there was, and has ended; `state` are settings of its topic."""
    deployment = Deployment(broker, prefix, partitions=partitions, definitions=definitions(1), **settings)
    try:
        meddling.configure(deployment, "state", **(state or {}))
        deployment.feed(events(1, 400))
        worker = deployment.start_worker("first")
        deployment.wait_until_read()
        assert worker.stop() == 0
    except BaseException:
        deployment.close()
        raise
    return deployment


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Iterator[Deployment]:
    """A deployment of two partitions with a state, and no worker."""
    with at_work(broker, prefix) as deployment:
        yield deployment


def test_what_is_no_state_stops_its_partition_and_no_other(broker: Broker, prefix: str) -> None:
    """Damaged, of an unknown type, deleted, without a key: each is named with its offset; the rest is worked on."""
    with at_work(broker, prefix, partitions=5) as deployment:
        offsets = deployment.ends("state", "read_uncommitted")
        for partition, (_, key, value) in FOREIGN.items():
            meddling.write(deployment, "state", partition, [(key, value)])
        deployment.feed(events(2, 400))
        before = written(deployment, FOREIGN)
        worker = deployment.start_worker("second")
        told = stopped(worker, FOREIGN)
        worker.wait_for(RUNS)
        for partition, (said, _, _) in FOREIGN.items():
            assert told[partition].startswith(f"The state of partition {partition} in {prefix}state can't be used")
            assert f"at offset {offsets[partition]:,} a record" in told[partition]
            assert said in told[partition]
        is_ready, states = ready(worker)
        assert not is_ready
        assert {number: state["state"] for number, state in states.items()} == dict.fromkeys(FOREIGN, "stopped") | {
            4: "running"
        }
        assert written(deployment, FOREIGN) == before


def test_a_state_is_read_to_its_end_whatever_lies_there(broker: Broker, prefix: str) -> None:
    """Compacted around aborted transactions whose markers come last; held up by an open one only until it ends."""
    with at_work(broker, prefix, partitions=3, state=COMPACTED, batch_records_max=10) as deployment:
        for partition in (0, 1):
            for number in range(3):
                alien = [(f"alien {number} {place}".encode(), b"aborted") for place in range(50)]
                meddling.write(deployment, "state", partition, alien, transaction=f"{prefix}alien", commits=False)
                time.sleep(2 * SEGMENT_SECONDS)
        assert wait_until_compacted(deployment, partition=1) > 30
        deployment.feed(events(2, 400))
        with meddling.open_transaction(deployment, "state", 2, [(b"alien", b"open")], f"{prefix}open"):
            worker = deployment.start_worker("second")
            worker.wait_for(RUNS, count=2)
            held = worker.wait_for("somebody's transaction is open there")
            _, states = ready(worker)
            assert held["event"] == states[2]["detail"]
            assert states[2]["state"] == "restoring"
            assert f"describe-producers --topic {prefix}state --partition 2" in held["event"]
        deployment.wait_until_read()
        assert {line["partition"] for line in worker.said(RUNS)} == {0, 1, 2}
        assert worker.stop() == 0
        check(deployment)


def wait_until_compacted(deployment: Deployment, partition: int) -> int:
    """Wait until records of the state are gone that later ones replace; return how many."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        records = deployment.read("state", partition)
        gaps = records[-1].offset + 1 - len(records)
        committed = sum(record.key == b"c" for record in records)
        if committed <= 2:
            return gaps
        assert time.monotonic() < deadline, f"{committed} checkpoints are left"
        time.sleep(0.2)


@pytest.mark.parametrize("at_work", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a_lost_state_topic_is_not_taken_for_a_beginning(shop: Deployment, *, at_work: bool) -> None:
    """The group has read before: nobody enters again, until somebody says so by deleting the group's offsets too."""
    worker = shop.start_worker("second") if at_work else None
    if worker is not None:
        worker.wait_for(RUNS, count=2)
    meddling.delete_topic(shop, "state")
    if worker is not None:
        shop.feed(events(2, 100))
        worker.wait_for(AGAIN)
    meddling.make_again(shop)
    before = written(shop, (0, 1))
    worker = worker or shop.start_worker("second")
    told = stopped(worker, (0, 1))
    ends = {partition: offset for partition, (offset, _) in shop.committed().items()}
    for partition, said in told.items():
        assert f"has read partition {partition} up to offset {ends[partition]:,}" in said
        assert "--delete-offsets" in said
    assert written(shop, (0, 1)) == before
    assert worker.stop() == 0
    meddling.delete_group(shop)
    entered = len(shop.read("segment-changes"))
    shop.start_worker("third")
    shop.wait_until_read()
    assert len(shop.read("segment-changes")) >= 2 * entered


def test_the_checkpoint_counts_whatever_becomes_of_the_groups_offsets(shop: Deployment) -> None:
    """Deleted, set back, set beyond the end: the worker goes on where its state stands, and mends them."""
    meddles: list[Callable[[], None]] = [
        lambda: meddling.delete_group(shop),
        lambda: meddling.commit(shop, dict.fromkeys((0, 1), 1)),
        lambda: meddling.commit(shop, dict.fromkeys((0, 1), 1_000_000)),
    ]
    for number, meddle in enumerate(meddles):
        meddle()
        worker = shop.start_worker(f"worker-{number}")
        worker.wait_for(RUNS, count=2)
        shop.feed(events(number + 2, 60))
        shop.wait_until_read()
        assert worker.stop() == 0
    check(shop)


def test_a_state_made_otherwise_is_left_alone(shop: Deployment) -> None:
    """By another clock, or from another input: the sentence says from which."""
    before = written(shop, (0, 1))
    other = shop.start_worker("other-clock", clock="wall")
    told = stopped(other, (0, 1))
    assert all("was made with --clock event" in said for said in told.values())
    assert other.stop() == 0
    elsewhere = shop.start_worker("other-input", input_topic=shop.settings.topic("segment-changes"))
    for partition, said in stopped(elsewhere, (0, 1)).items():
        assert f"belongs to partition {partition} of {shop.settings.events_topic}" in said
    assert written(shop, (0, 1)) == before


def test_a_release_that_refuses_the_definitions_in_force_says_so(shop: Deployment) -> None:
    """What members entered by is never guessed at; the release that wrote it goes on."""
    before = written(shop, (0, 1))
    worker = shop.start_worker("next-release", without=["refused_definitions"])
    for said in stopped(worker, (0, 1)).values():
        assert "this release refuses the definitions in force" in said
        assert "start the release that wrote it" in said
    assert worker.fired
    assert written(shop, (0, 1)) == before
    assert worker.stop() == 0
    shop.feed(events(2, 100))
    shop.start_worker("this-release")
    shop.wait_until_read()
    check(shop)


def test_a_broker_that_is_slow_is_not_taken_for_somebody_else(shop: Deployment, broker: Broker, prefix: str) -> None:
    """However long a restore has to wait for what is there: it is tried again, and nothing stops."""
    with Proxy(broker.port) as proxy:
        with proxy.rule("stall_reply", Api.FETCH, where=lambda frame: f"{prefix}state".encode() in frame) as rule:
            worker = shop.start_worker("slow", bootstrap_servers=proxy.bootstrap)
            rule.wait()
            assert worker.wait_for(AGAIN)["cause"] == "timeout"
        worker.wait_for(RUNS, count=2)
        shop.feed(events(2, 100))
        shop.wait_until_read()
        assert worker.stop() == 0
        check(shop)


@pytest.mark.faults
def test_whoever_begins_anew_reads_the_same_input_from_its_start(shop: Deployment, broker: Broker, prefix: str) -> None:
    """As the page for operators says: another prefix and group, the present input."""
    anew = Deployment(
        broker,
        f"{prefix}anew.",
        definitions=definitions(1),
        input_topic=shop.settings.events_topic,
        group=f"{prefix}anew",
    )
    with anew:
        anew.start_worker()
        anew.wait_until_read()
        check(anew)
        assert len(anew.read("segment-changes")) == len(shop.read("segment-changes"))
