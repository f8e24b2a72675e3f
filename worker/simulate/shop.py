"""The settings of a simulated shop, checked by pydantic. They and nothing else decide every byte it writes."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["DAY_MS", "HOUR_MS", "MINUTE_MS", "Incident", "Reaction", "Settings"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
LAST_DAY = date(9999, 1, 1)  # a year is left for what is late

Share = Annotated[float, Field(ge=0, le=1)]

INCIDENT_PATTERN = re.compile(r"(?P<kind>[a-z]+)@(?P<day>\d+(\.\d+)?)(\+(?P<hours>\d+))?")
INCIDENT_HOURS = {"outage": 6, "backlog": 3, "spike": 12, "drift": None}
INCIDENT_STRENGTHS = {"outage": 1.0, "backlog": 1.0, "spike": 4.0, "drift": 0.4}
USERS_PER_HOURLY_SLICE = 100_000
SLICE_MINUTES = (60, 30, 20, 15, 10, 5, 2, 1)


class Strict(BaseModel):
    """Frozen, and a misspelt setting is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Incident(Strict):
    """Something that befalls the shop at a chosen moment (rounded to whole hours).

    - `outage`: the shop is down, nobody can do anything.
    - `backlog`: the collector is down, events arrive all at once when it is back.
    - `spike`: a product goes viral: `strength` times the visits, most of them for that product.
    - `drift`: from then on shoppers fill carts and buy with `strength` times the usual probability, and their
      tastes move on.
    """

    kind: Literal["outage", "backlog", "spike", "drift"]
    day: float = Field(ge=0, description="days after the start")
    hours: int | None = Field(default=None, ge=1, description="how long; default by kind, a drift is for good")
    strength: float | None = Field(default=None, gt=0, le=20)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        kind = str(values.get("kind"))
        filled = {"hours": INCIDENT_HOURS.get(kind), "strength": INCIDENT_STRENGTHS.get(kind)}
        return filled | {name: value for name, value in values.items() if value is not None}

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `KIND@DAY` or `KIND@DAY+HOURS`, such as `spike@20.5+12`. Raises ValueError."""
        found = INCIDENT_PATTERN.fullmatch(text)
        if found is None or found["kind"] not in INCIDENT_HOURS:
            kinds = ", ".join(INCIDENT_HOURS)
            raise ValueError(f"{text!r} is no incident: write KIND@DAY or KIND@DAY+HOURS, KIND being one of {kinds}")
        return cls.model_validate({"kind": found["kind"], "day": found["day"], "hours": found["hours"]})


class Reaction(Strict):
    """How shoppers answer a trigger.

    `effect` is the probability of one order more, over and above what the shopper would have bought anyway;
    `effects` sets it for single campaigns (`cart_reminder`) or variants of them (`cart_reminder:discount`).
    """

    effect: Share = 0.1
    effects: dict[str, Share] = {}
    within_minutes: int = Field(default=24 * 60, ge=10, description="the order comes so soon after the message")
    clicks: Share = Field(default=0.1, description="share of those who click without buying")


class Settings(Strict):
    """A shop. `late`, `duplicates` and `malformed` are shares of its true events."""

    users: int = Field(default=1_000, ge=1, le=10_000_000)
    days: int = Field(default=30, ge=1, le=2_000)
    seed: int = Field(default=1, ge=0)
    start: date = Field(default=date(2026, 1, 5), ge=date(1970, 1, 1))
    late: Share = 0.01
    duplicates: Share = 0.005
    malformed: Share = 0.001
    anonymous: Share = Field(default=0.05, description="share of users known by an anonymousId only")
    newcomers: Share = Field(default=0.3, description="share of users who aren't customers yet at the start")
    products: int = Field(default=2_000, ge=50, le=60_000)
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    incidents: tuple[Incident, ...] = ()
    reaction: Reaction = Reaction()
    slice_minutes: int | None = Field(default=None, description="length of a batch; a divisor of 60, default by users")

    @model_validator(mode="after")
    def _ends_within_the_calendar(self) -> Self:
        if self.start.toordinal() + self.days > LAST_DAY.toordinal():
            raise ValueError(f"start and days must end by {LAST_DAY}")
        return self

    @model_validator(mode="after")
    def _slice_fits_the_hour(self) -> Self:
        if self.slice_minutes is not None and self.slice_minutes not in SLICE_MINUTES:
            raise ValueError(f"slice_minutes must be one of {', '.join(map(str, SLICE_MINUTES))}")
        return self

    @property
    def start_ms(self) -> int:
        """Midnight UTC of the first day, ms since the epoch."""
        return int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """Nothing happens at or after this instant."""
        return self.start_ms + self.days * DAY_MS

    @property
    def slice_ms(self) -> int:
        """Length of a batch in simulated time: an hour, less for a large shop so that a batch stays small."""
        fitting = [minutes for minutes in SLICE_MINUTES if minutes * self.users <= 60 * USERS_PER_HOURLY_SLICE]
        return MINUTE_MS * (self.slice_minutes or (fitting or [1])[0])
