"""Incidents do what they say at the chosen moment, and no more."""

from collections import Counter
from typing import Any

import pytest

from tests.simulate.shops import Shop, run, time_ms
from worker.simulate.shop import DAY_MS, HOUR_MS, Incident, Settings

OPTIONS: dict[str, Any] = {"users": 300, "days": 8, "seed": 5, "duplicates": 0.0, "malformed": 0.0}
START_MS = Settings().start_ms
AT_MS = START_MS + 4 * DAY_MS + 12 * HOUR_MS


def with_incident(text: str) -> Shop:
    """The small shop with one incident."""
    return run(**OPTIONS, incidents=(Incident.parse(text),))


def count_between(shop: Shop, name: str, begins_ms: int, ends_ms: int) -> int:
    """Events of this name that happened in [begins, ends)."""
    return sum(event.get("event") == name and begins_ms <= time_ms(event) < ends_ms for event in shop.events)


def test_in_an_outage_nothing_happens_and_before_it_all_is_as_ever() -> None:
    """Six hours of silence by default; the events before are those of the shop without an incident."""
    shop, usual = with_incident("outage@4.5"), run(**OPTIONS)
    assert not any(AT_MS <= time_ms(event) < AT_MS + 6 * HOUR_MS for event in shop.events)
    before = [[event for event in one.events if time_ms(event) < AT_MS - DAY_MS] for one in (shop, usual)]
    assert before[0] == before[1]


def test_a_backlog_delays_arrivals_and_loses_nothing() -> None:
    """Nothing arrives while it lasts; the events are the same in the end."""
    shop, usual = with_incident("backlog@4.5+3"), run(**OPTIONS)
    assert not any(AT_MS <= at < AT_MS + 3 * HOUR_MS for at in shop.arrivals_ms)
    assert sorted(shop.payloads) == sorted(usual.payloads)


def test_a_spike_brings_visitors_for_one_product() -> None:
    """Several times the views of the same hours without it, most of them of a single product."""
    shop, usual = with_incident("spike@4.5+6"), run(**OPTIONS)
    span = (AT_MS, AT_MS + 6 * HOUR_MS)
    assert count_between(shop, "Product Viewed", *span) > 2 * count_between(usual, "Product Viewed", *span)
    viewed = Counter(
        event["properties"]["product_id"] for event in shop.events
        if event.get("event") == "Product Viewed" and span[0] <= time_ms(event) < span[1]
    )  # fmt: skip
    assert max(viewed.values()) > 0.4 * viewed.total()


def test_a_drift_changes_buying_from_its_moment_on() -> None:
    """Orders fall to a third or less for good; before, everything is as ever."""
    shop, usual = with_incident("drift@2"), run(**OPTIONS)
    end_ms, drift_ms = START_MS + 8 * DAY_MS, START_MS + 2 * DAY_MS
    after = [count_between(one, "Order Completed", drift_ms, end_ms) for one in (shop, usual)]
    assert 3 * after[0] < after[1]
    before = [count_between(one, "Product Viewed", START_MS, drift_ms) for one in (shop, usual)]
    assert before[0] == before[1] > 0


def test_the_truth_tells_when() -> None:
    """Kind, beginning and end as instants."""
    told = with_incident("spike@4.5+6").truth["incidents"][0]
    assert (told["kind"], told["begins_at"]) == ("spike", "2026-01-09T12:00:00.000Z")
    assert told["ends_at"] == "2026-01-09T18:00:00.000Z"


@pytest.mark.parametrize("text", ["flood@3", "outage", "outage@x", "outage@3+", "spike@-1"])
def test_what_is_no_incident_is_refused_in_one_sentence(text: str) -> None:
    """The sentence quotes it and names the kinds."""
    with pytest.raises(ValueError, match="outage, backlog, spike, drift"):
        Incident.parse(text)
