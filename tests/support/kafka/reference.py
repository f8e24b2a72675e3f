"""What a partition's log must come to: one engine without Kafka, the log in one go between the points.

The rule: it takes from the worker what only the worker decides, the points and how far it has read, and nothing else.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import ConsumerRecord

from worker.core.changelog import Point
from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms
from worker.core.records import Effects
from worker.core.restoring import Restorer, take_effect, versions_of

__all__ = ["Reference"]

NEVER_STALE_MS = 0  # the wall clock that judges what is stale: nobody knows a worker's any more


class Reference:
    """The engine and its effects after the records that the state has taken.

    `refused` are offsets of records that the engine itself can't take, as dead letters have them.
    """

    def __init__(self, log: Sequence[ConsumerRecord], state: Restorer, refused: Sequence[int] = (),
                 pseudonyms: Pseudonyms | None = None) -> None:  # fmt: skip
        assert state.checkpoint is not None
        self.checkpoint = state.checkpoint
        self.points = [state.points[number] for number in range(state.checkpoint.points)]
        self.effects = Effects()
        self.complaints: list[str] = []
        self._refused = frozenset(refused)
        self._pseudonyms = pseudonyms or Pseudonyms()
        self._versions = versions_of(self.points)
        self._left = iter([record for record in log if record.offset >= self.points[0].offset])
        self._next = next(self._left, None)
        self.engine = self._begun()
        for point in self.points[1:]:
            self._step(point.offset)
            self._apply(point)
        self._step(state.checkpoint.next_offset)
        self._pass_time(state.checkpoint.clock_ms)
        # As the worker does after every batch: a look at the users who are new, which finds nothing to do.
        self.effects.add(self.engine.work(self.engine.backlog, wall_ms=NEVER_STALE_MS))

    def _begun(self) -> Engine:
        version, stands = next(self._versions), self.checkpoint
        return Engine(
            version.checked, version.mapping, topic=stands.topic, partition=stands.partition,
            partitions=stands.partitions, grace_ms=stands.grace_ms, clock=stands.clock, model=version.model,
            pseudonyms=self._pseudonyms,
        )  # fmt: skip

    def _step(self, until: int) -> None:
        """Take the records before an offset."""
        records: list[ConsumerRecord] = []
        for record in self._before(until):
            if record.offset in self._refused:
                self._take(records)
                self.effects.add(self.engine.refused(record.value or b"", record.offset))
                records = []
            else:
                records.append(record)
        self._take(records)

    def _before(self, until: int) -> Iterator[ConsumerRecord]:
        while self._next is not None and self._next.offset < until:
            yield self._next
            self._next = next(self._left, None)

    def _take(self, records: list[ConsumerRecord]) -> None:
        if records:
            made = self.engine.step(
                [record.value or b"" for record in records], [record.offset for record in records],
                [record.key for record in records], [record.timestamp for record in records], wall_ms=NEVER_STALE_MS,
            )  # fmt: skip
            self.effects.add(made)

    def _apply(self, point: Point) -> None:
        self._pass_time(point.clock_ms)
        if self.engine.clock_ms != point.clock_ms:
            self.complaints.append(f"a {point.kind} took effect at {point.clock_ms}, not at {self.engine.clock_ms}")
        match point.kind:
            case "version":
                self.effects.add(self._published(point))
            case "tick":
                self.effects.add(self.engine.tick(point.until_ms or 0, wall_ms=NEVER_STALE_MS))
            case "pause" | "resume" | "erase":
                self.effects.add(take_effect(self.engine, point, None, NEVER_STALE_MS))

    def _published(self, point: Point) -> Effects:
        version = next(self._versions)
        checked = version.checked if point.definitions is not None else None
        model = version.model if point.model is not None else None
        return self.engine.publish(checked, model, wall_ms=NEVER_STALE_MS, mapping=version.mapping)

    def _pass_time(self, clock_ms: int | None) -> None:
        """Let time pass to where the wall had moved the partition clock."""
        if self.checkpoint.clock == "wall" and clock_ms is not None and self.engine.rows.count:
            self.effects.add(self.engine.advance(clock_ms, wall_ms=NEVER_STALE_MS))

    def memberships(self) -> dict[str, dict[str, Any]]:
        """Return the segments of everybody who has had a transition."""
        return {record["user_id"]: record for record in self.engine.memberships()}
