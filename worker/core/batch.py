"""What decoding comes to: columns of numbers for the pass, and what couldn't be understood.

The constants are the places of columns, and what their codes mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

__all__ = [
    "ACTIVITY", "AMOUNT", "CATEGORY", "CLOCK", "COLUMNS", "CONSENT", "DECISION", "DETAIL_VALUE", "FLAGS", "INDEX",
    "KIND", "MESSAGE", "OFFSET", "ORDER", "PRODUCT", "PROFILING", "QUANTITY", "RATING", "REPAIRS", "SLOT", "TIME",
    "TRAIT_NONE", "TRAIT_NUMBER", "TRAIT_TEXT", "VALUE", "WHAT", "ZONE", "Batch", "DeadLetter", "Refused", "Stop",
    "refuse",
]  # fmt: skip

SLOT, TIME, CLOCK, KIND, MESSAGE, ORDER, AMOUNT, ZONE, OFFSET, FLAGS = range(10)
COLUMNS: Final = 10
PRODUCT, CATEGORY, QUANTITY, VALUE = range(4)
WHAT, INDEX, DETAIL_VALUE = range(3)
TRAIT_NUMBER, TRAIT_TEXT, TRAIT_NONE, CONSENT, PROFILING, RATING, DECISION = range(7)  # what a detail is about
ACTIVITY: Final = 1  # bit of FLAGS; the bits above tell the repairs, in this order
REPAIRS: Final = (
    "future_timestamp", "bad_timezone", "bad_amount", "bad_field", "bad_product", "unknown_currency", "too_long",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that can't be understood: why, where, and its bytes as they came; none of an erased user's."""

    reason: str
    offset: int
    payload: bytes
    erased: bool = False  # its user was: it has no payload, and must have no key


@dataclass(frozen=True, slots=True)
class Stop:
    """Something has to happen before the next record: a UTC day (from the epoch) begins; None: a user needs room."""

    day: int | None


@dataclass(slots=True)
class Batch:
    """What a batch of payloads came to.

    records     int64[n, 10]    columns SLOT … FLAGS: times in ms, MESSAGE and ORDER 0 for no id, ZONE -1 for none,
                                AMOUNT in hundredths
    lines_end   int64[n]        record i has rows lines_end[i-1] to lines_end[i] of lines
    lines       float64[m, 4]   PRODUCT, CATEGORY (string numbers or -1); of carts QUANTITY, VALUE (hundredths), else 0
    details_end int64[n]        the same for details
    details     float64[k, 3]   WHAT, INDEX, value
    decisions   list[str]       decision ids that messages name; the INDEX of a DECISION is a place here
    """

    records: npt.NDArray[np.int64]
    lines_end: npt.NDArray[np.int64]
    lines: npt.NDArray[np.float64]
    details_end: npt.NDArray[np.int64]
    details: npt.NDArray[np.float64]
    decisions: list[str]
    dead_letters: list[DeadLetter]
    repaired: dict[str, int]
    repaired_records: int
    clock_ms: int | None
    read: int
    new_users: int
    ignored: int = 0  # of erased users
    stop: Stop | None = None  # why not all were read


class Refused(Exception):  # noqa: N818 - a verdict on the input, not an error
    """The record becomes a dead letter."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def refuse(reason: str) -> NoReturn:
    """Make the record a dead letter."""
    raise Refused(reason)
