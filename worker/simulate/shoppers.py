"""Who shops here: six types, where they live, and the little that is remembered of each.

A shopper is a number. Her type, place, age, consents, tastes and temper are hashes of it (`draws.py`) and cost no
memory; 14 bytes are remembered: cohort (1), when her first visit is due (2), when she leaves (2), today's rate (4),
until when she is busy (4), flags (1). Ten million shoppers are 140 MB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.simulate.draws import Dice, Floats, Integers, lognormal_table, look_up
from worker.simulate.shop import Settings

__all__ = [
    "ANONYMOUS", "CHURNING", "FIRST_VISIT_HOURS", "NEVER", "NEWCOMER", "ONE_TIME", "ORDERED", "PLACES", "SEEN",
    "TYPES", "UNSUBSCRIBED", "Population",
]  # fmt: skip


@dataclass(frozen=True)
class ShopperType:
    """How one type behaves. Rates are probabilities: per view, cart, checkout or order as their names say."""

    name: str
    letter: str
    share: float
    rhythm: str
    sessions_per_day: float
    views: float  # mean per session
    search: float
    add_per_view: float
    wishlist_per_view: float
    remove_per_add: float
    checkout_per_cart: float
    order_per_checkout: float
    refund_per_order: float
    complaint_per_order: float
    review_per_order: float
    ratings: tuple[int, int]
    on_sale: float  # share of products bought at the reduced price
    dormancy: float  # share of the three-week periods spent away


# fmt: off
TYPES = (
    ShopperType("browser", "b", 0.40, "evening", 0.40, 7.0, 0.30,
                0.05, 0.05, 0.20, 0.20, 0.50, 0.05, 0.02, 0.08, (3, 5), 0.25, 0.25),
    ShopperType("bargain_hunter", "h", 0.18, "evening", 0.45, 9.0, 0.70,
                0.15, 0.15, 0.40, 0.25, 0.60, 0.12, 0.03, 0.12, (3, 5), 0.85, 0.15),
    ShopperType("loyal", "l", 0.14, "day", 0.40, 4.5, 0.35,
                0.28, 0.05, 0.08, 0.45, 0.85, 0.03, 0.01, 0.30, (4, 5), 0.20, 0.02),
    ShopperType("one_time", "o", 0.13, "evening", 0.20, 4.0, 0.50,
                0.35, 0.02, 0.05, 0.60, 0.80, 0.06, 0.02, 0.08, (2, 5), 0.30, 0.10),
    ShopperType("churning", "c", 0.10, "day", 0.55, 5.0, 0.35,
                0.22, 0.05, 0.12, 0.40, 0.75, 0.10, 0.05, 0.12, (2, 4), 0.30, 0.00),
    ShopperType("complainer", "m", 0.05, "day", 0.35, 5.0, 0.40,
                0.25, 0.03, 0.20, 0.45, 0.75, 0.45, 0.60, 0.50, (1, 2), 0.30, 0.05),
)
# fmt: on
ONE_TIME = [kind.name for kind in TYPES].index("one_time")
CHURNING = [kind.name for kind in TYPES].index("churning")


@dataclass(frozen=True)
class Place:
    """Where shoppers live."""

    zone: str
    country: str
    language: str
    share: float


PLACES = (
    Place("Europe/Berlin", "DE", "de", 0.32),
    Place("Europe/Vienna", "AT", "de", 0.06),
    Place("Europe/Zurich", "CH", "de", 0.04),
    Place("Europe/Paris", "FR", "fr", 0.12),
    Place("Europe/London", "GB", "en", 0.14),
    Place("Europe/Madrid", "ES", "es", 0.07),
    Place("Europe/Warsaw", "PL", "pl", 0.05),
    Place("America/New_York", "US", "en", 0.09),
    Place("America/Los_Angeles", "US", "en", 0.04),
    Place("America/Sao_Paulo", "BR", "pt", 0.03),
    Place("Asia/Kolkata", "IN", "en", 0.02),
    Place("Asia/Tokyo", "JP", "ja", 0.02),
)

SEEN, ORDERED, UNSUBSCRIBED, ANONYMOUS, NEWCOMER = 1, 2, 4, 8, 16  # bits of `Population.flags`
NEVER = 65_535
CHUNK = 65_536
"""Users looked at together: what a chunk needs fits the processor's cache, and memory stays bounded."""

DECLINE_DAYS = 14
DORMANT_DAYS = 21
TEMPERS = lognormal_table(0.6)
FIRST_VISIT_HOURS = 24


def _cumulated(shares: list[float]) -> Floats:
    return np.round(np.cumsum(shares) / sum(shares), 9)


def _by_type(name: str) -> Floats:
    return np.array([getattr(kind, name) for kind in TYPES], np.float64)


class Population:
    """All shoppers of a shop, a few arrays with a row each."""

    def __init__(self, settings: Settings, dice: Dice) -> None:
        self.settings = settings
        self.dice = dice
        count = settings.users
        self.cohort = np.zeros(count, np.uint8)  # place × types + type
        self.due_hour = np.zeros(count, np.uint16)  # from when on her first visit is overdue
        self.leaves_day = np.full(count, NEVER, np.uint16)
        self.rate = np.zeros(count, np.float32)  # visits per hour, before the rhythm
        self.busy_until_s = np.zeros(count, np.uint32)  # seconds since the start
        self.flags = np.zeros(count, np.uint8)
        for users in self.chunks():
            self._found(users)

    def chunks(self) -> list[Integers]:
        """The numbers of all users, in pieces."""
        count = self.settings.users
        return [np.arange(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]

    def types(self, users: Integers | NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The type of each user, an index into `TYPES`."""
        return self.cohort[users] % np.uint8(len(TYPES))

    def places(self, users: Integers | NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The home of each user, an index into `PLACES`."""
        return self.cohort[users] // np.uint8(len(TYPES))

    def user_id(self, user: int) -> str:
        """The id under which the worker knows a user."""
        return f"anon:a-{user}" if self.flags[user] & ANONYMOUS else f"u-{user}"

    def number(self, user_id: str) -> int | None:
        """The user of this id, or None if she isn't one of this shop."""
        prefix, _, digits = user_id.rpartition("-")
        user = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 8 else -1
        known = 0 <= user < self.settings.users and prefix in ("u", "anon:a") and self.user_id(user) == user_id
        return user if known else None

    def begin_day(self, day: int) -> None:
        """Sets everybody's rate for this day: 0 for those not yet, no longer or at present not interested."""
        sessions_per_hour = _by_type("sessions_per_day") / 24
        dormancy = _by_type("dormancy")
        for users in self.chunks():
            kinds = self.types(users)
            temper = look_up(TEMPERS, self.dice.uniform("temper", users))
            phase = self.dice.below(DORMANT_DAYS, "phase", users)
            period = (phase + day) // DORMANT_DAYS
            awake = self.dice.uniform("dormant", users, period) >= dormancy[kinds]
            rate = sessions_per_hour[kinds] * temper * awake * self._staying(users, kinds, day)
            self.rate[users] = rate

    def _staying(self, users: Integers, kinds: NDArray[np.uint8], day: int) -> Floats:
        days_left = self.leaves_day[users].astype(np.float64) - day
        slope = np.where(kinds == CHURNING, DECLINE_DAYS, 1)
        return np.clip(days_left / slope, 0.0, 1.0)

    def _found(self, users: Integers) -> None:
        kinds = np.searchsorted(_cumulated([kind.share for kind in TYPES]), self.dice.uniform("type", users), "right")
        homes = _cumulated([place.share for place in PLACES])
        places = np.searchsorted(homes, self.dice.uniform("place", users), "right")
        self.cohort[users] = places * len(TYPES) + kinds
        new = self.dice.uniform("newcomer", users) < self.settings.newcomers
        anonymous = self.dice.uniform("anonymous", users) < self.settings.anonymous
        self.flags[users] = ANONYMOUS * anonymous + NEWCOMER * new
        # The first visit may take a day, so none falls due in the last one.
        hours = max(self.settings.days * 24 - FIRST_VISIT_HOURS, 1)
        due_hour = self.dice.below(hours, "joins", users)
        leaves_day = self._leave_days(users, np.where(new, due_hour // 24, 0))
        churning = kinds == CHURNING
        self.leaves_day[users] = np.where(churning, leaves_day, NEVER)
        self.due_hour[users] = np.where(churning, np.minimum(due_hour, (leaves_day - 2) * 24), due_hour)

    def _leave_days(self, users: Integers, first_days: Integers) -> Integers:
        span = np.maximum(self.settings.days - first_days, 1)
        return first_days + 2 + (self.dice.uniform("leaves", users) * span).astype(np.int64)
