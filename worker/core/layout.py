"""Which columns a user's row has: computed from what the definitions and the model read.

A row is `words` 8-byte words. Its first words are the same in every layout, hot ones first; the rest follow by need,
8-byte columns before 4-byte ones. Three views of the same memory reach them: `wide` (int64), `real` (float64)
and `narrow` (int32, two to a word); a column is only ever used through one of them. Columns are known by name, which
is how rows move from one layout to the next.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVITIES", "CART_PRODUCTS", "CLOCK", "EARLIEST", "EVENINGS", "FOREVER", "HEADS", "INTERESTS", "LAST_ACTIVITY",
    "MESSAGES_REMEMBERED", "MESSAGE_PLACE", "NEVER", "NOBODYS", "ORDERS_REMEMBERED", "ORDER_PLACE", "PROFILING",
    "RECENT_PRODUCTS", "REFUND_PLACE", "SEEN", "SENDS_REMEMBERED", "SEQ", "SESSIONS", "SESSION_EVENTS",
    "SESSION_FIRST", "SESSION_LAST", "TEXTS", "USER_HASH", "VERSION", "WEEKENDS", "ZONE", "Layout",
]  # fmt: skip

NEVER = -(1 << 62)
FOREVER = 1 << 62

# Fixed wide columns.
CLOCK, USER_HASH, EARLIEST, LAST_ACTIVITY, SESSION_FIRST, SESSION_LAST = range(6)
# Fixed narrow columns, in 4-byte units: words 6 to 14.
(SEQ, VERSION, ZONE, PROFILING, SESSION_EVENTS, SESSIONS, ACTIVITIES, EVENINGS, WEEKENDS,
 MESSAGE_PLACE, ORDER_PLACE, REFUND_PLACE, HEADS) = range(12, 25)  # fmt: skip
SEEN = 29  # HEADS has five
NOBODYS = -1  # the version of a row that belongs to nobody
FIXED_WORDS = 15
# Columns, by the beginning of their names, that hold numbers of texts.
TEXTS = frozenset((
    "cart_ids", "cluster", "cluster_of", "interest_ids", "last_variant", "recent_ids", "scored_by", "trait_text",
))  # fmt: skip
MESSAGES_REMEMBERED = 32
ORDERS_REMEMBERED = 8
INTERESTS = 8
CART_PRODUCTS = 10
RECENT_PRODUCTS = 5
SENDS_REMEMBERED = 8

_FIXED = {
    "clock": ("wide", CLOCK, 1, NEVER), "user_hash": ("wide", USER_HASH, 1, 0),
    "earliest": ("wide", EARLIEST, 1, NEVER), "last_activity": ("wide", LAST_ACTIVITY, 1, NEVER),
    "session_first": ("wide", SESSION_FIRST, 1, NEVER), "session_last": ("wide", SESSION_LAST, 1, NEVER),
    "seq": ("narrow", SEQ, 1, 0), "version": ("narrow", VERSION, 1, 0), "zone": ("narrow", ZONE, 1, -1),
    "profiling": ("narrow", PROFILING, 1, -1), "session_events": ("narrow", SESSION_EVENTS, 1, 0),
    "sessions": ("narrow", SESSIONS, 1, 0), "activities": ("narrow", ACTIVITIES, 1, 0),
    "evenings": ("narrow", EVENINGS, 1, 0), "weekends": ("narrow", WEEKENDS, 1, 0),
    "message_place": ("narrow", MESSAGE_PLACE, 1, 0), "order_place": ("narrow", ORDER_PLACE, 1, 0),
    "refund_place": ("narrow", REFUND_PLACE, 1, 0), "heads": ("narrow", HEADS, 5, -(1 << 31)),
    "seen": ("narrow", SEEN, 1, 1 << 30),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """`offset` and `length` count 8-byte words, 4-byte ones where `view` is `narrow`; `fill` is a new row's value."""

    view: str
    offset: int
    length: int
    fill: float


@dataclass
class Layout:
    """The columns of a row by name, in order of offset."""

    columns: dict[str, Column] = field(default_factory=dict)
    words: int = 0

    @classmethod
    def of(cls, wanted: Iterable[tuple[str, str, int, float]]) -> "Layout":
        """Lay out the fixed columns and the `wanted` ones: (name, view, length, fill), a repeated name once."""
        layout = cls(
            {name: Column(view, at, length, float(fill)) for name, (view, at, length, fill) in _FIXED.items()},
            FIXED_WORDS,
        )
        requested = {name: (view, length, fill) for name, view, length, fill in wanted}
        for name, (view, length, fill) in requested.items():
            if view != "narrow":
                layout.columns[name] = Column(view, layout.words, length, float(fill))
                layout.words += length
        narrow_at = layout.words * 2
        for name, (view, length, fill) in requested.items():
            if view == "narrow":
                layout.columns[name] = Column(view, narrow_at, length, float(fill))
                narrow_at += length
        layout.words = (narrow_at + 1) // 2
        return layout

    def __getitem__(self, name: str) -> int:
        """Return the offset of a column, in units of its view."""
        return self.columns[name].offset

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def hash(self) -> str:
        """16 hex digits that tell layouts apart: rows carry over as they are only between equal ones."""
        text = repr([(name, column.view, column.offset, column.length) for name, column in self.columns.items()])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def of_texts(self) -> list[Column]:
        """Return the columns that hold numbers of texts, all of them narrow."""
        return [column for name, column in self.columns.items() if name.partition(":")[0] in TEXTS]

    def blank(self) -> npt.NDArray[np.int64]:
        """Return a new user's row, int64[words]."""
        row = np.zeros(self.words, np.int64)
        views: dict[str, npt.NDArray[Any]] = {"wide": row, "real": row.view(np.float64), "narrow": row.view(np.int32)}
        for column in self.columns.values():
            views[column.view][column.offset : column.offset + column.length] = column.fill
        return row

    def moves_from(self, old: "Layout") -> npt.NDArray[np.int64]:
        """Return int64[m, 3]: (from, to, count) in 4-byte units, to carry a row over from `old`."""
        moves = []
        for name, column in self.columns.items():
            before = old.columns.get(name)
            if before is not None and before.view == column.view:
                unit = 1 if column.view == "narrow" else 2
                count = min(before.length, column.length) * unit
                moves.append((before.offset * unit, column.offset * unit, count))
        return np.array(moves, np.int64).reshape(-1, 3)

    def as_list(self) -> list[tuple[str, str, int, int, float]]:
        """Return the layout as plain data, to be stored with the rows."""
        return [(name, c.view, c.offset, c.length, c.fill) for name, c in self.columns.items()]

    @classmethod
    def from_list(cls, rows: Iterable[tuple[str, str, int, int, float]], words: int) -> "Layout":
        """Read back what `as_list` gave."""
        return cls({name: Column(view, offset, length, fill) for name, view, offset, length, fill in rows}, words)
