"""An engine as bytes, and back: nothing is lost, nothing else is taken for a state, and rows survive another layout."""

import itertools
import random
from typing import Any

import msgspec
import pytest

from schemas.models import Snapshot
from tests.core.support import ALL, CART, DAY, HOUR, MINUTE, Scenario, Story, reminder
from tests.support import random_definitions
from tests.support.pair import MAPPING, WALL_MS, Pair, checked_of
from worker.core.engine import Engine
from worker.core.layout import Layout
from worker.core.saving import StateError


def driven(seed: int, **options: int) -> Pair:
    """A pair at the end of a scenario."""
    scenario = Scenario(seed, **options)  # type: ignore[arg-type]
    return scenario.drive(scenario.pair(), ALL)


def restored(pair: Pair, data: bytes) -> Engine:
    """The engine of these bytes, under the version the pair is under."""
    return Engine.from_bytes(data, pair.checked, MAPPING, pair.model)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_restored_saves_to_the_same_bytes(seed: int) -> None:
    """Saved, restored, saved: byte by byte the same, memberships and members too."""
    pair = driven(seed, versions=2)
    data = pair.engine.to_bytes()
    engine = restored(pair, data)
    assert engine.to_bytes() == data
    assert list(engine.memberships()) == list(pair.engine.memberships())
    assert engine.members() == pair.engine.members()


def test_saving_changes_nothing() -> None:
    """An engine that is saved after every batch ends as one that never was."""
    scenario = Scenario(3)
    often, never = scenario.pair(), scenario.pair()
    for place in range(0, scenario.events, 10):
        often.step(scenario.records[place : place + 10])
        often.engine.to_bytes()
        never.step(scenario.records[place : place + 10])
    assert often.engine.to_bytes() == never.engine.to_bytes()


def test_an_empty_engine_and_one_with_work_left_survive() -> None:
    """Before the first record, and with a version's backlog: the backlog is the same after the restart."""
    pair = Scenario(4).pair()
    assert restored(pair, pair.engine.to_bytes()).to_bytes() == pair.engine.to_bytes()
    pair = driven(4)
    model = Snapshot.model_validate(random_definitions.snapshot(random.Random(9), 9))
    pair.engine.publish(model=model, wall_ms=WALL_MS, at_once=False)
    pair.engine.work(2, wall_ms=WALL_MS)
    data = pair.engine.to_bytes()
    engine = Engine.from_bytes(data, pair.checked, MAPPING, model)
    assert engine.backlog == pair.engine.backlog > 0
    assert engine.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1", b"{}", b"not a state", bytes(range(256)), b"\x80", b"\x90"])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    """Bytes that are something else: StateError, and nothing else is raised."""
    pair = Scenario(4).pair()
    with pytest.raises(StateError, match="not a saved state"):
        restored(pair, data)


def test_a_state_cut_anywhere_is_refused() -> None:
    """All prefixes of a saved state, and one with a byte too many: StateError."""
    pair = driven(6)
    data = pair.engine.to_bytes()
    for length in [*range(0, len(data), max(1, len(data) // 200)), len(data) - 1]:
        with pytest.raises(StateError):
            restored(pair, data[:length])
    with pytest.raises(StateError):
        restored(pair, data + b"\x00")


def test_a_state_of_another_version_is_refused_and_says_so() -> None:
    """Other definitions, another model, none, another format: StateError that names what doesn't fit."""
    pair = driven(7)
    data = pair.engine.to_bytes()
    other = checked_of({**pair.twin.rules.data, "timezone": "Asia/Tokyo"})
    model = Snapshot.model_validate(random_definitions.snapshot(random.Random(1), 9))
    for checked, snapshot in ((other, pair.model), (pair.checked, model)):
        with pytest.raises(StateError, match="definitions"):
            Engine.from_bytes(data, checked, MAPPING, snapshot)
    later = msgspec.msgpack.encode(msgspec.msgpack.decode(data) | {"format": 99})
    with pytest.raises(StateError, match="format 99"):
        restored(pair, later)


def test_names_and_comments_are_no_other_version() -> None:
    """Definitions with another name and owner mean the same: the state is taken."""
    pair = driven(8)
    renamed = {**pair.twin.rules.data}
    renamed["segments"] = [segment | {"name": "Other", "owner": "else"} for segment in renamed["segments"]]
    data = pair.engine.to_bytes()
    assert Engine.from_bytes(data, checked_of(renamed), MAPPING, pair.model).to_bytes() == data


@pytest.mark.parametrize("seed", range(6))
def test_another_layout_of_the_same_version_reads_the_state(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that lays columns out the other way round goes on with its predecessor's rows: the twin's records."""
    scenario = Scenario(900 + seed, versions=1)
    pair, lay_out, turns = scenario.pair(), Layout.of, itertools.count()
    before = pair.engine.rows.layout.hash

    def reversed_layout(wanted: list[tuple[str, str, int, float]]) -> Layout:
        return lay_out(wanted if next(turns) % 2 else reversed(list(wanted)))

    monkeypatch.setattr(Layout, "of", reversed_layout)
    pair.restart()
    assert pair.engine.rows.layout.hash != before
    scenario.drive(pair, 0, restarts=0.5).assert_equal()


def test_a_new_layout_keeps_members_pending_triggers_cooldowns_caps_and_duplicates() -> None:
    """By hand: everything campaigns and conditions remember is there after a version that reads more, and a restart."""
    campaigns = [reminder(channel="email", cooldown="2d"), reminder(delay="1d", on_exit="continue") | {"id": "late"}]
    rest: dict[str, Any] = {
        "campaigns": campaigns,
        "caps": [{"channel": "email", "limit": 1, "per": "24h"}],
        "traits": ["country"],
    }
    german = {"id": "german", "enter": 'trait("country") == "DE"'}
    story = Story(CART, german, **rest)
    story.tell(0, "identify", consent={"email": True}, country="DE")
    story.tell(0, "Product Added", product_id="p", price=5, messageId="m")
    story.tell(HOUR, "Product Viewed", product_id="q")
    width = story.engine.rows.layout.words
    story.publish({"id": "more", "enter": "refunds_365d > 0 or average_rating > 3"}, german, CART, **rest)
    story.restart()
    assert story.engine.rows.layout.words > width
    assert story.engine.members() == {"more": 0, "german": 1, "cart": 1}
    story.tell(2 * HOUR, "Product Added", product_id="p", messageId="m")
    story.tell(3 * HOUR, "Product Added", product_id="p", price=5)
    story.until(2 * DAY)
    later = [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions[2:]]
    assert story.duplicates == 1
    assert later == [
        ("reminder", "suppressed", "cooldown"),
        ("late", "suppressed", "cooldown"),
        ("late", "fired", None),
    ]
    assert story.triggers[-1]["cart"]["products"] == [{"product_id": "p", "quantity": 2}]


def test_a_cap_is_still_full_under_a_new_layout() -> None:
    """Sent at 0:30 with one a day: another campaign of the new version is refused by `cap` at 1:40."""
    caps = [{"channel": "email", "limit": 1, "per": "24h"}]
    story = Story(CART, campaigns=[reminder(channel="email")], caps=caps)
    story.tell(0, "identify", consent={"email": True})
    story.tell(0, "Product Added")
    story.tell(HOUR, "Product Viewed")
    added = [reminder(channel="email"), reminder(channel="email") | {"id": "new", "priority": 1}]
    story.publish(CART, {"id": "more", "enter": "spend_90d > 0"}, campaigns=added, caps=caps)
    story.tell(70 * MINUTE, "Product Added")
    story.until(DAY)
    refused = [("new", "suppressed", "cap"), ("reminder", "suppressed", "cap")]
    assert [(d["campaign"], d["outcome"], d["blocked_by"]) for d in story.decisions] == [
        ("reminder", "fired", None),
        *refused,
    ]
