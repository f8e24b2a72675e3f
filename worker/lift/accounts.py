"""Accounts: what the users of one arm of a run add up to.

The rule: an account is a sum over users, of whole numbers alone, so that it is the same in whatever order it is made. A
user's outcome is counted when her window is over, in every arm alike; what she was sent is counted at once.
"""

import msgspec

from worker.lift.people import CLICKED, FIRED, SENT, Part
from worker.lift.statistics import Sums

__all__ = ["HELD_SINCE_MS", "Account", "add_part", "merge"]

LATE_MS = 3_600_000
"""A window is over an hour after its end; what comes later still corrects what was counted."""
HELD_SINCE_MS = 28 * 86_400_000
"""Who was active in the two weeks before her first observation after so long is held."""


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


def add_part(account: Account, part: Part, clock_ms: int) -> None:
    """Add a user's part to the account of her arm, as of an instant of her partition."""
    account.assigned += 1
    account.limited += part.limited
    account.fired += bool(part.seen & FIRED)
    account.sent += bool(part.seen & SENT)
    account.clicked += bool(part.seen & CLICKED)
    account.converted += part.conversions > 0
    account.conversions += part.conversions
    account.amount += part.amount
    if part.limited:
        return
    if part.active >= 0:
        account.observed += 1
        account.active += part.active
    if clock_ms >= part.until_ms + LATE_MS:
        account.users += 1
        account.users_converted += part.conversions > 0
        account.users_amount += part.amount
        account.amount_squares += part.amount * part.amount
        account.users_fired += bool(part.seen & FIRED)
        account.users_cost_micros += part.cost_micros


def merge(account: Account, more: Account) -> None:
    """Add another account of the same arm."""
    for name in Account.__struct_fields__:
        setattr(account, name, getattr(account, name) + getattr(more, name))
