"""Faults come at the chosen rates, are counted exactly, and lose nothing."""

import json
import re
from collections import Counter

import pytest

from tests.simulate.shops import Shop, run, time_ms
from worker.simulate.faults import DEFECTS, FIRST_DEFECT, break_line

MESSAGE = re.compile(rb'"messageId":"m-[0-9a-f]{16}"')
LINE = (
    '{"type":"track","event":"Product Viewed","messageId":"m-1","userId":null,"anonymousId":"a-7",'
    '"timestamp":"2026-01-05T00:00:00.000Z","context":{"timezone":"UTC"},"properties":{"product_id":"p-1"}}'
)


def test_records_are_true_events_duplicates_and_malformed_ones(shop: Shop) -> None:
    """The truth's counts add up to what was written, and its events to what can be found."""
    faults = shop.truth["faults"]
    extra = sum(faults["duplicates"].values()) + sum(faults["malformed"].values())
    assert len(shop.payloads) == shop.truth["records"] == len(shop.events) + extra
    found = Counter(event.get("event", event["type"]) for event in shop.events)
    assert found == shop.truth["events"]


def test_rates_are_as_chosen(shop: Shop) -> None:
    """Within five standard deviations."""
    faults, count = shop.truth["faults"], len(shop.events)
    found = {0.05: [faults["late"], sum(faults["duplicates"].values())], 0.03: [sum(faults["malformed"].values())]}
    for rate, counts in found.items():
        for faulty in counts:
            assert abs(faulty - rate * count) < 5 * (count * rate * (1 - rate)) ** 0.5 + 0.02 * rate * count


def test_without_faults_there_are_none() -> None:
    """Every record is JSON, no message id or order comes twice, and none is more than a second late."""
    clean = run(users=100, days=5, late=0.0, duplicates=0.0, malformed=0.0)
    assert len(clean.payloads) == len(clean.events)
    delays = [at - time_ms(event) for at, event in zip(clean.arrivals_ms, clean.events, strict=True)]
    assert 0 < min(delays) <= max(delays) < 1_000


def test_payloads_come_in_order_of_arrival_and_late_ones_are_late(shop: Shop) -> None:
    """Arrivals never fall; a late event's own time lies a minute to two days before its arrival."""
    assert shop.arrivals_ms == sorted(shop.arrivals_ms)
    first_arrival: dict[str, int] = {}
    for payload, at in zip(shop.payloads, shop.arrivals_ms, strict=True):
        found = MESSAGE.search(payload)
        if found is not None:
            first_arrival.setdefault(found.group().decode(), at)
    delays = [first_arrival[f'"messageId":"{event["messageId"]}"'] - time_ms(event) for event in shop.events]
    assert max(delays) < 2 * 86_400_000 + 60_000
    assert sum(delay >= 60_000 for delay in delays) == shop.truth["faults"]["late"]


def test_a_doubled_record_is_the_same_bytes_within_a_minute(shop: Shop) -> None:
    """As many as the truth says under `message`."""
    arrivals: dict[bytes, int] = {}
    doubles = 0
    for payload, at in zip(shop.payloads, shop.arrivals_ms, strict=True):
        if payload in arrivals:
            doubles += 1
            assert at - arrivals[payload] < 60_000
        arrivals[payload] = at
    assert doubles == shop.truth["faults"]["duplicates"]["message"]


@pytest.mark.parametrize("reason", DEFECTS)
def test_a_defect_makes_the_dead_letter_it_is_named_after(reason: str) -> None:
    """Judged by the shape alone, as the contract puts it."""
    broken = break_line(LINE, FIRST_DEFECT + list(DEFECTS).index(reason))
    try:
        event = json.loads(broken)
    except ValueError:
        assert reason == "not_json"
        return
    shapes = {
        "not_an_object": not isinstance(event, dict),
        "too_deep": broken.count("[") > 32,
        "bad_type": isinstance(event, dict) and event["type"] != "track",
        "missing_user": isinstance(event, dict) and not event["userId"] and "anonymousId" not in event,
        "bad_user": isinstance(event, dict) and len(event["userId"] or "") > 256,
        "missing_event": isinstance(event, dict) and "event" not in event,
        "bad_timestamp": isinstance(event, dict) and event["timestamp"] == "yesterday",
        "bad_field": isinstance(event, dict) and isinstance(event["properties"], str),
    }
    assert [name for name, holds in shapes.items() if holds] == [reason]
