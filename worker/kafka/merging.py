"""Records of several partitions in the order of their own times, as far as that can be known.

The rule: the earliest of the heads comes next, and only while no partition that has more to give is without a head
(KIP-353 and KIP-695 for Kafka Streams' tasks). Within a partition the order stays. A partition is held back while it
has much waiting, so that memory is bounded whatever the others do.
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from aiokafka import TopicPartition

__all__ = ["Arrived", "Merging"]


class Arrived(NamedTuple):
    """A record that was read, and what it says."""

    topic: str  # of the table
    partition: int
    offset: int
    at_ms: int  # its own time
    content: Any  # None: it says nothing that its reader understands


class Merging:
    """What was fetched and is yet to be taken."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, deque[Arrived]] = {}
        self._heads: list[tuple[int, TopicPartition]] = []  # a heap: of each partition that has one

    def put(self, place: TopicPartition, records: Iterable[Arrived]) -> None:
        """Take records of a partition in, in their order."""
        waiting = self._waiting.setdefault(place, deque())
        had_head = bool(waiting)
        waiting.extend(records)
        if waiting and not had_head:
            heapq.heappush(self._heads, (waiting[0].at_ms, place))

    def take(self, records_max: int, behind: Collection[TopicPartition]) -> list[Arrived]:
        """Return what comes next, no more than `records_max`.

        `behind` are the partitions that have more to give than was put: once one of them is without a head, whatever
        the others hold may have to come later than what it will give.
        """
        taken: list[Arrived] = []
        if any(not self._waiting.get(place) for place in behind):
            return taken
        while self._heads and len(taken) < records_max:
            _, place = self._heads[0]
            waiting = self._waiting[place]
            taken.append(waiting.popleft())
            if waiting:
                heapq.heapreplace(self._heads, (waiting[0].at_ms, place))
                continue
            heapq.heappop(self._heads)
            if place in behind:
                break
        return taken

    def held(self, place: TopicPartition) -> int:
        """Return how many records of a partition are yet to be taken."""
        return len(self._waiting.get(place, ()))

    def next_offset(self, place: TopicPartition) -> int | None:
        """Return the offset of the next record of a partition; None if it has none waiting."""
        waiting = self._waiting.get(place)
        return waiting[0].offset if waiting else None
