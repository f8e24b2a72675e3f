"""An input that isn't what it was: grown, emptied, made anew, or told to keep its producers' time.

The rule: the partition stops, or the start is refused, before anything is written that a person might not have wanted.
"""

from collections.abc import Iterator

import pytest

from schemas.topics import TOPICS
from tests.kafka.stopping import stopped, written
from tests.kafka.under_fault import RUNS, definitions
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, events
from tests.support.kafka.reference import Reference

AS_THE_INPUT = [topic.name for topic in TOPICS if topic.partitions == "as the input"]


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Iterator[Deployment]:
    """A deployment of two partitions with events, and no worker yet."""
    with Deployment(broker, prefix, definitions=definitions(1)) as deployment:
        deployment.feed(events(1, 400))
        yield deployment


def read_and_stop(shop: Deployment) -> None:
    """Have a worker read what there is, and end it."""
    worker = shop.start_worker("first")
    shop.wait_until_read()
    assert worker.stop() == 0


def test_an_input_with_more_partitions_than_before_stops_all_of_them(shop: Deployment) -> None:
    """With the other topics as they were the start is refused; with all of them grown every partition stops."""
    read_and_stop(shop)
    meddling.grow(shop, 4, "events")
    refused = shop.start_worker("refused")
    assert refused.wait_until_ended() == 2
    assert f"{shop.settings.topic('state')}" in refused.text
    assert "has 2 partitions and the input 4" in refused.text
    meddling.grow(shop, 4, *(name for name in AS_THE_INPUT if name != "events"))
    shop.feed(events(2, 400))
    before = written(shop, range(4))
    worker = shop.start_worker("second")
    for said in stopped(worker, range(4)).values():
        assert f"{shop.settings.events_topic} had 2 partitions and has 4" in said
        assert "shoal rekey" in said
    assert written(shop, range(4)) == before
    assert worker.stop() == 0


def test_an_input_that_grows_under_a_running_worker_is_noticed(shop: Deployment) -> None:
    """The partitions that are new aren't begun, and the old ones stop."""
    worker = shop.start_worker("first", without=["hasty_metadata"])
    shop.wait_until_read()
    before = written(shop, (0, 1))
    meddling.grow(shop, 4, *AS_THE_INPUT)
    told = stopped(worker, range(4))
    assert all("had 2 partitions and has 4" in said for said in told.values())
    shop.feed(events(2, 100))
    assert written(shop, (0, 1)) == before
    assert written(shop, (2, 3)) == {name: {2: 0, 3: 0} for name in before}
    assert worker.stop() == 0


def test_records_that_retention_took_unread_are_told_of_and_left_out_when_somebody_says_so(shop: Deployment) -> None:
    """The partition stops and the other doesn't; with SHOAL_ACCEPT_LOST_RECORDS the sentence counts them."""
    read_and_stop(shop)
    begin = shop.end_of_input(0)
    shop.feed(events(2, 200))
    log, end = shop.read("events", 0), shop.end_of_input(0)
    meddling.delete_records(shop, "events", {0: begin + 30})
    before = written(shop, (0,))
    worker = shop.start_worker("second")
    (said,) = stopped(worker, (0,)).values()
    assert f"begins at offset {begin + 30:,}, and 30 records before it were deleted unread" in said
    assert "SHOAL_ACCEPT_LOST_RECORDS=true" in said
    worker.wait_for(RUNS, count=2)
    assert written(shop, (0,)) == before
    assert worker.stop() == 0
    accepting = shop.start_worker("third", accept_lost_records="true")
    told = accepting.wait_for("Records were deleted unread")
    assert (told["partition"], told["records"], told["offset"]) == (0, 30, begin + 30)
    shop.wait_until_read()
    assert accepting.stop() == 0
    assert shop.committed()[0][0] == end
    kept = [record for record in log if not begin <= record.offset < begin + 30]
    reference, found = Reference(kept, shop.state(0)), shop.state(0).finish()
    assert found is not None
    assert found[0].to_bytes() == reference.engine.to_bytes()
    assert len(shop.read("segment-changes", 0)) == len(reference.effects.transitions)


def test_an_input_made_anew_with_fewer_records_stops_every_partition(shop: Deployment) -> None:
    """What lies at the old offsets later is another event: nothing is read."""
    read_and_stop(shop)
    ends = {partition: shop.end_of_input(partition) for partition in (0, 1)}
    meddling.delete_topic(shop, "events")
    meddling.make_again(shop)
    shop.feed(events(2, 20))
    before = written(shop, (0, 1))
    worker = shop.start_worker("second", accept_lost_records="true")
    for partition, said in stopped(worker, (0, 1)).items():
        assert f"ends before offset {ends[partition]:,} of partition {partition}" in said
        assert "it was made anew" in said
    assert written(shop, (0, 1)) == before


def test_topics_that_cant_be_right_refuse_the_start(shop: Deployment) -> None:
    """A state that retention empties, and producers' times for the live clock: both named at once, exit 2."""
    meddling.configure(shop, "state", cleanup_policy="delete")
    meddling.configure(shop, "events", message_timestamp_type="CreateTime")
    worker = shop.start_worker("live", clock="wall")
    assert worker.wait_until_ended() == 2
    told = worker.text
    assert f"{shop.settings.topic('state')}: cleanup.policy=delete deletes older records, needed or not" in told
    assert f"{shop.settings.events_topic}: its records carry the time that the producer says" in told
    assert "message.timestamp.type=LogAppendTime, or start the worker with --clock event." in told
    assert "The topics can't be used: mend what the lines above say." in told
