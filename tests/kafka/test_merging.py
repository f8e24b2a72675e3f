"""Records of several partitions in the order of their own times, as far as that can be known."""

import random

from aiokafka import TopicPartition

from worker.kafka.merging import Arrived, Merging

A, B, C = (TopicPartition("samples", partition) for partition in range(3))


def arrived(place: TopicPartition, *times_ms: int, first: int = 0) -> list[Arrived]:
    """Records of a partition at these times."""
    return [Arrived("samples", place.partition, first + at, at_ms, None) for at, at_ms in enumerate(times_ms)]


def taken(merging: Merging, behind: set[TopicPartition], most: int = 100) -> list[int]:
    """The times of what comes next."""
    return [record.at_ms for record in merging.take(most, behind)]


def test_the_earliest_comes_first() -> None:
    """Of the same time the lower partition; no more than were asked for, and the rest the next time."""
    merging = Merging()
    merging.put(B, arrived(B, 2, 3, 7))
    merging.put(A, arrived(A, 1, 3, 9))
    assert [(one.at_ms, one.partition) for one in merging.take(3, ())] == [(1, 0), (2, 1), (3, 0)]
    assert taken(merging, set()) == [3, 7, 9]
    assert taken(merging, set()) == []


def test_nothing_comes_before_what_a_partition_has_yet_to_give() -> None:
    """One that is behind and has nothing waiting holds all others back; so does one whose last record is taken."""
    merging = Merging()
    merging.put(A, arrived(A, 1, 5))
    assert taken(merging, {B}) == []
    merging.put(B, arrived(B, 2, 3))
    assert taken(merging, {B}) == [1, 2, 3]
    assert taken(merging, {B}) == []
    assert taken(merging, set()) == [5]


def test_within_a_partition_the_order_stays() -> None:
    """A late record doesn't overtake the one before it."""
    merging = Merging()
    merging.put(A, arrived(A, 5, 1, 6))
    merging.put(B, arrived(B, 4, 7))
    assert taken(merging, set()) == [4, 5, 1, 6, 7]


def test_offsets_are_of_what_is_next_to_be_taken() -> None:
    """Those that wait are counted by partition."""
    merging = Merging()
    merging.put(A, arrived(A, 1, 5, first=40))
    assert (merging.held(A), merging.next_offset(A)) == (2, 40)
    taken(merging, set(), most=1)
    assert (merging.held(A), merging.next_offset(A)) == (1, 41)
    taken(merging, set())
    assert (merging.held(A), merging.next_offset(A), merging.held(B)) == (0, None, 0)


def test_any_way_to_fetch_gives_the_same_order() -> None:
    """Three partitions of random times in random pieces: while all are behind or at their end, the order is one."""
    for seed in range(50):
        rng = random.Random(seed)
        left = {place: arrived(place, *sorted(rng.choices(range(1_000), k=40))) for place in (A, B, C)}
        whole = sorted(record.at_ms for records in left.values() for record in records)
        merging, found = Merging(), list[int]()
        while len(found) < len(whole):
            place, most = rng.choice([A, B, C]), rng.randrange(1, 9)
            piece, left[place] = left[place][:most], left[place][most:]
            merging.put(place, piece)
            found += taken(merging, {place for place, records in left.items() if records}, rng.randrange(1, 30))
        assert found == whole
