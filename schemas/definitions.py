"""Segments, campaigns, targets, caps and tests: what a person writes in the definitions file.

A model's fields are the file's keys. Durations are written `90s 30m 2h 7d 4w` and held in milliseconds, times of day
in minutes. The rule: each model judges what it can see alone; what needs the whole file (does the segment of that
trigger exist? does the condition parse?) is judged when a file is loaded. Every message says what to do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ModelWrapValidatorHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

__all__ = [
    "CAMPAIGNS_MAX", "SEGMENTS_MAX", "TARGETS_MAX", "TRAITS_MAX", "UNITS_MS", "Campaign", "Cap",
    "Conversion", "Definitions", "Expect", "Given", "Holdout", "Kind", "QuietHours", "Retention", "Segment", "Target",
    "Test", "Tier", "Trigger", "Variant", "channels", "consented_channels", "zone_names",
]  # fmt: skip

SEGMENTS_MAX: Final = 256  # tiers counted
CAMPAIGNS_MAX: Final = 64
CAPS_MAX: Final = 4
TARGETS_MAX: Final = 8
TRAITS_MAX: Final = 16
CHANNELS: Final = ("email", "push", "sms")  # of the kinds of messages that the shipped mapping knows
DAY_MS: Final = 86_400_000
DURATION_MS_MAX: Final = 36_500 * DAY_MS
UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
ID_PATTERN: Final = "^[a-z0-9_-]{1,64}$"

Kind = Literal[
    "view", "search", "cart_add", "cart_remove", "wishlist", "checkout", "order", "refund", "review", "complaint",
    "message_sent", "message_clicked", "other",
]  # fmt: skip


def duration_ms(text: str) -> int:
    """Return the milliseconds of `90s 30m 2h 7d 4w`.

    >>> duration_ms("30m")
    1800000

    Raises ValueError, saying what to write instead.
    """
    match = re.fullmatch(r"([0-9]{1,12})([smhdw])", text)
    if match is None:
        raise ValueError("write a duration as a whole number with its unit (s, m, h, d or w), such as 90s, 30m or 7d")
    milliseconds = int(match[1]) * UNITS_MS[match[2]]
    if milliseconds > DURATION_MS_MAX:
        raise ValueError("write a duration of at most 36500d")
    return milliseconds


def _duration(value: object) -> int:
    if not isinstance(value, str):
        value = "0"  # a bare number has no unit, and says so with the same words
    return duration_ms(value)


def _a_day(span_ms: int) -> int:
    if span_ms < DAY_MS:
        raise ValueError("give a day or more, such as `400d`")
    return span_ms


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError("write a duration above 0")
    return value


def _minutes(value: object) -> int:
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a time of day as "HH:MM", such as "21:00"')
    return int(match[1]) * 60 + int(match[2])


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("write a time with its offset, such as 2026-11-27T00:00:00+01:00 or 2026-11-27T00:00:00Z")
    return instant


@cache
def zone_names() -> frozenset[str]:
    """Return the time zones known, from the pinned database and not from the host's."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def _zone(value: str) -> str:
    if value not in zone_names():
        raise PydanticCustomError("unknown_zone", "use a time zone of the IANA database, such as Europe/Berlin")
    return value


def _currency(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _variant(value: object) -> object:
    is_share = isinstance(value, int | float) and not isinstance(value, bool)
    return {"share": value} if is_share else value


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[0-9]+[smhdw]$", "examples": ["30m"]})
_TIME_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})
Duration = Annotated[int, BeforeValidator(_duration), _DURATION_SCHEMA]
Span = Annotated[int, BeforeValidator(_duration), AfterValidator(_not_zero), _DURATION_SCHEMA]
Days = Annotated[int, BeforeValidator(_duration), AfterValidator(_a_day), _DURATION_SCHEMA]
TimeOfDay = Annotated[int, BeforeValidator(_minutes), _TIME_SCHEMA]
Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[float, Field(ge=0, le=1e9)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$"), BeforeValidator(_currency)]
Rate = Annotated[float, Field(gt=0, le=1e9)]
Zone = Annotated[str, AfterValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]

_NO_TIME: Any = {"default": "0s"}
Contradictions = Iterator[tuple[tuple[str | int, ...], str]]
"""(place, message); a place that ends in `[key]` is the key itself and not its value, as pydantic has it."""


class Part(BaseModel):
    """What all parts of a definitions file share: strict, frozen, no key that isn't known, all mistakes at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """Yield (place, message) of what is wrong between fields; `raw` is as written, of any types."""
        del raw
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, value: Any, handler: ModelWrapValidatorHandler[Part]) -> Part:
        """Report what is wrong between fields beside what is wrong in them, not only once they are right."""
        found = list(cls.contradictions(value)) if isinstance(value, dict) else []
        errors = [InitErrorDetails(type=_contradiction(message), loc=place, input=value) for place, message in found]
        try:
            part = handler(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(cls.__name__, _details(error) + errors) from None
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return part


def _contradiction(message: str) -> PydanticCustomError:
    return PydanticCustomError("contradiction", "{sentence}", {"sentence": message})


def _details(error: ValidationError) -> list[InitErrorDetails]:
    """Return a validation's errors in the form in which they can be raised again, their types kept."""
    return [
        InitErrorDetails(
            type=PydanticCustomError(line["type"], "{sentence}", {"sentence": line["msg"], **line.get("ctx", {})}),
            loc=line["loc"],
            input=line["input"],
        )
        for line in error.errors(include_url=False)
    ]


class Holdout(Part):
    """The share of users whom no campaign reaches, and the salt that chooses them."""

    share: Share
    salt: str = ""


class Retention(Part):
    """Users without a record for longer than `idle` (ms) are forgotten, and beyond `users_max` of a partition some."""

    idle: Days | None = None
    users_max: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """One of the two at least."""
        if raw.get("idle") is None and raw.get("users_max") is None:
            yield (), "give `idle` with a duration, or `users_max` with a number"


class Tier(Part):
    """One of a group's exclusive segments; without `min_dwell` (ms) the group's holds."""

    id: Id
    name: str | None = None
    description: str | None = None
    owner: str | None = None
    enter: str
    exit: str | None = None
    min_dwell: Duration | None = None


class Segment(Part):
    """A segment with its condition, a group of exclusive tiers, or one segment per cluster of the model."""

    id: Id
    name: str | None = None
    description: str | None = None
    owner: str | None = None
    enter: str | None = None
    exit: str | None = None
    min_dwell: Duration = Field(default=0, json_schema_extra=_NO_TIME)
    tiers: Annotated[list[Tier], Field(min_length=1)] | None = None
    clusters: bool = False

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """A segment has one of three shapes, and `exit` belongs to the first."""
        given = [key for key in ("enter", "tiers", "clusters") if raw.get(key) not in (None, False)]
        if not given:
            yield (), "give the segment `enter` with a condition, `tiers`, or `clusters: true`"
        for key in given[1:]:
            yield (key, "[key]"), f"keep only one of `enter`, `tiers` and `clusters`: `{given[0]}` is there already"
        if given and given[0] != "enter" and raw.get("exit") is not None:
            yield ("exit", "[key]"), f"take `exit` away: it doesn't go with `{given[0]}`"

    @property
    def member_ids(self) -> list[str]:
        """Return what a user can be a member of: its tiers as `segment:tier`, or the segment itself."""
        return [f"{self.id}:{tier.id}" for tier in self.tiers or []] or [self.id]


class Target(Part):
    """What a model learns to foresee: an event of a kind, or `silence`, within `horizon` (ms).

    Of the instants at which a user could be sampled, `sample` is the share at which she is.
    """

    id: Id
    positive: Literal[Kind, "silence"]
    horizon: Span
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0


class Trigger(Part):
    """The transition a campaign waits for: exactly one of the two."""

    entered: str | None = None
    exited: str | None = None

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """Exactly one direction."""
        given = [key for key in ("entered", "exited") if raw.get(key) is not None]
        if len(given) != 1:
            yield (*given[1:], "[key]"), "give the trigger either `entered` or `exited`, with a segment's id"


class QuietHours(Part):
    """A daily span without messages, in the user's zone, in minutes since midnight; over midnight where from > to."""

    from_minutes: TimeOfDay = Field(alias="from")
    to_minutes: TimeOfDay = Field(alias="to")
    on_quiet: Literal["defer", "drop"] = "defer"

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """An empty span is a slip."""
        if raw.get("from") is not None and raw.get("from") == raw.get("to"):
            yield ("to",), "give `to` another time than `from`, or take `quiet_hours` away"


class Variant(Part):
    """One of the versions of a campaign's message; its `send` goes over the campaign's."""

    share: Share
    send: dict[str, JsonValue] = {}


class Conversion(Part):
    """The event that counts as a success, if it comes within `within` (ms)."""

    event: Kind
    within: Span


class Campaign(Part):
    """What is sent to whom, when, and what forbids it."""

    id: Id
    name: str | None = None
    description: str | None = None
    owner: str | None = None
    trigger: Trigger
    status: Literal["live", "shadow", "paused"] = "live"
    starts: Instant | None = None
    ends: Instant | None = None
    channel: Name | None = None
    send: dict[str, JsonValue] = {}
    include_traits: list[Name] = []
    delay: Duration = Field(default=0, json_schema_extra=_NO_TIME)
    expires: Span = Field(default=DAY_MS, json_schema_extra={"default": "24h"})
    cooldown: Duration = Field(default=0, json_schema_extra=_NO_TIME)
    quiet_hours: QuietHours | None = None
    on_exit: Literal["cancel", "continue"] = "cancel"
    holdout: Share = 0.0
    variants: dict[Id, Annotated[Variant, BeforeValidator(_variant, json_schema_input_type=Share | Variant)]] = {}
    conversion: Conversion | None = None
    cost_per_trigger: Money = 0.0
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    max_per_hour: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    on_backfill: bool = False

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """Shares make a whole, a campaign starts before it ends, and no name means two things."""
        yield from _variants_make_a_whole(raw.get("variants"))
        if raw.get("channel") == "profiling":
            yield ("channel",), "name the channel otherwise: `profiling` is a consent of its own"
        try:
            if _instant(raw.get("starts")) >= _instant(raw.get("ends")):
                yield ("ends",), "let the campaign end after it starts"
        except ValueError:
            return


def _variants_make_a_whole(variants: object) -> Contradictions:
    if not isinstance(variants, dict) or not variants:
        return
    if "holdout" in variants:
        yield ("variants", "holdout", "[key]"), "name the variant otherwise: `holdout` stands for the users held out"
    shares = [value.get("share") if isinstance(value, dict) else value for value in variants.values()]
    numbers = [share for share in shares if isinstance(share, int | float) and not isinstance(share, bool)]
    if len(numbers) == len(shares) and abs(math.fsum(numbers) - 1) > 1e-9:
        yield ("variants",), f"let the variants' shares sum to 1 (now {math.fsum(numbers):.10g})"


class Cap(Part):
    """At most `limit` messages of a channel in any `per` (ms), across campaigns."""

    channel: Name
    limit: Annotated[int, Field(ge=1, le=8)]
    per: Span


class Given(Part):
    """One record of a test, `at` ms after its start: an `event` by name, or an `identify` with its traits."""

    at: Duration
    event: Annotated[str, Field(min_length=1)] | None = None
    identify: dict[str, JsonValue] | None = None
    properties: dict[str, JsonValue] = {}
    context: dict[str, JsonValue] = {}

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """Either kind of record, and properties only on events."""
        given = [key for key in ("event", "identify") if raw.get(key) is not None]
        if len(given) != 1:
            yield (*given[1:], "[key]"), "give either `event` with a name or `identify` with traits"
        if given == ["identify"] and raw.get("properties"):
            yield ("properties", "[key]"), "write traits under `identify`: it has no `properties`"


class Expect(Part):
    """What must hold `at` ms after a test's start: memberships then, and campaigns fired until then."""

    at: Duration
    in_: list[str] = Field(default=[], alias="in")
    not_in: list[str] = []
    triggers: list[str] = []
    not_triggers: list[str] = []


class Test(Part):
    """A story of one user, and how it must end."""

    __test__ = False  # pytest takes every class named so for its own

    name: str = ""
    given: list[Given] = []
    expect: Expect

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """What is expected before a record comes can't depend on it."""
        given, expect = raw.get("given"), raw.get("expect")
        if not isinstance(given, list) or not isinstance(expect, dict):
            return
        for index, record in enumerate(given):
            try:
                if _duration(record["at"]) > _duration(expect["at"]):
                    yield ("given", index, "at"), "let this record come no later than what is expected"
            except (ValueError, TypeError, KeyError):
                continue  # its own mistake, told where it is


class Definitions(Part):
    """A whole definitions file."""

    version: Annotated[int, Field(ge=0, le=2_147_483_647)]
    timezone: Zone = "UTC"
    currency: Currency = "EUR"
    rates: dict[Currency, Rate] = {}
    traits: Annotated[list[Name], Field(max_length=TRAITS_MAX)] = []
    profiling: Literal["opt_in", "opt_out"] = "opt_out"
    holdout: Holdout | None = None
    retention: Retention | None = None
    segments: list[Segment]
    targets: Annotated[list[Target], Field(max_length=TARGETS_MAX)] = []
    campaigns: Annotated[list[Campaign], Field(max_length=CAMPAIGNS_MAX)] = []
    caps: Annotated[list[Cap], Field(max_length=CAPS_MAX)] = []
    tests: list[Test] = []

    @classmethod
    def contradictions(cls, raw: Mapping[str, Any]) -> Contradictions:
        """No id twice, no more segments than fit, and a currency is worth itself."""
        for section in ("segments", "targets", "campaigns"):
            yield from _repeated(raw.get(section), (section,))
        yield from _repeated_traits(raw.get("traits"))
        yield from _too_many_segments(raw.get("segments"))
        yield from _odd_rates(_currency(raw.get("currency", "EUR")), raw.get("rates"))


def _repeated(parts: object, place: tuple[str | int, ...]) -> Contradictions:
    """Yield repeated ids among `parts`, and among the tiers of each."""
    seen: set[str] = set()
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        if not isinstance(part, dict):
            continue
        name = part.get("id")
        if isinstance(name, str) and name in seen:
            yield (*place, index, "id"), f"give another id: `{name}` is there already"
        elif isinstance(name, str):
            seen.add(name)
        yield from _repeated(part.get("tiers"), (*place, index, "tiers"))


def _repeated_traits(traits: object) -> Contradictions:
    names = traits if isinstance(traits, list) else []
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("traits", index), f"name a trait once: `{name}` is there already"
        if name == "consent":
            yield ("traits", index), "take `consent` away: consents are read without being declared"


def _odd_rates(currency: object, rates: object) -> Contradictions:
    seen: set[object] = set()
    for written, rate in rates.items() if isinstance(rates, dict) else ():
        code = _currency(written)
        if code == currency and rate != 1:
            yield ("rates", written, "[key]"), f"take the rate of {code} away: it is the definitions' own currency"
        if code in seen:
            yield ("rates", written, "[key]"), f"write the rate of {code} once"
        seen.add(code)


def _too_many_segments(segments: object) -> Contradictions:
    count = 0
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        tiers = segment.get("tiers") if isinstance(segment, dict) else None
        before, count = count, count + (len(tiers) if isinstance(tiers, list) else 1)
        if before <= SEGMENTS_MAX < count:
            yield ("segments", index), f"keep to {SEGMENTS_MAX} segments, tiers counted: from here on there are more"


def channels(definitions: Definitions) -> tuple[str, ...]:
    """Return the distinct channels of campaigns, then caps, in file order."""
    named = [campaign.channel for campaign in definitions.campaigns] + [cap.channel for cap in definitions.caps]
    return tuple(dict.fromkeys(channel for channel in named if channel is not None))


def consented_channels(definitions: Definitions) -> tuple[str, ...]:
    """Return the channels whose consents are kept; a consent's index is its place here.

    Those of `CHANNELS` are kept before any campaign uses them: the first that does reaches who agreed long ago.
    """
    return tuple(dict.fromkeys((*CHANNELS, *channels(definitions))))
