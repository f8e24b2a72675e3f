"""Which record breaks the engine: found by halving, and made a dead letter, loudly; the rest goes on.

The rule: a batch that failed is taken again in halves, each from a restored state, until one record is left. Only
when it has failed alone is it refused, with the reason `engine_error`. If one record after the other fails it isn't
they who are wrong: then nothing more is refused, and the partition stops.
"""

from collections.abc import Sequence

from worker.core.engine import Engine
from worker.core.records import Effects
from worker.kafka.wire import Record
from worker.observe.logs import log

__all__ = ["REFUSED_IN_A_ROW_MAX", "EngineFault", "Records", "Suspects"]

Records = Sequence[Record]
ATTEMPTS_ALONE = 2
REFUSED_IN_A_ROW_MAX = 10


class EngineFault(Exception):  # noqa: N818  whose fault it is
    """A step failed, or what it came to can't be stored; the records that were in it."""

    def __init__(self, records: Records, error: Exception) -> None:
        super().__init__(type(error).__name__)  # its message may quote the record
        self.offsets = [record.offset for record in records]


class Suspects:
    """What is known of records that may break the engine; survives the partition's restarts."""

    def __init__(self) -> None:
        self._records_max: int | None = None
        self._until = 0
        self._alone: int | None = None
        self._attempts = 0
        self._guilty: int | None = None
        self._is_found = False
        self._refused_in_a_row = 0
        self._refused_until = 0

    @property
    def everything_breaks(self) -> bool:
        """Whether so many records in a row have been found guilty that it can't be for what is in them."""
        return self._guilty is not None and self._refused_in_a_row >= REFUSED_IN_A_ROW_MAX

    def records_max(self, most: int) -> int:
        """How many records to take at once, at most."""
        return most if self._records_max is None else min(most, self._records_max)

    def blame(self, fault: EngineFault) -> bool:
        """Draw the circle closer after a fault; return whether that was possible."""
        if not fault.offsets:
            return False
        self._is_found = False
        self._until = max(self._until, fault.offsets[-1] + 1)
        self._records_max = max(1, len(fault.offsets) // 2)
        if len(fault.offsets) == 1:
            self._blame_alone(fault.offsets[0])
        return len(fault.offsets) > 1

    def _blame_alone(self, offset: int) -> None:
        self._attempts = self._attempts + 1 if offset == self._alone else 1
        self._alone = offset
        if self._attempts >= ATTEMPTS_ALONE:
            self._guilty = offset

    def passed(self, next_offset: int) -> None:
        """Records before this offset are committed."""
        if self._guilty is not None and next_offset > self._guilty:
            self._guilty, self._is_found = None, True
            self._refused_in_a_row, self._refused_until = self._refused_in_a_row + 1, next_offset
        elif next_offset > self._refused_until:
            self._refused_in_a_row = 0
            if self._records_max is not None and self._is_found:
                self._records_max *= 2  # the rest of the batch is likely well, but perhaps not what follows
        if next_offset >= self._until:
            self._records_max = None

    def step(self, engine: Engine, records: Records, wall_ms: int, due_users_max: int) -> Effects:
        """Have the engine take the records; one that was found guilty becomes a dead letter instead."""
        effects = Effects()
        taken = [record for record in records if record.offset != self._guilty]
        if len(taken) < len(records):
            guilty = next(record for record in records if record.offset == self._guilty)
            log("partition").error(
                "A record breaks the engine and becomes a dead letter: report it.",
                partition=engine.partition, offset=guilty.offset,
            )  # fmt: skip
            effects.add(engine.refused(guilty.value or b"", guilty.offset))
        if taken:
            effects.add(_step(engine, taken, wall_ms, due_users_max))
        return effects


def _step(engine: Engine, records: Records, wall_ms: int, due_users_max: int) -> Effects:
    return engine.step(
        [record.value or b"" for record in records], [record.offset for record in records],
        [record.key for record in records], [record.timestamp for record in records],
        wall_ms=wall_ms, due_rows_max=due_users_max,
    )  # fmt: skip
