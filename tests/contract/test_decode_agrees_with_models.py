"""The hot decoder against the wire contract's models: on a large corpus both accept, repair and refuse the same input.

The corpus starts from ordinary events of every kind and spoils them: odd values in every place, members repeated, bytes
flipped. Reasons, kinds, users, times and amounts are compared too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.definitions import Definitions
from schemas.events import KINDS, SEGMENT_KINDS, Reading, Terms, read_event
from worker.core.batch import AMOUNT, KIND, SLOT, TIME
from worker.core.decode import Decoder
from worker.core.interning import Strings, Users
from worker.core.zones import Zones, zone_exists
from worker.language.mapping import Mapping

CORPUS_EVENTS = 10_000
NOW_MS = 1_795_342_500_250
RATES = {"USD": 0.92, "gbp": 1.17}
NAMES = (*SEGMENT_KINDS, "Email Opened", "Unsubscribed", "Email Marked as Spam", "Something Else")

# Raw JSON: what Python would not write is among it.
ODD_VALUES = (
    "null", "true", "false", "0", "-0", "1", "-1", "2.5", "1e9", "1000000001", "1e14", "-7.25", "1e999", "-1e999",
    "1e-400", "9007199254740993", "18446744073709551616", "1" + "0" * 400, "9" * 5000, '""', '"x"', '"anon:x"', '"12"',
    '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"é"', '"' + "é" * 129 + '"', '"' + "é" * 126 + '"',
    '"' + "x" * 257 + '"', "[]", "{}",
    "[null]", "[{}]", "[[]]", '[{"product_id": 1}]', '[{"price": "1", "quantity": 2}]', '[{"category": "hats"}, 7]',
    '[{"price": 1e308, "quantity": 1e308}, {"price": -1e308, "quantity": 1e308}]', '{"timezone": "Mars/Base"}',
    '{"timezone": 5}', '{"x": 7}',
    '{"email": 1}', '{"email": true, "profiling": null}', "NaN", "Infinity", "01", "1.", "tru",
    '"2026-11-22T10:15:00Z"', '"2026-11-22t10:15:00.1239+05:30"', '"2026-02-30T10:15:00Z"', '"2026-11-22T10:15:60Z"',
    '"0001-01-01T00:00:00+01:00"', '"9999-12-31T23:59:59.999-00:01"', '"2026-11-22T10:15:00"', '"1900-01-01T00:00:00Z"',
    '"2026-11-22T10:15:00+24:00"', '"2027-12-28T00:00:00Z"', "1795342500250.9", "-62135596800001", "253402300800000",
    "1e300", '"USD"', '"gBp"', '"XXX"', '"Europe/Berlin"', "[" * 33 + "]" * 33, '{"a":' * 31 + "1" + "}" * 31,
)  # fmt: skip


def _number(dice: random.Random) -> str:
    return dice.choice(("1", "2", "49.75", "0.1", "19.99", "3e2", "-2"))


def _product(dice: random.Random) -> list[tuple[str, str]]:
    return [
        ("product_id", f'"p-{dice.randrange(9)}"'), ("category", dice.choice(('"shoes"', '"hats"', '""', "null"))),
        ("price", _number(dice)), ("quantity", _number(dice)),
    ]  # fmt: skip


def _object(dice: random.Random, members: list[tuple[str, str]]) -> str:
    """Write an object; some members are left out, repeated, moved or given an odd value."""
    members = [member for member in members if dice.random() > 0.08]
    members = [(name, dice.choice(ODD_VALUES) if dice.random() < 0.03 else value) for name, value in members]
    if members and dice.random() < 0.03:
        members.append((dice.choice(members)[0], dice.choice(ODD_VALUES)))
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members) + "}"


def _event(dice: random.Random) -> str:
    properties = _product(dice) if dice.random() < 0.5 else []
    if dice.random() < 0.5:
        products = [_object(dice, _product(dice)) for _ in range(dice.randrange(3))]
        properties.append(("products", "[" + ", ".join(products) + "]"))
    properties += [(name, _number(dice)) for name in ("total", "revenue", "value", "rating") if dice.random() < 0.3]
    properties += [("order_id", '"o-1"'), ("currency", dice.choice(('"EUR"', '"usd"', '"GBP"', "null")))]
    properties += [("channel", '"email"'), ("decision_id", '"d-1"')]
    traits = [("country", '"DE"'), ("age", "33"), ("timezone", '"UTC"'), ("consent", '{"email": true, "x": false}')]
    event = [
        ("type", dice.choice(('"track"',) * 8 + ('"identify"',) * 3 + ('"page"', '"screen"'))),
        ("event", json.dumps(dice.choice(NAMES))), ("messageId", '"m-1"'), ("userId", f'"u-{dice.randrange(50)}"'),
        ("anonymousId", f'"a-{dice.randrange(50)}"'), ("timestamp", '"2026-11-22T10:15:00.250Z"'),
        ("originalTimestamp", str(NOW_MS)), ("context", _object(dice, [("timezone", '"Europe/Berlin"')])),
        ("properties", _object(dice, properties)), ("traits", _object(dice, traits)),
        ("extra", dice.choice(ODD_VALUES)),
    ]  # fmt: skip
    return _object(dice, event)


def _corpus(dice: random.Random, events: int) -> Iterator[bytes]:
    for _ in range(events):
        raw = bytearray(_event(dice).encode())
        if dice.random() < 0.05:
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        yield bytes(raw)


def _decode(decoder: Decoder, users: Users, payload: bytes, terms: Terms) -> Reading:
    """Put what the decoder made of one payload in the models' words."""
    arrivals_ms = None if terms.arrival_ms is None else [terms.arrival_ms]
    batch = decoder.decode([payload], [0], None, arrivals_ms, terms.clock_ms)
    if batch.dead_letters:
        return Reading("refused", reason=batch.dead_letters[0].reason)
    row = batch.records[0]
    kind = (*KINDS, "identify")[row[KIND]]
    outcome: Any = "repaired" if batch.repaired_records else "accepted"
    user = users.ids[row[SLOT]]
    return Reading(outcome, None, frozenset(batch.repaired), kind, user, int(row[TIME]), int(row[AMOUNT]))


@pytest.mark.parametrize("arrival_ms", [None, NOW_MS], ids=["event clock", "live"])
def test_both_accept_repair_and_refuse_the_same_input(arrival_ms: int | None) -> None:
    """Every payload comes to the same verdict, reasons, kind, user, time and amount both ways."""
    definitions = Definitions.model_validate({
        "version": 1, "segments": [], "rates": RATES, "traits": ["country", "age", "timezone"],
        "campaigns": [{"id": "c", "trigger": {"entered": "s"}, "channel": "email"}],
    })  # fmt: skip
    users = Users()
    decoder = Decoder(Mapping.load(), definitions, users, Strings(), Zones(), event_clock=arrival_ms is None)
    rates, traits = definitions.rates, tuple(definitions.traits)
    terms = Terms(zone_exists, "EUR", rates, traits, arrival_ms, clock_ms=NOW_MS)
    outcomes = set()
    for payload in _corpus(random.Random(20_261_122), CORPUS_EVENTS):
        reading = read_event(payload, terms)
        assert _decode(decoder, users, payload, terms) == reading, payload
        outcomes.add(reading.reason or reading.outcome)
    assert outcomes >= {
        "accepted", "repaired", "bad_field", "bad_timestamp", "bad_user", "missing_user", "missing_event", "bad_type",
        "not_json", "too_deep", "timestamp_out_of_range",
    }  # fmt: skip
