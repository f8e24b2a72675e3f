"""Bytes in, columns out: the first half of the way of a record (the second is the compiled pass).

The rule: `decode` never raises, whatever the bytes. A record is accepted, perhaps with repairs, or it is a dead letter
with the first reason that applies, in the order of the contract; read = records + dead letters, always. A user gets a
slot, a text its number and the partition clock moves only when every check of a record has passed. What an erased user
did before is ignored, as if it had been seen before: it moves no clock, and no dead letter holds any of it.

Per record one row of `Batch.records`; its products are rows of `Batch.lines`, what it says about the user (traits,
consents, a rating) rows of `Batch.details`, both found through running ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.definitions import Definitions
from schemas.events import (
    AGE_MS_MAX,
    DEPTH_MAX,
    FUTURE_MS_MAX,
    IDENTIFY,
    KIND_NUMBERS,
    LEAP_MS_MAX,
    PAYLOAD_BYTES_MAX,
    TEXT_BYTES_MAX,
    TIME_MS_MAX,
    TIME_MS_MIN,
)
from worker.core.batch import ACTIVITY, COLUMNS, REPAIRS, VALUE, Batch, DeadLetter, Refused, Stop, refuse
from worker.core.erasures import Erasures
from worker.core.fields import FieldReader, Reader
from worker.core.interning import Strings, Users
from worker.core.json_text import (
    Event,
    deep_suspects,
    depth,
    event_of,
    parse_event,
    parsed,
    parsed_slowly,
    without_surrogates,
)
from worker.core.layout import FOREVER
from worker.core.pseudonyms import Pseudonyms
from worker.core.timestamps import FRACTIONS, HOURS, SECONDS, time_ms
from worker.core.zones import Zones
from worker.language.mapping import Mapping, Rule

__all__ = ["Decoder"]

_REPAIR_BITS: Final = {reason: 2 << place for place, reason in enumerate(REPAIRS)}

ROW_BYTES: Final = 80
_ROW: Final = Struct("=4q2Q4q")  # ids are hashes without a sign; the column keeps their bits
_TYPES: Final = ("track", "page", "screen", "identify")
_ORDERS: Final = (KIND_NUMBERS["order"], KIND_NUMBERS["refund"])
CHUNK: Final = 256  # records looked at together for depth: few enough to stay in the cache
DAY_MS: Final = 86_400_000
UNTIL_CLOCK: Final = FOREVER + 1  # the first record tells which day it is

Json = Any


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do with an event: kind, flags and reader, and how its properties are found if not in Segment's form."""

    kind: int
    flags: int
    reader: Reader | None
    lenient: bool
    needs_source: bool = False
    properties: Callable[[Json], Json] | None = None


class Decoder:
    """Decodes the records of one partition; keeps nothing between batches but users, strings and caches."""

    def __init__(self, mapping: Mapping, definitions: Definitions, users: Users, strings: Strings, zones: Zones,
                 erasures: Erasures | None = None, *, event_clock: bool) -> None:  # fmt: skip
        self._mapping = mapping
        self._users = users
        self._erasures = Erasures(Pseudonyms()) if erasures is None else erasures
        retention = definitions.retention
        self._by_day = retention is not None and retention.idle is not None
        self._users_most = retention.users_max or FOREVER if retention else FOREVER
        self._zone_number = zones.number
        self._known_zones: dict[str, int] = {}
        self._event_clock = event_clock
        self._fields = FieldReader(definitions, strings)
        self._other = _Plan(KIND_NUMBERS["other"], ACTIVITY, None, lenient=False)
        self._unnamed = _CONDITIONAL if mapping.general_rules else self._other
        self._plans = {name: self._name_plan(rules) for name, rules in mapping.rules.items()}

    def decode(
        self,
        payloads: Sequence[bytes],
        offsets: Sequence[int],
        keys: Sequence[bytes | None] | None = None,
        arrivals_ms: Sequence[int] | None = None,
        clock_ms: int | None = None,
        *,
        goes_on: bool = False,
    ) -> Batch:
        """Decode a batch; never raises, whatever the bytes.

        Where users are retained for a time only, it ends before the first record of another UTC day, or of a new user
        for whom there is no room: `stop` says which, `read` how many come before it. The day of the first record has
        begun if the batch `goes_on` after such an end.

        Without `keys` none is checked. Without `arrivals_ms`, or with the event clock, arrival is the event's own time.
        `clock_ms` is the partition clock before the batch, None before the partition's first accepted record.
        """
        users_before = len(self._users)
        self._fields.begin()
        work = _Work(bytearray(_ROW.size * len(payloads)), clock_ms, len(payloads), self._day_end(clock_ms), goes_on)
        live_arrivals_ms = None if self._event_clock else arrivals_ms
        for first in range(0, len(payloads), CHUNK):
            if work.stop is not None:
                break
            self._decode_chunk(work, payloads, first, offsets, keys, live_arrivals_ms)
        count = len(work.lines_end)
        lines = np.array(self._fields.lines, dtype=np.float64).reshape(-1, 4)
        lines[:, VALUE] = np.rint(lines[:, VALUE])
        return Batch(
            records=np.frombuffer(work.rows, dtype=np.int64)[: count * COLUMNS].reshape(count, COLUMNS),
            lines_end=np.array(work.lines_end, dtype=np.int64) // 4,
            lines=lines,
            details_end=np.array(work.details_end, dtype=np.int64) // 3,
            details=np.array(self._fields.details, dtype=np.float64).reshape(-1, 3),
            decisions=self._fields.decisions,
            dead_letters=work.dead_letters,
            repaired=dict(sorted(work.repaired.items())),
            repaired_records=work.repaired_records,
            clock_ms=work.clock_ms,
            read=work.read,
            new_users=len(self._users) - users_before,
            ignored=work.ignored,
            stop=work.stop,
        )

    def _day_end(self, clock_ms: int | None) -> int:
        """Return before which arrival a batch ends, in ms."""
        if not self._by_day:
            return FOREVER
        if clock_ms is None:
            return UNTIL_CLOCK
        return (clock_ms // DAY_MS + 1) * DAY_MS

    def _decode_chunk(
        self,
        work: _Work,
        payloads: Sequence[bytes],
        first: int,
        offsets: Sequence[int],
        keys: Sequence[bytes | None] | None,
        arrivals_ms: Sequence[int] | None,
    ) -> None:
        """Decode up to CHUNK records from `first` on. The checks stand in the order of the contract's reasons.

        One long function on purpose: it runs for every record, and a call costs as much as a check.
        """
        chunk = payloads[first : first + CHUNK]
        suspects = deep_suspects(chunk)
        fields, plans, slots = self._fields, self._plans, self._users.slots
        reasons, lines, details = fields.reasons, fields.lines, fields.details
        known_zones = self._known_zones
        rows, lines_end, details_end, clock = work.rows, work.lines_end, work.details_end, work.clock_ms
        unnamed, pack_into = self._unnamed, _ROW.pack_into
        erasures, erased_until, any_erased = self._erasures, self._erasures.by_slot, len(self._erasures) > 0
        day_end, users_most = work.day_end_ms, self._users_most
        time: int | None
        for index, raw in enumerate(chunk, first):
            ignored_until = None
            try:
                if len(raw) > PAYLOAD_BYTES_MAX:
                    refuse("too_large")
                if suspects and index - first in suspects and depth(raw) > DEPTH_MAX:
                    refuse("too_deep")
                source = None
                try:
                    event = parse_event(raw)
                    if not raw.isascii():
                        raw.decode()  # members that aren't read were skipped without a look at their UTF-8
                except Exception:  # noqa: BLE001 - whatever the quick parser has against it, the slow one decides
                    event, source = parsed_slowly(raw)
                type_ = event.type
                if type_ != "track" and type_ not in _TYPES:
                    event, source = self._opened(raw, type_)
                    type_ = event.type

                # A user with a slot has been checked before.
                user = event.userId
                slot = None
                if user is None:
                    if type(event.anonymousId) is str:
                        user = "anon:" + event.anonymousId
                        slot = slots.get(user)
                elif type(user) is str:
                    slot = slots.get(user)
                    if slot is not None and user[0] == "a" and user.startswith("anon:"):
                        refuse("bad_user")
                if slot is None:
                    user = _checked_user(event)
                if any_erased:
                    ignored_until = erasures.until(user) if slot is None else erased_until.get(slot)
                    if ignored_until == FOREVER:
                        work.ignored += 1
                        continue
                if keys is not None and keys[index] != (user if event.userId is not None else user[5:]).encode():
                    refuse("key_mismatch")

                name = None
                if type_ == "track":
                    name = event.event
                    if type(name) is not str or not name:
                        refuse("missing_event")

                arrival = None if arrivals_ms is None else arrivals_ms[index]
                text = event.timestamp
                try:
                    time = HOURS[text[:13]] + SECONDS[text[13:19]] + FRACTIONS[text[19:]]  # the usual form
                except (KeyError, TypeError):
                    time = time_ms(text) if text is not None and text != "" else _second_time(event, arrival)
                    if time is None:
                        refuse("bad_timestamp")
                    if arrival is None and not TIME_MS_MIN <= time <= TIME_MS_MAX:
                        refuse("timestamp_out_of_range")
                if arrival is None:
                    if clock is not None and time > clock + LEAP_MS_MAX:
                        refuse("timestamp_out_of_range")
                    arrival = time
                elif time > arrival + FUTURE_MS_MAX:
                    reasons.append("future_timestamp")
                    time = arrival
                elif time < arrival - AGE_MS_MAX:
                    refuse("timestamp_out_of_range")

                if ignored_until is not None and time <= ignored_until:
                    work.ignored += 1
                    reasons.clear()
                    continue
                if arrival >= day_end or (slot is None and len(slots) >= users_most):
                    day = arrival // DAY_MS if arrival >= day_end and (index > 0 or not work.goes_on) else None
                    if day is not None or (slot is None and len(slots) >= users_most):
                        work.read, work.stop = index, Stop(day)
                        reasons.clear()
                        break

                properties = event.properties
                if properties is None:
                    properties = {}
                elif type(properties) is not dict:
                    refuse("bad_field")
                if type_ == "identify":
                    kind, flags, zone, message, order, amount = IDENTIFY, 0, self._identify(event), 0, 0, 0
                else:
                    plan = unnamed if name is None else plans.get(name, unnamed)
                    if plan.needs_source:
                        source = parsed(raw)[0] if source is None else source
                        plan = self._chosen(name, source) if plan is _CONDITIONAL else plan
                        if plan.properties is not None:
                            properties = plan.properties(source)
                    kind, flags, reader = plan.kind, plan.flags, plan.reader
                    message, zone, order, amount = 0, -1, 0, 0
                    text = event.messageId
                    if type(text) is str:
                        if text:
                            message = xxh3_64_intdigest(text.encode()) or 1
                    elif text is not None:
                        fields.wrong(plan.lenient)
                    if event.context is not None:
                        text = event.context.timezone
                        if type(text) is str and text in known_zones:
                            zone = known_zones[text]
                        elif text is not None:
                            zone = self._zone(text, plan.lenient)
                    if reader is not None:
                        order, amount = reader(properties)

                # Nothing refuses the record any more.
                if clock is None or arrival > clock:
                    clock = arrival
                    if clock >= day_end or day_end == UNTIL_CLOCK:
                        day_end = (clock // DAY_MS + 1) * DAY_MS
                if slot is None:
                    slot = self._users.slot(user)
                    if ignored_until is not None:
                        erased_until[slot] = ignored_until
                place = len(lines_end) * ROW_BYTES
                offset = offsets[index]
                if reasons:
                    flags |= _repair_bits(reasons)
                pack_into(rows, place, slot, time, clock, kind, message, order, amount, zone, offset, flags)
                lines_end.append(len(lines))
                details_end.append(len(details))
                if reasons:
                    work.count_repairs(reasons)
            except Refused as refused:
                work.bury(refused.reason, offsets[index], raw, erased=ignored_until is not None)
                reasons.clear()
            except Exception:  # noqa: BLE001 - a mistake of ours must not stop the stream, nor leave half a record
                del lines[lines_end[-1] if lines_end else 0 :], details[details_end[-1] if details_end else 0 :]
                work.bury("engine_error", offsets[index], raw, erased=ignored_until is not None)
                reasons.clear()
        work.clock_ms, work.day_end_ms = clock, day_end

    def _name_plan(self, rules: tuple[Rule, ...]) -> _Plan:
        """Return the plan of events of one name; which rule applies is settled here unless it has conditions."""
        return _CONDITIONAL if rules[0].conditions else self._plan(rules[0])

    def _plan(self, rule: Rule) -> _Plan:
        reader = self._fields.revoke_consent if rule.revokes_consent else self._fields.readers[rule.kind]
        flags = ACTIVITY if rule.activity else 0
        needs_source = rule.properties is not None
        return _Plan(rule.kind, flags, reader, rule.kind in _ORDERS, needs_source, rule.properties)

    def _chosen(self, name: str | None, source: Json) -> _Plan:
        """Return the plan of the first rule whose conditions hold."""
        rule = self._mapping.rule(name, source)
        return self._other if rule is None else self._plan(rule)

    def _opened(self, raw: bytes, type_: Json) -> tuple[Event, Json]:
        """Return the event out of its envelope, and the source; refuse one with a type, or in no known envelope."""
        if type_ is None and self._mapping.envelopes:
            source, spoilt = parsed(raw)
            form = self._mapping.segment_form(source)
            if form is not None and form.get("type") in _TYPES:
                return event_of(form), without_surrogates(source) if spoilt else source
        return refuse("bad_type")

    def _zone(self, name: Json, lenient: bool) -> int:
        """Return the number of a time zone, -1 for none."""
        if type(name) is not str:
            if name is not None:
                self._fields.wrong(lenient)
            return -1
        if not name:
            return -1
        zone = self._zone_number(name)
        if zone < 0:
            self._fields.reasons.append("bad_timezone")
        else:
            self._known_zones[name] = zone
        return zone

    def _identify(self, event: Event) -> int:
        """Read traits and consents into details; return the number of the traits' time zone, else of the context's."""
        own = event.traits.get("timezone") if type(event.traits) is dict else None
        other = event.context and event.context.timezone
        if not isinstance(own, str | None) or not isinstance(other, str | None):
            refuse("bad_field")
        zone = self._zone(own or other, lenient=False)
        self._fields.identify(event.traits)
        return zone


@dataclass(slots=True)
class _Work:
    """A batch in the making."""

    rows: bytearray
    clock_ms: int | None
    read: int
    day_end_ms: int
    goes_on: bool
    lines_end: list[int] = field(default_factory=list)
    details_end: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    repaired: dict[str, int] = field(default_factory=dict)
    repaired_records: int = 0
    ignored: int = 0
    stop: Stop | None = None

    def bury(self, reason: str, offset: int, raw: bytes, *, erased: bool) -> None:
        """Make a record a dead letter; of a user who was erased nothing is kept."""
        self.dead_letters.append(DeadLetter(reason, offset, b"" if erased else raw, erased))

    def count_repairs(self, reasons: list[str]) -> None:
        """Count a repaired record under each distinct reason, and empty the list."""
        self.repaired_records += 1
        for reason in set(reasons):
            self.repaired[reason] = self.repaired.get(reason, 0) + 1
        reasons.clear()


_CONDITIONAL: Final = _Plan(0, 0, None, lenient=False, needs_source=True)


def _checked_user(event: Event) -> str:
    """Return the user id with its prefix."""
    user, prefix = event.userId, ""
    if user is None:
        user, prefix = event.anonymousId, "anon:"
        if user is None:
            refuse("missing_user")
    if type(user) is not str or not user or (not prefix and user.startswith("anon:")):
        refuse("bad_user")
    user = prefix + user
    try:
        size = len(user.encode())
    except UnicodeEncodeError:  # a lone surrogate
        raise Refused("bad_user") from None
    if size > TEXT_BYTES_MAX:
        refuse("bad_user")
    return user


def _second_time(event: Event, arrival_ms: int | None) -> int | None:
    """Return the time of an event without a timestamp: the original one, else arrival, else None."""
    written = event.originalTimestamp
    return time_ms(written) if written is not None and written != "" else arrival_ms


def _repair_bits(reasons: list[str]) -> int:
    """Return the bits of FLAGS that stand for these repairs."""
    bits = 0
    for reason in reasons:
        bits |= _REPAIR_BITS[reason]
    return bits
