"""The rows of a partition: arrays that grow, and rows that move to another layout when a version needs one.

The rule: a row that waits to be carried over lies as the version before laid it out: in its place where the new layout
fits into the room there is, else in the room before, which is given back piece by piece. It is carried over
before anything touches it. `due` holds FOREVER for rows that a new version has yet to evaluate, so that time
doesn't pass for them before it has.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.core.checks import HOURS_COUNTED
from worker.core.funnel import BLOCK, migrate
from worker.core.layout import FOREVER, NEVER, NOBODYS, USER_HASH, VERSION, Layout
from worker.core.room import PIECE_ROWS, Room
from worker.core.seeds import seed_of
from worker.core.tables import StateArrays

__all__ = ["Rows", "empty_hours", "width_of"]

Integers = npt.NDArray[np.int64]
NOBODY: npt.NDArray[np.bool_] = np.empty(0, np.bool_)


class Rows:
    """A row per user under one layout, when each is due, and the campaigns' counts by hour."""

    def __init__(self, layout: Layout, version: int, campaigns: int) -> None:
        self.layout = layout
        self.count = 0
        self._previous: Room | None = None
        self._moves: Integers = np.empty((0, 3), np.int64)
        self._waiting = NOBODY
        self._waiting_in_piece: Integers = np.empty(0, np.int64)
        self._blank = self._blank_row(version)
        self._room = Room(0, width_of(layout.words))
        self.due: Integers = np.empty(0, np.int64)
        self.block_due: Integers = np.empty(0, np.int64)
        self.changed: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self.hours: Integers = empty_hours(campaigns)
        self._arrays: StateArrays | None = None
        self._held: tuple[npt.NDArray[Any], ...] = ()

    def _blank_row(self, version: int) -> Integers:
        row = self.layout.blank()
        row.view(np.int32)[self.layout["version"]] = version
        return row

    @property
    def rows(self) -> Integers:
        """int64[capacity, width]: a layout's words and up to 7 more."""
        return self._room.rows

    @property
    def capacity(self) -> int:
        """How many users there is room for."""
        return len(self.rows)

    def add(self, user_ids: list[str]) -> None:
        """Give new users a row each, at the end."""
        first, last = self.count, self.count + len(user_ids)
        if last > self.capacity:
            self._grow(max(last, self.capacity + self.capacity // 2, 1024))
        self.rows[first:last, : self.layout.words] = self._blank
        self.rows[first:last, USER_HASH] = [seed_of(user_id) for user_id in user_ids]
        self.due[first:last] = FOREVER
        self.count = last

    def begin_anew(self, user_ids: Mapping[int, str]) -> None:
        """Give users the rows at these slots, which are nobody's any more and have been carried over."""
        for slot, user_id in user_ids.items():
            self.rows[slot, : self.layout.words] = self._blank
            self.rows[slot, USER_HASH] = seed_of(user_id)

    def wipe(self, slot: int) -> None:
        """Leave nothing in a row that is nobody's any more; whoever gets it next begins anew."""
        self.carried_over(np.array([slot], np.int64))
        self.rows[slot] = 0
        self.rows[slot, : self.layout.words] = self.layout.blank()
        self.rows.view(np.int32)[slot, VERSION] = NOBODYS
        self.due[slot] = FOREVER
        self.changed[slot] = False

    def _grow(self, capacity: int) -> None:
        room = Room(capacity, self.rows.shape[1])
        self._room.move_to(room, self.count)
        due = np.full(capacity, FOREVER, np.int64)
        due[: self.count] = self.due[: self.count]
        block_due = np.full((capacity + BLOCK - 1) // BLOCK, FOREVER, np.int64)
        block_due[: len(self.block_due)] = self.block_due
        changed = np.zeros(capacity, np.bool_)
        changed[: self.count] = self.changed[: self.count]
        self._room, self.due, self.block_due, self.changed = room, due, block_due, changed

    def arrays(self) -> StateArrays:
        """Return the arrays of the pass; the same object until one of them is replaced."""
        held = (self.rows, self.due, self.block_due, self.changed, self.hours)
        if self._arrays is None or any(a is not b for a, b in zip(held, self._held, strict=True)):
            self._held = held
            real, narrow = self.rows.view(np.float64), self.rows.view(np.int32)
            self._arrays = StateArrays(self.rows, real, narrow, self.due, self.block_due, self.changed, self.hours)
        return self._arrays

    def change_layout(self, layout: Layout, version: int) -> None:
        """Begin a version: every row waits, to be carried over and evaluated when it is touched or its turn comes."""
        old = self.layout
        self.layout = layout
        self._blank = self._blank_row(version)
        self.due[: self.count] = FOREVER
        self.block_due[:] = FOREVER
        if layout.hash == old.hash:
            return
        self._moves = layout.moves_from(old)
        self._waiting = np.ones(self.count, np.bool_)
        self._waiting_in_piece = np.bincount(np.arange(self.count) // PIECE_ROWS)
        self._previous = None
        if layout.words > self.rows.shape[1]:
            self._previous, self._room = self._room, Room(self.capacity, width_of(layout.words))

    def restore(self, rows: Integers) -> None:
        """Take over the rows of all users, int64[users, words] under this layout."""
        room = Room(len(rows), width_of(self.layout.words))
        room.rows[:, : self.layout.words] = rows
        self.take_over(room, len(rows))

    def take_over(self, room: Room, count: int) -> None:
        """Go on in a room of this layout's width, whose first `count` rows are the users'."""
        self.count, self._room = count, room
        self.changed = np.zeros(len(room.rows), np.bool_)

    def restore_due(self, due: Integers) -> None:
        """Take over when each row is due, int64[users]."""
        self.due = np.full(self.capacity, FOREVER, np.int64)
        self.due[: len(due)] = due
        starts = np.arange(0, self.capacity, BLOCK)
        self.block_due = np.minimum.reduceat(self.due, starts) if self.capacity else np.empty(0, np.int64)

    def restore_hours(self, campaigns: Sequence[str], counted: Mapping[str, bytes]) -> None:
        """Take over the counts by hour of these campaigns, as their bytes by id; those of no other."""
        self.hours = empty_hours(len(campaigns))
        for place, campaign in enumerate(campaigns):
            if campaign in counted:
                self.hours[place] = np.frombuffer(counted[campaign], np.int64).reshape(self.hours[place].shape)

    def take_changed(self) -> Integers:
        """Return the slots of those evaluated since the last call, ascending."""
        slots = np.flatnonzero(self.changed[: self.count])
        self.changed[slots] = False
        return slots

    def carried_over(self, slots: Integers) -> tuple[Integers, npt.NDArray[np.int32]]:
        """Carry over those of `slots` that still wait; return the rows as int64 and as int32, by slot."""
        if len(self._waiting):
            self._carry_over(slots)
        return self.rows, self.rows.view(np.int32)

    def _carry_over(self, slots: Integers) -> None:
        slots = np.unique(slots[slots < len(self._waiting)])
        slots = slots[self._waiting[slots]]
        if not len(slots):
            return
        source = self.rows if self._previous is None else self._previous.rows
        scratch = np.empty(2 * source.shape[1], np.int32)
        blank = self._blank.view(np.int32)
        pieces, firsts = np.unique(slots // PIECE_ROWS, return_index=True)
        for piece, part in zip(pieces, np.split(slots, firsts[1:]), strict=True):
            migrate(source.view(np.int32), self.rows.view(np.int32), self._moves, blank, scratch, part)
            self._waiting_in_piece[piece] -= len(part)
            if self._previous is not None and self._waiting_in_piece[piece] == 0:
                self._previous.release(piece * PIECE_ROWS, (piece + 1) * PIECE_ROWS)
        self._waiting[slots] = False
        if not self._waiting_in_piece.any():
            self._previous, self._waiting = None, NOBODY


def width_of(words: int) -> int:
    """Return the room of a row in words, whole cache lines: a few columns more need no larger rows."""
    return -(-words // 8) * 8


def empty_hours(campaigns: int) -> Integers:
    """Return counters of fired decisions by campaign and hour: int64[campaigns, 32, 2]."""
    hours = np.zeros((campaigns, HOURS_COUNTED, 2), np.int64)
    hours[:, :, 0] = NEVER
    return hours
