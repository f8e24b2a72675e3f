"""Since when a partition is behind, as far as that can be known."""

from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from worker.kafka.ends import Reading
from worker.kafka.standing import LOG_APPEND_TIME, Sight

ENGINE: Any = SimpleNamespace(
    clock_ms=None, backlog=0, users=(), erasures=(), rows=SimpleNamespace(count=0, layout=SimpleNamespace(words=1)),
    version=SimpleNamespace(checked=SimpleNamespace(definitions=SimpleNamespace(version=1), hash="3fa9"), model=None),
)  # fmt: skip


class Surroundings:
    """A context with a wall, an end and a position that a test moves."""

    def __init__(self) -> None:
        self.now_ms, self.end, self.position = 1_000, 0, 0
        self.settings = SimpleNamespace(group="g")
        self.wall = SimpleNamespace(now_ms=lambda: self.now_ms)
        self.ends = SimpleNamespace(reading=lambda _: Reading(self.end, self.now_ms))
        self.membership = SimpleNamespace(position=lambda _: self.position)

    def sight(self) -> Sight:
        """A look at partition 0 with these surroundings."""
        context: Any = self
        return Sight(context, TopicPartition("t", 0))


def behind_since(sight: Sight) -> int | None:
    """What is said just now."""
    return sight.standing(ENGINE, {}, 0).behind_since_ms


def record(timestamp: int, timestamp_type: int = LOG_APPEND_TIME) -> Any:
    """A record as the consumer gives it."""
    return SimpleNamespace(timestamp=timestamp, timestamp_type=timestamp_type)


def test_a_partition_that_begins_is_behind_since_it_began() -> None:
    """Not since 1970; the first record it reads says better."""
    world = Surroundings()
    world.end = 10
    sight = world.sight()
    world.now_ms = 5_000
    assert behind_since(sight) == 1_000
    sight.committed(record(400), 5_000)
    assert behind_since(sight) == 400


def test_a_record_after_an_hour_of_silence_is_not_an_hour_late() -> None:
    """All that is unread has come since there was nothing to read."""
    world = Surroundings()
    sight = world.sight()
    sight.committed(record(900), 1_000)
    world.now_ms = 3_600_000
    assert behind_since(sight) is None
    world.now_ms, world.end = 3_600_500, 1
    assert behind_since(sight) == 3_600_000


def test_a_producer_s_time_says_nothing_about_arrival() -> None:
    """With the event clock, records of last year that are read now don't make the partition a year late."""
    world = Surroundings()
    sight = world.sight()
    sight.committed(record(5, timestamp_type=0), 1_000)
    world.end = 10
    assert behind_since(sight) == 1_000
    assert sight.lag_records() == 10
