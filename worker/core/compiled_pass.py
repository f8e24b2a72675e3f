"""The compiled pass of one version: called with rows and records until it is done, its outputs made into effects.

The rule: a call that stops because its outputs are full is repeated once they are emptied, so that callers see nothing
but whole effects.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from worker.core import funnel
from worker.core.batch import REPAIRS, Batch
from worker.core.effects import RecordWriter
from worker.core.handles import handle
from worker.core.interning import Strings, Users
from worker.core.layout import NEVER
from worker.core.outputs import empty_outputs, with_larger_heap
from worker.core.program import Version
from worker.core.records import Effects
from worker.core.sample_records import write_samples
from worker.core.segments import APPLIED, DUPLICATES, EVALUATIONS, HEAP
from worker.core.state import Rows
from worker.core.tables import Outputs, Surroundings
from worker.core.zones import Zones

__all__ = ["EVERYTHING", "CompiledPass"]

EVERYTHING: Final = 1 << 62  # as many rows as there are


class CompiledPass:
    """The compiled functions over a partition's rows, under one version; by the event clock nothing is ever stale."""

    def __init__(
        self, version: Version, rows: Rows, users: Users, strings: Strings, zones: Zones, writer: RecordWriter, *,
        event_clock: bool,
    ) -> None:  # fmt: skip
        self.outputs: Outputs = empty_outputs(version)
        self._event_clock = event_clock
        self._version, self._rows, self._users = version, rows, users
        self._strings, self._zones, self._writer = strings, zones, writer
        self._handled: list[Any] = [None] * 4
        self._handles: list[Any] = [None] * 4
        self.lay_out_texts()

    def lay_out_texts(self) -> None:
        """Note that texts have got other numbers."""
        self._text_bytes = bytearray()
        self._text_ends: list[int] = []
        self._known = (-1, -1)

    # What can be asked of it.

    def run(
        self, batch: Batch, first: int, last: int, grace_ms: int, passed_ms: int, wall_ms: int, effects: Effects
    ) -> None:
        """Take records [first, last) of a batch, each after who is on the heap and falls due before it."""
        done = first
        while True:
            done = funnel.run(
                *self._arguments(), batch.records[:last], batch.lines_end, batch.lines, batch.details_end,
                batch.details, done, grace_ms, passed_ms, self._judging(wall_ms),
            )  # fmt: skip
            self._take_outputs(effects, wall_ms, batch.decisions)
            if done == last:
                return

    def collect(self, horizon_ms: int, rows_max: int) -> bool:
        """Put those who fall due by `horizon_ms` on the heap, about `rows_max` of them; return whether that is all."""
        heap_most = min(rows_max, self._rows.count) + self._rows.count // 8 + 4 * funnel.BLOCK
        if len(self.outputs.heap_due) < heap_most:
            self.outputs = with_larger_heap(self.outputs, heap_most)
        self.outputs.counts[HEAP] = 0
        self.outputs.counts[funnel.HORIZON] = horizon_ms
        _, state, _, outputs = self._arguments()
        return bool(funnel.collect_due(state, outputs, self._rows.count, horizon_ms, rows_max))

    def drain(self, until_ms: int, wall_ms: int, effects: Effects) -> None:
        """Let time pass, up to and including `until_ms`, for those who are on the heap."""
        while not funnel.drain(*self._arguments(), until_ms, self._judging(wall_ms)):
            self._take_outputs(effects, wall_ms)
        self._take_outputs(effects, wall_ms)

    def take_effect(self, first: int, last: int, wall_ms: int, effects: Effects) -> None:
        """Evaluate rows [first, last) under the version, but those who have been."""
        self.outputs.counts[funnel.HORIZON] = NEVER
        done = first
        while done < last:
            done = funnel.take_effect(*self._arguments(), done, last, self._judging(wall_ms))
            self._take_outputs(effects, wall_ms)

    def forget(
        self, slots: np.ndarray[Any, Any], clock_ms: int, passed_ms: int, wall_ms: int, effects: Effects
    ) -> None:
        """Take users out of all segments and cancel what is pending, at `clock_ms` or a user's own clock."""
        self.outputs.counts[funnel.HORIZON] = NEVER
        done = 0
        while done < len(slots):
            done = funnel.forget(*self._arguments(), slots, done, clock_ms, passed_ms, self._judging(wall_ms))
            self._take_outputs(effects, wall_ms)

    # How it is called.

    def _judging(self, wall_ms: int) -> int:
        """Return the wall clock that judges what is stale."""
        return NEVER if self._event_clock else wall_ms

    def _arguments(self) -> tuple[Any, Any, Any, Any]:
        bundles: tuple[Any, ...] = (self._version.program, self._rows.arrays(), self._surroundings(), self.outputs)
        for place, bundle in enumerate(bundles):
            # Most calls find all four as they were; describing fifty arrays anew takes longer than a small batch.
            if self._handled[place] is not bundle:
                self._handled[place], self._handles[place] = bundle, handle(bundle)
        return self._handles[0], self._handles[1], self._handles[2], self._handles[3]

    def _surroundings(self) -> Surroundings:
        known = (len(self._strings), len(self._zones.names))
        if known != self._known:
            self._known = known
            for text in self._strings.texts[len(self._text_ends) :]:
                self._text_bytes += text.encode("utf-8", "surrogatepass")
                self._text_ends.append(len(self._text_bytes))
            flat = np.frombuffer(bytes(self._text_bytes), np.uint8)
            self._around = Surroundings(*self._zones.arrays(), flat, np.array(self._text_ends, np.int64))
        return self._around

    def _take_outputs(self, effects: Effects, wall_ms: int, decisions: Sequence[str] = ()) -> None:
        """Write the records of what was put out, and make room for more."""
        outputs = self.outputs
        self._writer.write(outputs, effects, wall_ms, decisions)
        write_samples(outputs, self._version, self._users.ids, self._strings, effects)
        effects.applied += int(outputs.counts[APPLIED])
        effects.duplicates += int(outputs.counts[DUPLICATES])
        effects.evaluations += int(outputs.counts[EVALUATIONS])
        effects.repaired += int(outputs.counts[funnel.REPAIRED])
        for place, reason in enumerate(REPAIRS, funnel.REPAIRED + 1):
            if outputs.counts[place]:
                effects.repaired_counts[reason] = effects.repaired_counts.get(reason, 0) + int(outputs.counts[place])
        outputs.counts[:HEAP] = 0
        outputs.counts[funnel.REPAIRED :] = 0
        if outputs.counts[HEAP] + funnel.BLOCK > len(outputs.heap_due) // 2:
            self.outputs = with_larger_heap(outputs, 2 * len(outputs.heap_due))
