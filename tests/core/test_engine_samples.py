"""Samples and observations by hand: when they are taken, what is in them, what resolves them, and who has none."""

import random
from typing import Any

import msgspec
import pytest

from schemas.models import Snapshot
from tests.core.support import (
    ALL,
    CART,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START_MS,
    WALL_MS,
    Scenario,
    Story,
    at,
    message,
    reminder,
    told_at_once,
)
from tests.support.pair import MAPPING, checked_of, on_the_wire
from worker.core.engine import Engine
from worker.language.observed import OBSERVED
from worker.naive.calendar import blake64, hexdigits, splitmix64

SEEN = {"id": "seen", "enter": "views_total > 0"}
ORDER = {"id": "order", "positive": "order", "horizon": "1h"}
SILENT = {"id": "silent", "positive": "silence", "horizon": "1h"}
MODEL = {
    "version": 3, "hash": "c" * 64, "features": [{"name": "order_recency"}],
    "targets": {"order": {"kind": "linear", "weights": [0.0], "intercept": 0.0}},
}  # fmt: skip


def telling(*targets: dict[str, Any], **rest: Any) -> Story:
    """A story whose user has looked at something at 0:00, so that she is sampled at 0:30."""
    story = Story(SEEN, targets=list(targets), **rest)
    story.tell(0, "Product Viewed")
    return story


def resolved(story: Story) -> list[tuple[str, int, int, int]]:
    """Target, label, and when each sample was taken and resolved."""
    return [(s["target"], s["label"], at(s["sampled_at"]), at(s["resolved_at"])) for s in story.samples]


def weekly(user: str) -> int:
    """The offset of a user's first weekly instant after the start."""
    return (blake64(user) - START_MS) % (7 * DAY)


# When, and what.


def test_a_sample_is_taken_at_the_end_of_a_session_and_resolved_by_what_it_waits_for() -> None:
    """Seen at 0:00, sampled at 0:30, ordered at 1:00: label 1, by the features of 0:30."""
    story = telling(ORDER)
    story.tell(HOUR, "Order Completed", total=50)
    assert resolved(story) == [("order", 1, 30 * MINUTE, HOUR)]
    (sample,) = story.samples
    assert sample["id"] == hexdigits("u", "order", START_MS + 30 * MINUTE)
    assert list(sample["features"]) == [each.name for each in OBSERVED]
    found = {name: sample["features"][name] for name in ("views_7d", "orders_total", "time_since_view",
                                                         "time_since_order", "order_recency")}  # fmt: skip
    assert found == {
        "views_7d": 1, "orders_total": 0, "time_since_view": 1800, "time_since_order": None, "order_recency": None
    }  # fmt: skip
    assert (sample["probability"], sample["model"], sample["exposed"]) == (None, None, [])


def test_a_target_has_one_pending_sample_at_most() -> None:
    """Three sessions within the hour that the first sample waits for: the next one is taken after it is resolved."""
    story = telling(ORDER | {"horizon": "2h"})
    for moment in (40 * MINUTE, 80 * MINUTE, 3 * HOUR):
        story.tell(moment, "Product Viewed")
    story.until(9 * HOUR)
    assert resolved(story) == [
        ("order", 0, 30 * MINUTE, 30 * MINUTE + 2 * HOUR), ("order", 0, 3 * HOUR + 30 * MINUTE, 5 * HOUR + 30 * MINUTE)
    ]  # fmt: skip


def test_a_session_that_goes_on_is_sampled_when_it_ends() -> None:
    """Activity at 0:00 and 0:20: nothing at 0:30, a sample at 0:50."""
    story = telling(ORDER)
    story.tell(20 * MINUTE, "Product Viewed")
    story.until(9 * HOUR)
    assert resolved(story) == [("order", 0, 50 * MINUTE, 110 * MINUTE)]


@pytest.mark.parametrize("user", ["u", "v", "Ω"])
def test_a_silent_user_is_sampled_and_observed_weekly_until_ninety_days_after_her_last_activity(user: str) -> None:
    """At the instants that the hash of her id says, the last one no later than 90 days on."""
    story = Story(SEEN, targets=[ORDER])
    story.tell(0, "Product Viewed", user=user)
    story.until(200 * DAY)
    instants = list(range(weekly(user), 90 * DAY + 1, 7 * DAY))
    assert [at(o["observed_at"]) for o in story.observations] == instants
    assert [s["sampled_at"] for s in story.samples[1:]] == [o["observed_at"] for o in story.observations]
    assert story.observations[0]["id"] == hexdigits(user, "observation", START_MS + instants[0])


def test_the_last_weekly_instant_may_be_ninety_days_after_the_last_activity_to_the_millisecond() -> None:
    """Last activity 90 days before her 14th weekly instant: it is one; a millisecond earlier: it isn't."""
    found = []
    for early in (0, 1):
        story = Story(SEEN, targets=[ORDER])
        story.tell(weekly("u") + 91 * DAY - 90 * DAY - early, "Product Viewed")
        story.until(200 * DAY)
        found.append(at(story.observations[-1]["observed_at"]) - weekly("u"))
    assert found == [91 * DAY, 84 * DAY]


def test_an_observation_has_what_samples_have_and_what_is_ranked() -> None:
    """A percentile of what isn't observed otherwise is observed with it; a sample has the same names without it."""
    story = telling(ORDER)
    story.publish(SEEN, {"id": "top", "enter": 'percentile("refunded_total") > 0.9'}, targets=[ORDER])
    story.tell(HOUR, "Order Refunded", total=12.5)
    story.until(8 * DAY)
    names = [each.name for each in OBSERVED]
    assert [list(o["features"]) for o in story.observations] == [[*names, "refunded_total"]]
    assert story.observations[0]["features"]["refunded_total"] == 12.5
    assert {tuple(s["features"]) for s in story.samples} == {tuple(names)}


@pytest.mark.parametrize("segment", [
    {"id": "s", "clusters": True}, {"id": "s", "enter": 'cluster() == "new"'},
    {"id": "s", "enter": 'percentile("spend_total") > 0.5'},
])  # fmt: skip
def test_clusters_and_percentiles_are_observed_without_targets(segment: dict[str, Any]) -> None:
    """There is something to learn from users even if nothing is foreseen of them."""
    story = Story(segment)
    story.tell(0, "Product Viewed")
    story.until(14 * DAY)
    assert len(story.observations) == 2
    assert story.samples == []


def test_definitions_that_learn_nothing_keep_nothing_for_it() -> None:
    """No column of a row, no room, no record."""
    story = Story(SEEN, campaigns=[{"id": "c", "trigger": {"entered": "seen"}}])
    story.tell(0, "Product Viewed")
    story.until(100 * DAY)
    assert (story.samples, story.observations) == ([], [])
    layout = story.engine.rows.layout
    words = ("evaluation_due", "sampled", "scored", "observed", "fired", "ring")
    assert [name for name in layout.columns if name.startswith(words)] == []
    told = telling(ORDER, campaigns=[{"id": "c", "trigger": {"entered": "seen"}}]).engine.rows.layout
    assert {word for word in words if any(name.startswith(word) for name in told.columns)} == set(words)


def test_a_share_takes_the_instants_that_a_hash_of_target_user_and_instant_says() -> None:
    """A quarter of the samples of 200 users, those that the formula chooses; the other target's are all there."""
    story = Story(SEEN, targets=[ORDER | {"sample": 0.25}, SILENT])
    users = [f"u{number}" for number in range(200)]
    told_at_once(story, *(message(0, "Product Viewed", user) for user in users))
    story.until(2 * HOUR)
    instant = START_MS + 30 * MINUTE
    wanted = [u for u in users if splitmix64(blake64(u) ^ blake64("order\x1fsample") ^ instant) < 2**62]
    assert sorted(s["user_id"] for s in story.samples if s["target"] == "order") == sorted(wanted)
    assert 25 < len(wanted) < 75
    assert sum(s["target"] == "silent" for s in story.samples) == 200


# What resolves.


@pytest.mark.parametrize(("late", "found"), [(0, ("order", 1, 30 * MINUTE, 90 * MINUTE)),
                                             (1, ("order", 0, 30 * MINUTE, 90 * MINUTE))])  # fmt: skip
def test_an_event_at_the_deadlines_millisecond_counts_and_one_a_millisecond_later_does_not(
    late: int, found: tuple[str, int, int, int]
) -> None:
    """Sampled at 0:30, one hour: an order at 1:30:00.000 is in it."""
    story = telling(ORDER)
    story.tell(90 * MINUTE + late, "Order Completed")
    assert resolved(story) == [found]


def test_an_event_at_the_samples_own_millisecond_is_neither_in_its_features_nor_its_label() -> None:
    """The order of 0:30:00.000 comes after the instant; what is waited for comes after it."""
    story = telling(ORDER)
    story.tell(30 * MINUTE, "Order Completed")
    story.until(2 * HOUR)
    assert resolved(story) == [("order", 0, 30 * MINUTE, 90 * MINUTE)]
    assert story.samples[0]["features"]["orders_total"] == 0


def test_a_late_event_counts_by_its_own_time_while_the_sample_waits() -> None:
    """At 1:20 orders of 0:20 and 1:00 come in: the first is from before the sample, the second resolves it at 1:20."""
    story = telling(ORDER)
    story.tell(80 * MINUTE, "Product Viewed")
    story.tell(20 * MINUTE, "Order Completed")
    assert story.samples == []
    story.tell(HOUR, "Order Completed")
    assert resolved(story) == [("order", 1, 30 * MINUTE, 80 * MINUTE)]


def test_an_event_that_comes_after_the_deadline_has_passed_resolves_nothing() -> None:
    """At 1:40 the sample is resolved; an order of 1:00 that comes then is too late."""
    story = telling(ORDER)
    story.tell(100 * MINUTE, "Product Viewed")
    story.tell(HOUR, "Order Completed")
    assert resolved(story) == [("order", 0, 30 * MINUTE, 90 * MINUTE)]


def test_a_duplicate_resolves_nothing() -> None:
    """The order of before the sample comes again with a time after it."""
    story = telling(ORDER)
    story.tell(MINUTE, "Order Completed", order_id="o-1")
    story.tell(HOUR, "Order Completed", order_id="o-1")
    story.until(3 * HOUR)
    assert story.duplicates == 1
    assert resolved(story) == [("order", 0, 31 * MINUTE, 91 * MINUTE)]


def test_silence_is_broken_by_activity_and_by_nothing_else() -> None:
    """A mail sent, a refund and an `identify` are no activity: label 1 at the deadline; a view is: label 0."""
    quiet, active = telling(SILENT), telling(SILENT)
    for name in ("Email Sent", "Order Refunded", "identify"):
        quiet.tell(HOUR, name)
    active.tell(90 * MINUTE, "Product Viewed")
    quiet.until(2 * HOUR)
    assert resolved(quiet) == [("silent", 1, 30 * MINUTE, 90 * MINUTE)]
    assert resolved(active) == [("silent", 0, 30 * MINUTE, 90 * MINUTE)]


def test_one_event_resolves_all_that_it_answers_in_the_order_of_the_file() -> None:
    """An order is no silence either."""
    story = telling(SILENT, ORDER)
    story.tell(HOUR, "Order Completed")
    assert [found[:2] for found in resolved(story)] == [("silent", 0), ("order", 1)]


def test_what_comes_after_the_instant_never_shows_in_the_features() -> None:
    """Planted: views and an order between sample and label. The sample doesn't know them, the observation after does:
    read at the resolution, features would have told.
    """
    planted, plain = telling(ORDER), telling(ORDER)
    for moment in range(40, 60):
        planted.tell(moment * MINUTE, "Product Viewed")
    for story in (planted, plain):
        story.tell(HOUR, "Order Completed", total=999)
        story.until(8 * DAY)
    assert planted.samples[0]["features"] == plain.samples[0]["features"]
    assert planted.samples[0]["features"]["spend_total"] == 0
    assert planted.observations[0]["features"]["views_90d"] == 21
    assert planted.observations[0]["features"]["spend_total"] == 999


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_is_the_same_whatever_is_still_to_come(seed: int) -> None:
    """Of a random log cut anywhere, samples and observations from before the cut have the features that the whole log
    gives them.
    """
    scenario = Scenario(1000 + seed)
    payloads = [record.payload for record in scenario.records]
    known: list[dict[str, Any]] = []
    for end in (*random.Random(seed).sample(range(50, 300), 3), 300):
        engine = Engine(checked_of(scenario.definitions), MAPPING)
        effects = [engine.step(payloads[:end], 0, wall_ms=WALL_MS)]
        passed_ms = engine.passed_ms
        effects.append(engine.tick(passed_ms + 100 * DAY, wall_ms=WALL_MS))
        made = on_the_wire([record for each in effects for record in (*each.samples, *each.observations)])
        instants = {record["id"]: START_MS + at(record.get("sampled_at") or record["observed_at"]) for record in made}
        known.append({r["id"]: r["features"] for r in made if instants[r["id"]] <= passed_ms})
    *parts, whole = known
    for part in parts:
        shared = part.keys() & whole.keys()  # a sample may be pending at the end of the one, and dropped in the other
        assert len(shared) >= 3
        assert all(part[name] == whole[name] for name in shared)


# Who has none.


def test_consent_withdrawn_drops_what_is_pending_and_consent_given_begins_anew() -> None:
    """Withdrawn at 1:00, the order of 1:10 finds no sample; given again on the second day, its session is sampled."""
    story = telling(ORDER)
    story.tell(HOUR, "identify", consent={"profiling": False})
    story.tell(70 * MINUTE, "Order Completed")
    story.until(DAY)
    assert (story.samples, story.observations) == ([], [])
    row = story.engine.rows.rows.view("f8")[0]
    first = story.engine.version.program.pending[0]["features"]
    assert all(value != value for value in row[first : first + len(OBSERVED)])  # noqa: PLR0124  not one is left
    story.tell(DAY, "identify", consent={"profiling": True})
    story.tell(DAY + 1, "Product Viewed")
    story.until(DAY + 6 * HOUR)
    assert resolved(story) == [("order", 0, DAY + 1 + 30 * MINUTE, DAY + 1 + 90 * MINUTE)]


def test_with_opt_in_nobody_is_sampled_or_observed_who_has_not_said_yes() -> None:
    """Two users, one of whom consents: all records are hers."""
    story = Story(SEEN, targets=[ORDER], profiling="opt_in")
    for user in ("u", "v"):
        story.tell(0, "Product Viewed", user=user)
    story.tell(MINUTE, "identify", user="v", consent={"profiling": True})
    story.until(30 * DAY)
    assert {record["user_id"] for record in (*story.samples, *story.observations)} == {"v"}


def test_a_version_that_asks_for_consent_drops_what_is_pending() -> None:
    """She never said; from the version on her silence means no."""
    story = telling(ORDER)
    story.until(HOUR)
    story.publish(SEEN, targets=[ORDER], profiling="opt_in")
    story.tell(70 * MINUTE, "Order Completed")
    story.until(30 * DAY)
    assert (story.samples, story.observations) == ([], [])


# Exposure.


def test_a_sample_names_the_campaigns_that_reached_her_meanwhile() -> None:
    """Fired between sample and label: named, in file order. Before the sample, held out, in shadow, refused, or by the
    event that resolves: not named.
    """

    def on(condition: str, name: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"id": name, "enter": condition}, {"id": name, "trigger": {"entered": name}, **options}

    made = [
        on("time_since_view >= 50m", "later"), on("time_since_view >= 40m", "sooner"),
        on("time_since_view >= 20m", "before"), on("time_since_view >= 41m", "held", holdout=1.0),
        on("time_since_view >= 42m", "dark", status="shadow"), on("time_since_view >= 43m", "paused", status="paused"),
        on("orders_total > 0", "by_the_order"),
    ]  # fmt: skip
    segments, campaigns = zip(*made, strict=True)
    story = Story(SEEN, *segments, targets=[ORDER], campaigns=list(campaigns))
    story.tell(0, "Product Viewed")
    story.tell(HOUR, "Order Completed")
    assert len(story.decisions) == len(made)
    assert [sample["exposed"] for sample in story.samples] == [["later", "sooner"]]


@pytest.mark.parametrize(("condition", "exposed"), [("30m", ["c"]), ("90m", ["c"]), ("91m", [])])
def test_exposure_is_from_the_samples_millisecond_to_that_of_its_resolution(condition: str, exposed: list[str]) -> None:
    """Sampled at 0:30 and resolved at 1:30: a campaign that fires at either is named, one that fires at 1:31 isn't."""
    late = {"id": "late", "enter": f"time_since_view >= {condition}"}
    story = Story(SEEN, late, targets=[ORDER], campaigns=[{"id": "c", "trigger": {"entered": "late"}}])
    story.tell(0, "Product Viewed")
    story.until(3 * HOUR)
    assert [sample["exposed"] for sample in story.samples] == [exposed]


def test_a_campaign_that_fires_as_the_deadline_passes_hides_no_earlier_firing() -> None:
    """Fired at 0:40, and again a millisecond after the deadline, 1:30, when the sample is resolved: it was reached."""
    again = {"id": "again", "enter": "40m <= time_since_view < 41m or time_since_view > 90m"}
    story = Story(SEEN, again, targets=[ORDER], campaigns=[{"id": "c", "trigger": {"entered": "again"}}])
    story.tell(0, "Product Viewed")
    story.until(3 * HOUR)
    assert [found[2] for found in story.outcomes] == [40 * MINUTE, 90 * MINUTE + 1]
    assert [sample["exposed"] for sample in story.samples] == [["c"]]


def test_all_campaigns_there_may_be_are_told_apart() -> None:
    """64 campaigns fire, the last of them too."""
    campaigns = [reminder() | {"id": f"c{number}"} for number in range(64)]
    story = Story(CART, targets=[ORDER], campaigns=campaigns)
    story.tell(0, "Product Added")
    story.until(3 * HOUR)
    assert [sample["exposed"] for sample in story.samples] == [[campaign["id"] for campaign in campaigns]]


# Declared traits.


def test_a_sample_has_the_declared_traits_as_they_are_at_its_resolution() -> None:
    """Said after the sample was taken: the new ones; after its deadline: the old ones. A number, a text or null."""
    story = telling(ORDER, traits=["country", "points", "plan"])
    story.tell(0, "identify", country="AT", points=7.5, other="x")
    story.tell(40 * MINUTE, "identify", country="DE")
    story.tell(91 * MINUTE, "identify", country="CH", points=None, plan="pro")
    story.until(9 * HOUR)
    story.tell(9 * HOUR, "Product Viewed")
    story.tell(10 * HOUR, "Order Completed")
    assert [sample["traits"] for sample in story.samples] == [
        {"country": "DE", "points": 7.5, "plan": None}, {"country": "CH", "points": None, "plan": "pro"}
    ]  # fmt: skip


def test_without_declared_traits_a_sample_has_none() -> None:
    """An empty object, whatever `identify` says."""
    story = telling(ORDER)
    story.tell(0, "identify", country="AT")
    story.until(9 * HOUR)
    assert [sample["traits"] for sample in story.samples] == [{}]


# Models and versions.


def test_a_sample_keeps_the_probability_and_the_model_of_its_instant() -> None:
    """0.5 by model 3; model 4, published before the label, would have said something else."""
    story = telling(ORDER, model=MODEL)
    story.until(HOUR)
    other = {"kind": "linear", "weights": [0.0], "intercept": 3.0}
    later = Snapshot.model_validate(MODEL | {"version": 4, "hash": "d" * 64, "targets": {"order": other}})
    story.take(story.engine.publish(model=later, wall_ms=WALL_MS))
    story.tell(80 * MINUTE, "Order Completed")
    story.until(9 * HOUR)
    assert [(s["probability"], s["model"]) for s in story.samples] == [
        (0.5, "3/" + "c" * 64), (0.952574, "4/" + "d" * 64)
    ]  # fmt: skip


def test_a_model_without_the_target_gives_no_probability() -> None:
    """Its label is there all the same: it was the live one."""
    story = telling(ORDER | {"id": "other"}, model=MODEL)
    story.until(3 * HOUR)
    assert [(s["probability"], s["model"]) for s in story.samples] == [(None, "3/" + "c" * 64)]


@pytest.mark.parametrize(("change", "kept"), [
    ({}, True), ({"sample": 0.5}, True), ({"horizon": "2h"}, False), ({"positive": "refund"}, False),
    ({"id": "other"}, False),
])  # fmt: skip
def test_a_pending_sample_outlives_a_version_that_means_the_same_by_its_target(
    change: dict[str, Any], kept: bool
) -> None:
    """Its share may change; with another horizon, another kind or another id what was pending is gone."""
    story = telling(ORDER)
    story.until(HOUR)
    story.publish(SEEN, {"id": "b", "enter": "reviews_90d > 0"}, targets=[SILENT, ORDER | change])
    story.until(90 * MINUTE + 1)
    assert resolved(story) == ([("order", 0, 30 * MINUTE, 90 * MINUTE)] if kept else [])


def test_a_target_without_a_share_hashes_as_with_all_of_it() -> None:
    """The hash of definitions covers a share, and only one that thins."""
    hashes = [checked_of({"version": 1, "segments": [SEEN], "targets": [ORDER | share]}).hash
              for share in ({}, {"sample": 1}, {"sample": 0.5})]  # fmt: skip
    assert hashes[0] == hashes[1] != hashes[2]


# Far and wide.


def test_more_samples_and_observations_than_the_outputs_hold_come_out_whole() -> None:
    """3,000 users over 100 days in two calls: observed weekly each, and sampled whenever nothing of hers is pending."""
    story = Story(SEEN, targets=[ORDER, SILENT])
    users = [f"u{number}" for number in range(3000)]
    told_at_once(story, *(message(0, "Product Viewed", user) for user in users))
    story.until(100 * DAY)
    weeks = {user: list(range(weekly(user), 90 * DAY + 1, 7 * DAY)) for user in users}
    wanted = {user: len(instants) for user, instants in weeks.items()}
    found = dict.fromkeys(users, 0)
    for observation in story.observations:
        found[observation["user_id"]] += 1
    assert found == wanted
    at_first = [1 if abs(instants[0] - 30 * MINUTE) <= HOUR else 2 for instants in weeks.values()]
    assert len(story.samples) == 2 * (sum(wanted.values()) - len(users) + sum(at_first))
    assert len({sample["id"] for sample in story.samples}) == len(story.samples)


def test_a_state_that_knows_nothing_of_sampling_goes_on() -> None:
    """A row of a release that kept no instant of its own for evaluations: she is judged in time, then sampled."""
    story = telling(ORDER)
    story.publish(CART, targets=[ORDER])
    story.tell(MINUTE, "Product Added")
    state = msgspec.msgpack.decode(story.engine.to_bytes())
    state["layout"] = [[f"old {name}" if name == "evaluation_due" else name, *rest] for name, *rest in state["layout"]]
    story.engine = Engine.from_bytes(msgspec.msgpack.encode(state), checked_of(story.definitions), MAPPING)
    story.until(3 * HOUR)
    assert story.changes[-1] == ("+cart", 31 * MINUTE)
    assert resolved(story) == [("order", 0, 31 * MINUTE, 91 * MINUTE)]


def test_sampling_evaluates_nobody() -> None:
    """Of a user who is only sampled and observed nothing is evaluated after her record; her row is stored anew."""
    story = telling(ORDER)
    story.engine.rows.take_changed()
    effects = story.engine.tick(START_MS + 60 * DAY, wall_ms=WALL_MS)
    assert (len(effects.observations), effects.evaluations) == (len(range(weekly("u"), 60 * DAY + 1, 7 * DAY)), 0)
    assert story.engine.rows.take_changed().tolist() == [0]


def test_the_record_of_the_instant_itself_comes_after_it_however_the_log_is_cut() -> None:
    """Session end and next record at one millisecond, in one batch or two: the same sample."""
    payloads = [message(0, "Product Viewed"), message(30 * MINUTE, "Product Viewed"), message(DAY, "Product Viewed")]
    found = []
    for size in (1, ALL):
        story = Story(SEEN, targets=[ORDER])
        for place in range(0, len(payloads), size):
            told_at_once(story, *payloads[place : place + size])
        found.append(story.samples)
    assert found[0] == found[1]
    assert found[0][0]["features"]["views_7d"] == 1
    assert at(found[0][0]["sampled_at"]) == 1800 * SECOND
