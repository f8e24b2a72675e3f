"""Accounts: what the users of one arm of a run add up to.

The rule: an account is a sum over users, of whole numbers alone, so that it is the same in whatever order it is made. A
user's outcome is counted when her window is over, in every arm alike; what she was sent is counted at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec
import numpy as np
import numpy.typing as npt

from worker.lift.people import ACTIVE, CLICKED, FIRED, LIMITED, OBSERVED, SENT, Rows, rows_of
from worker.lift.statistics import Sums

__all__ = ["Account", "Totals", "merge", "totals"]

LATE_MS = 3_600_000
"""A window is over an hour after its end; what comes later still corrects what was counted."""
USERS_AT_ONCE = 10_000  # some megabytes of columns
PARTITIONS = 1 << 16

Integers = npt.NDArray[np.int64]
Totals = dict[tuple[int, int], "Account"]
"""Accounts by (number of the run, arm)."""


class Account(msgspec.Struct, array_like=True):
    """The users of an arm, and of those who are compared the outcomes."""

    assigned: int = 0
    limited: int = 0
    fired: int = 0
    sent: int = 0
    clicked: int = 0
    converted: int = 0  # so far, windows that are open included
    conversions: int = 0
    amount: int = 0  # hundredths
    # Of those who are compared and whose window is over.
    users: int = 0
    users_converted: int = 0
    users_amount: int = 0
    amount_squares: int = 0
    users_fired: int = 0
    users_cost_micros: int = 0
    # Of those who are compared and were seen four weeks later.
    observed: int = 0
    active: int = 0

    @property
    def converting(self) -> Sums:
        """Who converted, of the users compared."""
        return Sums(self.users, self.users_converted, self.users_converted, self.users_converted)

    @property
    def revenue(self) -> Sums:
        """What they spent, in the currency."""
        return Sums(self.users, self.users_converted, self.users_amount / 100, self.amount_squares / 10_000)

    @property
    def retained(self) -> Sums:
        """Who is still active, of those seen."""
        return Sums(self.observed, self.active, self.active, self.active)


def totals(entries: Iterable[bytes], clocks: Mapping[int, int]) -> Totals:
    """Return what users' entries add up to, each as of the clock of her part's partition, ms."""
    found: Totals = defaultdict(Account)
    clock_of = np.full(PARTITIONS, 0)
    clock_of[list(clocks)] = list(clocks.values())
    waiting = iter(entries)
    while chunk := list(islice(waiting, USERS_AT_ONCE)):
        rows = rows_of(chunk)
        for key, account in _added_up(rows, clock_of[rows["partition"]]):
            merge(found[key], account)
    return found


def _added_up(rows: Rows, clock_ms: Integers) -> Iterator[tuple[tuple[int, int], Account]]:
    """Yield ((run, arm), account) of parts; `clock_ms` is that of each."""
    order = np.lexsort((rows["arm"], rows["run"]))
    rows, clock_ms = rows[order], clock_ms[order]
    changes = (np.diff(rows["run"]) != 0) | (np.diff(rows["arm"]) != 0)
    begins = np.concatenate(([0], np.flatnonzero(changes) + 1)) if len(rows) else np.empty(0, np.int64)
    columns = _columns(rows, clock_ms)
    sums = {name: _sums(column, begins) for name, column in columns.items()}
    sums["amount_squares"] = _sums(columns["users_amount"], begins, power=2)
    for place, begin in enumerate(begins.tolist()):
        account = Account(**{name: of[place] for name, of in sums.items()})
        yield (int(rows["run"][begin]), int(rows["arm"][begin])), account


def _columns(rows: Rows, clock_ms: Integers) -> dict[str, Integers]:
    """Return what each part adds to each sum but that of squares."""
    seen, converted, amount = rows["seen"], rows["conversions"] > 0, rows["amount"]
    compared = seen & LIMITED == 0
    judged = compared & (clock_ms >= rows["until_ms"] + LATE_MS)
    return {
        "assigned": np.ones(len(rows), np.int64),
        "limited": seen & LIMITED != 0,
        "fired": seen & FIRED != 0,
        "sent": seen & SENT != 0,
        "clicked": seen & CLICKED != 0,
        "converted": converted,
        "conversions": rows["conversions"],
        "amount": amount,
        "users": judged,
        "users_converted": judged & converted,
        "users_amount": judged * amount,
        "users_fired": judged & (seen & FIRED != 0),
        "users_cost_micros": judged * rows["cost_micros"],
        "observed": compared & (seen & OBSERVED != 0),
        "active": compared & (seen & ACTIVE != 0),
    }


def _sums(column: Integers, begins: Integers, power: int = 1) -> list[int]:
    """Return the sums of powers from each begin to the next; in numbers of any size where 64 bits may be too few."""
    largest = int(column.max(initial=0)) ** power * len(column)
    values = column.astype(np.int64 if largest < 1 << 63 else object)
    found: list[int] = np.add.reduceat(values**power, begins).tolist()
    return found


def merge(account: Account, more: Account) -> None:
    """Add another account of the same arm."""
    for name in Account.__struct_fields__:
        setattr(account, name, getattr(account, name) + getattr(more, name))
