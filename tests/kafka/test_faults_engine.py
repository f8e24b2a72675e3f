"""What the engine can't take, and what the brokers don't: found out, told of, and never lost in silence.

The rule: one record that breaks the engine becomes a dead letter and the rest goes on, exactly once. Where it isn't the
record the partition stops, before one order after the other is refused.
"""

import json

from tests.kafka.stopping import stopped
from tests.kafka.under_fault import AGAIN, definitions
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import Deployment, Event, events
from tests.support.kafka.worker_trouble import BREAKS_THE_ENGINE
from worker.kafka.suspects import REFUSED_IN_A_ROW_MAX

INJECTED = "ZeroDivisionError"


def marked(record: Event) -> Event:
    """The record, with what an engine in trouble fails over."""
    key, payload = record
    return key, payload.rstrip()[:-1] + b', "context": "' + BREAKS_THE_ENGINE + b'"}'


def applied(seed: int, count: int) -> list[Event]:
    """Events without duplicates and dead letters."""
    return events(seed, count, malformed=0, duplicate=0, repaired=0)


def test_a_record_that_breaks_the_engine_is_found_and_the_rest_goes_on(broker: Broker, prefix: str) -> None:
    """First, last, next to each other: each becomes a dead letter, after its batch was taken apart from a restart."""
    with Deployment(broker, prefix, partitions=1, definitions=definitions(1)) as deployment:
        guilty = [0, 77, 78, 150, 299]
        records = applied(1, 300)
        deployment.feed([marked(record) if place in guilty else record for place, record in enumerate(records)])
        worker = deployment.start_worker(without=["marked_records"])
        deployment.wait_until_read()
        assert {fault["what"] for fault in worker.fired} == {"broken"}
        letters = [json.loads(record.value or b"") for record in deployment.read("dead-letters")]
        assert [letter["offset"] for letter in letters if letter["reason"] == "engine_error"] == guilty
        told = worker.said("A record breaks the engine and becomes a dead letter")
        assert {line["offset"] for line in told} == set(guilty)
        assert {line["cause"] for line in worker.said(AGAIN)} == {"engine"}
        assert worker.stop() == 0
        check(deployment, tracebacks=INJECTED)


def test_when_every_record_breaks_the_engine_the_partition_stops(broker: Broker, prefix: str) -> None:
    """Then it isn't the records: few are refused, the rest waits for another release, and nothing else is written."""
    with Deployment(broker, prefix, partitions=1, definitions=definitions(1)) as deployment:
        records = applied(1, REFUSED_IN_A_ROW_MAX + 40)
        deployment.feed([marked(record) if place >= 10 else record for place, record in enumerate(records)])
        worker = deployment.start_worker(without=["marked_records"])
        (said,) = stopped(worker, (0,)).values()
        assert "it isn't the records" in said
        letters = [json.loads(record.value or b"") for record in deployment.read("dead-letters")]
        assert [letter["offset"] for letter in letters] == list(range(10, 10 + REFUSED_IN_A_ROW_MAX))
        assert worker.stop() == 0
        deployment.start_worker("next release")
        deployment.wait_until_read()
        check(deployment, tracebacks=INJECTED)


def test_a_topic_that_takes_too_little_stops_the_partition_until_it_takes_more(broker: Broker, prefix: str) -> None:
    """No record is at fault, so none is refused; nothing of the transaction that failed is ever seen."""
    with Deployment(broker, prefix, definitions=definitions(1)) as deployment:
        deployment.feed(events(1, 200))
        worker = deployment.start_worker("first")
        deployment.wait_until_read()
        meddling.configure(deployment, "segment-changes", max_message_bytes="2000")
        deployment.feed(events(2, 400))
        for partition, said in stopped(worker, (0, 1)).items():
            assert said.startswith(
                f"{prefix}segment-changes takes less at once than partition {partition} has to write"
            )
            assert "max.message.bytes to 1048588" in said
        assert worker.stop() == 0
        assert b"engine_error" not in b"".join(record.value or b"" for record in deployment.read("dead-letters"))
        meddling.configure(deployment, "segment-changes")
        deployment.start_worker("second")
        deployment.wait_until_read()
        check(deployment)
