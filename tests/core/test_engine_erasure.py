"""Erasure, retention and withdrawn consent: the engine held to the twin, and nothing left of who was forgotten."""

from typing import Any

import pytest

from tests.core.support import ALL, CART, DAY, HOUR, KEYED, MINUTE, START_MS, Scenario, Story, message, reminder
from tests.support import streams
from tests.support.pair import BY_USER, MAPPING, WALL_MS, Pair, checked_of, on_the_wire
from worker.core.engine import Engine
from worker.core.erasures import ERASED_KEPT_MS, Erased, Erasures
from worker.core.layout import FOREVER
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError

SEEDS = range(5)


def forgetful(seed: int, **options: Any) -> Scenario:
    """A scenario in which users are erased, with versions in between."""
    return Scenario(1000 + seed, versions=2, new_reads=True, **{"erasures": 12, **options})


def retaining(seed: int) -> Scenario:
    """A scenario in which users are forgotten without being asked, and some are erased."""
    retention = {"idle": "1d", "users_max": 4}
    return forgetful(seed, erasures=3, settings=streams.Settings(users=12), retention=retention)


def driven(scenario: Scenario, size: int, restarts: float = 0.0) -> Pair:
    """The pair of a scenario at its end."""
    return scenario.drive(scenario.pair(), size, restarts)


@pytest.mark.parametrize("size", [1, ALL])
@pytest.mark.parametrize("seed", SEEDS)
def test_erasures_give_what_the_twin_gives(seed: int, size: int) -> None:
    """Users erased between records, some for good, who come back late and later; versions in between."""
    pair = driven(forgetful(seed), size)
    pair.assert_equal()
    assert pair.twin.duplicates >= sum(effects.ignored for effects in pair.effects)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_forgets_no_erasure(seed: int) -> None:
    """The state saved and restored again and again, slots free and taken again: the twin's records."""
    driven(forgetful(seed), 11, restarts=0.6).assert_equal()


@pytest.mark.parametrize("size", [1, ALL, 0])
@pytest.mark.parametrize("seed", SEEDS)
def test_retention_gives_what_the_twin_gives(seed: int, size: int) -> None:
    """Users idle for more than a day leave when a day begins, the longest idle ones where there are more than four."""
    pair = driven(retaining(seed), size, restarts=0.2)
    pair.assert_equal()
    assert len(pair.engine.users) <= 4


def test_the_scenarios_erase() -> None:
    """What the comparisons compare is there: exits by erasure, triggers cancelled, records ignored, users back."""
    pairs = [driven(scenario, ALL) for seed in SEEDS for scenario in (forgetful(seed), retaining(seed))]
    exits = [t for pair in pairs for t in pair.twin.transitions if t["cause"] == "erasure"]
    effects = [each for pair in pairs for each in pair.effects]
    assert len(exits) > 50
    assert {(t["direction"], t["origin"], str(t["reason"])) for t in exits} == {("exited", "backfill", "[]")}
    assert sum(each.ignored for each in effects) > 50
    assert sum(len(each.forgotten) for each in effects) > 100
    assert sum(each.samples_dropped for each in effects) > 5
    assert sum(each.texts_dropped for each in effects) > 5
    cancelled = [
        d for pair in pairs for d in pair.twin.decisions if (d["outcome"], d["blocked_by"]) == ("cancelled", None)
    ]
    assert len(cancelled) > 3
    assert sum(len(pair.engine.erasures.by_slot) for pair in pairs) > 3


def test_the_same_bytes_at_any_batch_size() -> None:
    """Slots that are given again, texts that were dropped: the saved state doesn't tell how the log was cut."""
    cut = [driven(retaining(3), size) for size in (1, 7, ALL)]
    assert len({pair.engine.to_bytes() for pair in cut}) == 1


# What is left.

ONLY_HERS = ("zanzibar-trait", "p-only-hers", "category-only-hers")
TARGETS = [{"id": "purchase_7d", "positive": "order", "horizon": "7d"}]
MEMBERS = [
    CART,
    {"id": "from", "enter": 'trait("country") != "nowhere"'},
    {"id": "likes", "enter": 'interest("shoes") >= 0'},
]


def a_life(pseudonyms: Pseudonyms = KEYED) -> Story:
    """Somebody with a cart, traits, a deferred trigger and a pending sample; and somebody else."""
    campaign = reminder(channel="email", delay="2h", include_traits=["country"])
    story = Story(*MEMBERS, traits=["country"], targets=TARGETS, campaigns=[campaign])
    story.engine.erasures.pseudonyms = pseudonyms
    story.tell(0, "identify", "u-secret", country=ONLY_HERS[0], consent={"email": True})
    story.tell(1, "Product Added", "u-secret", product_id=ONLY_HERS[1], category=ONLY_HERS[2], price=1.0)
    story.tell(2, "Product Added", "u-other", product_id="p-common", category="shoes", price=1.0)
    story.until(HOUR)
    return story


def erased(user: str, until: int, *, suppress: bool = False, pseudonyms: Pseudonyms = KEYED) -> Erased:
    """An erasure, its instant as an offset like those of stories."""
    return Erased(pseudonyms.of(user), pseudonyms.version, START_MS + until, suppress)


def test_nothing_of_an_erased_user_is_left() -> None:
    """Neither her id nor a text that only she had is in the state; her trigger and her sample are gone; others stay."""
    story = a_life()
    assert all(text.encode() in story.engine.to_bytes() for text in ("u-secret", *ONLY_HERS))
    effects = story.engine.erase(erased("u-secret", HOUR), "u-secret", wall_ms=WALL_MS)
    story.take(effects)
    assert effects.forgotten == ["u-secret"]
    assert (effects.samples_dropped, effects.texts_dropped) == (1, 3)
    left = [(t["segment"], t["cause"], t["seq"]) for t in story.transitions][-3:]
    assert left == [("cart", "erasure", 4), ("from", "erasure", 5), ("likes", "erasure", 6)]
    hers = [(d["outcome"], d["blocked_by"]) for d in story.decisions if d["user_id"] == "u-secret"]
    assert hers == [("deferred", "delay"), ("cancelled", None)]
    state = story.engine.to_bytes()
    assert not any(text.encode() in state for text in ("u-secret", *ONLY_HERS))
    assert KEYED.of("u-secret").encode() in state
    assert story.engine.members() == {"cart": 1, "from": 0, "likes": 1}
    assert story.engine.explain("u-secret") is None
    told = {topic: len(getattr(story, topic)) for topic in BY_USER}
    story.until(30 * DAY)
    later = [record for topic, count in told.items() for record in getattr(story, topic)[count:]]
    assert {record["user_id"] for record in later} == {"u-other"}


def test_what_she_did_before_is_ignored_and_what_she_does_later_begins_anew() -> None:
    """A record stamped at the instant of the erasure is the last that doesn't count, a millisecond later the first."""
    story = a_life()
    story.take(story.engine.erase(erased("u-secret", HOUR), "u-secret", wall_ms=WALL_MS))
    before = (story.duplicates, story.engine.clock_ms)
    story.tell(HOUR, "Product Viewed", "u-secret")
    assert (story.duplicates, story.engine.clock_ms) == (before[0] + 1, before[1])
    assert "u-secret" not in story.engine.users.slots
    story.tell(HOUR + 1, "Product Added", "u-secret", product_id="p-new")
    story.tell(HOUR, "Product Viewed", "u-secret")
    assert story.duplicates == before[0] + 2
    story.until(2 * HOUR)
    (entry,) = [t for t in story.transitions if t["user_id"] == "u-secret" and t["cause"] == "timer" and t["seq"] == 1]
    assert (entry["segment"], entry["direction"], entry["seq"]) == ("cart", "entered", 1)


@pytest.mark.parametrize("segments", [MEMBERS[:1], [*MEMBERS, {"id": "buyer", "enter": "spend_365d > orders_90d"}]])
def test_a_place_that_is_free_is_blank_for_the_next_user(segments: list[dict[str, Any]]) -> None:
    """Also while rows wait to be carried over to a new version's layout: smaller in their places, larger elsewhere.

    Who gets the place begins as she does where everybody was carried over at once.
    """

    def begun(*, at_once: bool) -> bytes:
        story = a_life()
        story.take(story.engine.erase(erased("u-secret", HOUR), wall_ms=WALL_MS))
        checked = checked_of({"version": 8, "traits": ["country"], "segments": segments})
        story.take(story.engine.publish(checked, wall_ms=WALL_MS, at_once=at_once))
        story.tell(2 * HOUR, "Product Added", "u-new", product_id="p-1", category="shoes", price=1.0)
        story.take(story.engine.work(ALL, wall_ms=WALL_MS))
        return story.engine.to_bytes()

    assert begun(at_once=False) == begun(at_once=True)


def test_a_suppressed_user_never_comes_back() -> None:
    """Whatever the time of her events, whatever was asked later, and through a restart."""
    story = a_life()
    story.take(story.engine.erase(erased("u-secret", HOUR, suppress=True), "u-secret", wall_ms=WALL_MS))
    story.take(story.engine.erase(erased("u-secret", 2 * HOUR), "u-secret", wall_ms=WALL_MS))
    state = story.engine.to_bytes()
    story.engine = Engine.from_bytes(state, story.engine.version.checked, MAPPING, None, KEYED)
    story.tell(9 * DAY, "Product Added", "u-secret")
    assert (story.duplicates, "u-secret" in story.engine.users.slots) == (1, False)


def test_who_is_erased_before_the_first_record_is_ignored() -> None:
    """As where a state was lost and the input is read from its start; nobody else is erased before or after."""
    story = Story(CART)
    story.engine.erasures.pseudonyms = KEYED
    story.take(story.engine.erase(erased("u-secret", HOUR), wall_ms=WALL_MS))
    story.tell(HOUR, "Product Added", "u-secret")
    story.tell(HOUR, "Product Added", "u-other")
    assert (story.duplicates, list(story.engine.users.slots)) == (1, ["u-other"])


@pytest.mark.parametrize(("name", "fields"), [("identify", {"country": True}), ("Product Viewed", {"product_id": 5})])
def test_no_dead_letter_holds_what_an_erased_user_did(name: str, fields: dict[str, Any]) -> None:
    """What can't be understood of hers becomes a dead letter without a payload; a suppressed one's none at all."""
    story = a_life()
    story.take(story.engine.erase(erased("u-secret", HOUR), "u-secret", wall_ms=WALL_MS))
    spoilt = message(2 * HOUR, name, "u-secret", **fields)
    effects = story.engine.step([spoilt], 9, wall_ms=WALL_MS)
    (letter,) = effects.dead_letters
    assert (letter.reason, letter.payload, effects.keyless) == ("bad_field", "", {9})
    story.engine.erase(erased("u-secret", HOUR, suppress=True), "u-secret", wall_ms=WALL_MS)
    effects = story.engine.step([spoilt], 10, wall_ms=WALL_MS)
    assert (effects.dead_letters, effects.duplicates, effects.ignored) == ([], 1, 1)


def test_an_erasure_finds_the_user_by_her_pseudonym_alone() -> None:
    """As a replay does, whose points hold no ids."""
    story = a_life()
    assert story.engine.erase(erased("u-secret", HOUR), wall_ms=WALL_MS).forgotten == ["u-secret"]


def test_a_key_that_is_not_there_is_told() -> None:
    """An erasure under another key can't be kept to, so nothing goes on."""
    story = a_life()
    story.engine.erase(erased("u-secret", HOUR), "u-secret", wall_ms=WALL_MS)
    for others in (Pseudonyms(), Pseudonyms({1: b"another"})):
        with pytest.raises(UnknownKeyError, match="version 1"):
            Engine.from_bytes(story.engine.to_bytes(), story.engine.version.checked, MAPPING, None, others)


def test_a_new_key_finds_what_was_erased_under_the_one_before() -> None:
    """Both keys are looked up; a later erasure is under the new one."""
    both = Pseudonyms({1: b"a secret", 2: b"another"})
    erasures = Erasures(both, [erased("u", HOUR)])
    assert erasures.until("u") == START_MS + HOUR
    erasures.take(erased("u", 2 * HOUR, pseudonyms=both), None)
    assert erasures.until("u") == START_MS + 2 * HOUR
    assert {each.key_version for each in erasures.known()} == {1, 2}
    assert both.of("u", 1) == KEYED.of("u") != both.of("u") != Pseudonyms().of("u")


def test_an_erasure_is_remembered_as_long_as_an_event_before_it_could_come() -> None:
    """400 days; a suppression for good."""
    erasures = Erasures(KEYED, [erased("u", 0), erased("v", 0, suppress=True)])
    erasures.take(erased("w", 0), START_MS + ERASED_KEPT_MS)
    assert len(erasures) == 3
    erasures.take(erased("w", 0), START_MS + ERASED_KEPT_MS + 1)
    assert (erasures.until("u"), erasures.until("v")) == (None, FOREVER)


# Consent.


def test_a_withdrawn_consent_stops_what_waits_at_once() -> None:
    """A deferred trigger is suppressed by the record that takes the consent away, not when it falls due."""
    story = Story(CART, campaigns=[reminder(channel="email", delay="2h")])
    story.tell(0, "identify", consent={"email": True})
    story.tell(1, "Product Added")
    story.until(HOUR)
    story.tell(HOUR, "Unsubscribed")
    story.until(DAY)
    assert story.outcomes == [("deferred", "delay", 30 * MINUTE + 1), ("suppressed", "consent", HOUR)]


def test_who_may_not_be_profiled_any_more_leaves_her_cluster() -> None:
    """With the record that says so; her pending sample is dropped and there is no probability."""
    scenario = next(
        each for each in (Scenario(seed) for seed in range(1000, 1100)) if each.model and each.model.get("clusters")
    )
    story = Story({"id": "behaviour", "clusters": True}, targets=TARGETS, model=scenario.model)
    story.tell(0, "Product Viewed")
    assert [t["direction"] for t in story.transitions] == ["entered"]
    story.until(HOUR)
    story.tell(2 * HOUR, "identify", consent={"profiling": False})
    assert [t["direction"] for t in story.transitions] == ["entered", "exited"]
    assert story.transitions[-1]["reason"] == [{"clause": "cluster()", "value": None}]
    story.until(30 * DAY)
    assert on_the_wire(story.samples) == []
