"""The peers' job: what it counts where, and that Shoal's definitions beside it say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.peers import job
from tests.bench.peers.contenders import Shoal
from tests.bench.peers.events import Expected, differences, keyed, partition
from worker.bench.kafka_place import DEFINITIONS
from worker.files import configuration
from worker.files.replay import Request, replay


def event(name: str, at: str = "10:00", day: int = 2, **properties: Any) -> dict[str, Any]:
    """An event of a user's, on a day in March."""
    return {"userId": "u-1", "event": name, "timestamp": f"2026-03-{day:02}T{at}:00.000Z", "properties": properties}


def tiers_of(*events: dict[str, Any]) -> list[str]:
    """The tiers that a user comes to, event by event."""
    state, tier, tiers = job.fresh(), job.NONE, []
    for each in events:
        tier = job.apply(state, each)[1] or tier
        tiers.append(tier)
    return tiers


def test_each_tier_begins_at_its_border() -> None:
    """Five views or one cart add are low, an order is mid, and 200 spent are high, to the hundredth."""
    viewed = event("Product Viewed")
    assert tiers_of(*[viewed] * 5) == ["none"] * 4 + ["low"]
    assert tiers_of(event("Product Added")) == ["low"]
    ordered = [event("Order Completed", total=total) for total in (99.99, 100.0, 0.01)]
    assert tiers_of(*ordered) == ["mid", "mid", "high"]


def test_an_hour_counts_until_24_others_have_begun_since() -> None:
    """What happened at ten counts through the next day's hour of ten, as Shoal's window of 24 hours has it."""
    later = [event("Email Sent", at, day=3) for at in ("10:59", "11:00")]
    assert tiers_of(event("Product Added"), *later) == ["low", "low", "none"]


@pytest.mark.parametrize(("at", "tier"), [("11:00", "low"), ("10:59", "none")])
def test_a_late_event_counts_in_its_own_hour(at: str, tier: str) -> None:
    """It counts while that hour does, and nowhere once the hour is gone; the newest hour stays."""
    newest = event("Email Sent", "11:30", day=3)
    assert tiers_of(newest, event("Product Added", at)) == ["none", tier]


def test_what_changes_nothing_says_so() -> None:
    """A second mail in the same hour leaves the state as it is, so that no peer needs to write it."""
    state = job.fresh()
    assert job.apply(state, event("Email Sent"))[0]
    before = list(state)
    assert job.apply(state, event("Email Sent", "10:30")) == (False, None)
    assert state == before


def test_the_events_are_the_same_every_time_and_keyed_by_user() -> None:
    """The same arguments give the same bytes, every key is the event's user, and both partitions have some."""
    first, again = (list(keyed(300, users=40)) for _ in range(2))
    assert first == again
    pairs = [pair for batch in first for pair in batch]
    assert all(json.loads(payload)["userId"].encode() == user for user, payload in pairs)
    assert {partition(user) for user, _ in pairs} == set(range(job.PARTITIONS))


def test_time_that_passes_changes_the_tier_and_not_the_state() -> None:
    """What happened at ten counts for whoever lets time pass until the next day's hour of ten, and not after it."""
    state = job.fresh()
    job.apply(state, event("Product Added"))
    before, hour = list(state), state[0]
    assert [job.tier_at(state, hour + passed) for passed in (-1, 0, 24, 25)] == ["low", "low", "low", "none"]
    assert state == before


def test_a_wrong_tier_is_found() -> None:
    """A user with another tier, with one too many and with none are named; the tier `none` is as good as no result."""
    wanted = {"a": "low", "b": "mid", "c": "none", "d": "high"}
    assert differences(wanted, {"a": "mid", "b": "mid", "d": "high", "e": "low"}) == ["a", "e"]
    assert differences(wanted, {"a": "low", "b": "mid", "d": "none"}) == ["d"]


def test_shoal_comes_to_the_same_tiers_under_the_definitions(tmp_path: Path) -> None:
    """Every user's tier, as of her last event, is what the job says, late events or not, with every tier met."""
    pairs = [pair for batch in keyed(20_000, users=1_000) for pair in batch if partition(pair[0]) == 0]
    expected = Expected()
    expected.told(pairs)
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(payload for _, payload in pairs))
    replay(configuration.load(DEFINITIONS["equivalent"]), Request([file], tmp_path / "out", None, 10_000))
    tiers: dict[str, str] = {}
    shoal = Shoal("Shoal", DEFINITIONS["equivalent"])
    for line in (tmp_path / "out" / "segment-changes.jsonl").read_text(encoding="utf-8").splitlines():
        shoal.fold(json.loads(line), tiers, expected.as_of)
    assert shoal.judged(tiers, expected) == (None, [])
    assert set(tiers.values()) == {"none", "low", "mid", "high"}
