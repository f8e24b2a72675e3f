"""The engine held to the naive twin: the same log gives the same records, in the same order, id by id.

However the log is cut into batches, whoever is hot, whichever clock it is, with versions taking effect in between, with
the state saved and restored, with rows moved to another layout, and with due users worked off in slices.
"""

import random
from typing import Any

import pytest

from schemas.models import Snapshot
from tests.core.support import ALL, TICKS_MS, Scenario, by_user
from tests.support import streams
from tests.support.pair import BY_USER, WALL_MS, Pair, alike, checked_of
from tests.support.random_definitions import TARGETS
from tests.support.streams import Record

SEEDS = range(10, 18)
SIZES = (1, 7, 1000, ALL, 0)


class Sliced(Pair):
    """A pair whose engine works due users and versions off a few at a time, as a shell does under load."""

    rows_max = 2

    def step(self, records: list[Record], wall_ms: int = WALL_MS) -> None:  # type: ignore[override]
        """Records, then one slice of what a version left over."""
        keys = [record.key for record in records] if self.wall else None
        arrivals = [record.arrival_ms for record in records] if self.wall else None
        payloads = [record.payload for record in records]
        for place, record in enumerate(records):
            key, arrival = (record.key, record.arrival_ms) if self.wall else (None, None)
            self.twin.record(self.offset + place, record.payload, key=key, arrival_ms=arrival, wall_ms=wall_ms)
        taken = self.engine.step(payloads, self.offset, keys, arrivals, wall_ms=wall_ms, due_rows_max=self.rows_max)
        self.effects += [taken, self.engine.work(self.rows_max, wall_ms=wall_ms)]
        self.offset += len(records)

    def tick(self, until_ms: int) -> None:
        """A tick of which one slice is done at once; records may come before the rest."""
        self.effects.append(self.engine.tick(until_ms, wall_ms=WALL_MS, due_rows_max=self.rows_max))
        self.twin.tick(until_ms, wall_ms=WALL_MS)

    def catch_up(self) -> None:
        """All that slices have left over."""
        while self.engine.overdue:
            self.effects.append(self.engine.catch_up(self.rows_max, wall_ms=WALL_MS))

    def publish(self, definitions: dict[str, Any] | None = None, model: dict[str, Any] | None = None) -> None:
        """A version whose work is left to slices, and to records."""
        checked = checked_of(definitions) if definitions else None
        snapshot = Snapshot.model_validate(model) if model else None
        self.checked, self.model = checked or self.checked, snapshot or self.model
        self.effects.append(self.engine.publish(checked, snapshot, wall_ms=WALL_MS, at_once=False))
        self.twin.publish(definitions, checked.hash if checked else None, model, wall_ms=WALL_MS)

    def assert_equal_by_user(self) -> None:
        """Every user's records are those of the twin, in the same order; users may come in another."""
        self.catch_up()
        for topic in BY_USER:
            ours = by_user([record for effects in self.effects for record in getattr(effects, topic)])
            assert alike(ours, by_user(getattr(self.twin, topic))), topic
        assert alike(list(self.engine.memberships()), self.twin.memberships())
        self.assert_conserved()


def without_hourly_limits(scenario: Scenario) -> Scenario:
    """The scenario without `max_per_hour`, the one thing that may tell the order of users apart."""
    for definitions in [scenario.definitions, *(each for each, _ in scenario.published.values() if each)]:
        for campaign in definitions["campaigns"]:
            campaign.pop("max_per_hour", None)
    return scenario


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_any_batch_size_gives_what_the_twin_gives(seed: int, size: int) -> None:
    """Records cut into batches of 1, 7, 1,000, all, or anywhere: the twin's transitions, decisions and conversions."""
    pair = Scenario(seed).drive(Scenario(seed).pair(), size)
    pair.assert_equal()


def test_the_scenarios_are_not_empty() -> None:
    """What the comparisons compare is there: records of every topic, outcome and cause; duplicates and repairs; samples
    of every target with either label, scored and not, of users who were reached and who were not; traits of every type.
    """
    found = dict.fromkeys((*BY_USER, "duplicates", "repaired"), 0)
    outcomes, causes, samples = set[str](), set[str](), set[tuple[str, int, bool, bool]]()
    traits = set[type]()
    for seed in SEEDS:
        pair = Scenario(seed, versions=2).drive(Scenario(seed, versions=2).pair(), ALL)
        outcomes |= {decision["outcome"] for decision in pair.twin.decisions}
        causes |= {transition["cause"] for transition in pair.twin.transitions}
        samples |= {(s["target"], s["label"], s["probability"] is None, s["exposed"] == []) for s in pair.twin.samples}
        traits |= {type(value) for sample in pair.twin.samples for value in sample["traits"].values()}
        for name in found:
            value = getattr(pair.twin, name)
            found[name] += value if isinstance(value, int) else len(value)
    assert min(found.values()) >= 5
    assert outcomes == {"fired", "suppressed", "deferred", "cancelled", "held_out", "shadow"}
    assert causes == {"event", "timer", "model", "definition"}
    assert traits == {str, float, type(None)}
    assert {sample[:2] for sample in samples} == {(t, n) for t in (*TARGETS, "look_back") for n in (0, 1)}
    assert {sample[2:] for sample in samples} == {
        (scored, reached) for scored in (True, False) for reached in (True, False)
    }


@pytest.mark.parametrize("size", [7, 0])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_wall_clock_goes_by_arrivals_as_in_the_twin(seed: int, size: int) -> None:
    """With keys, arrivals, a wall that makes triggers stale, and events from the future: the twin's records."""
    scenario = Scenario(100 + seed, clock="wall", versions=1)
    scenario.drive(scenario.pair(), size, restarts=0.1).assert_equal()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hot_user_is_no_special_case(seed: int) -> None:
    """90 % of the records are one user's, in one batch: the twin's records."""
    scenario = Scenario(200 + seed, settings=streams.HOT)
    scenario.drive(scenario.pair(), ALL).assert_equal()


@pytest.mark.parametrize("seed", SEEDS)
def test_very_late_streams_give_what_the_twin_gives(seed: int) -> None:
    """Four of five records late by up to 500 days, and many duplicates: the twin's records."""
    settings = streams.Settings(users=3, late=0.8, duplicate=0.3)
    scenario = Scenario(300 + seed, settings=settings)
    scenario.drive(scenario.pair(), 0).assert_equal()


@pytest.mark.parametrize("seed", SEEDS)
def test_time_that_passes_between_records_shows_as_in_the_twin(seed: int) -> None:
    """Ticks of a millisecond to three days between batches, whatever the grace, with a restart right after every other
    one: the twin's records, stragglers among them.
    """
    scenario, rng, place = Scenario(900 + seed), random.Random(seed), 0
    pair = Pair(scenario.definitions, scenario.model, grace_ms=rng.choice((0, 2_000, streams.HOUR_MS)))
    for end in scenario.ends(0):
        pair.step(scenario.records[place:end])
        pair.tick((pair.twin.clock or 0) + rng.choice(TICKS_MS))
        if rng.random() < 0.5:
            pair.restart()
        place = end
    pair.assert_equal()


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("seed", range(12))
def test_versions_take_effect_at_their_points(seed: int, size: int) -> None:
    """Definitions changed and models published between records, segments and campaigns gone: the twin's records."""
    scenario = Scenario(400 + seed, versions=3)
    pair = scenario.drive(scenario.pair(), size)
    pair.assert_equal()


@pytest.mark.parametrize("size", [7, 0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_anywhere_shows_nowhere(seed: int, size: int) -> None:
    """The state saved to bytes and restored before every other batch, versions in between: the twin's records."""
    scenario = Scenario(500 + seed, versions=2)
    scenario.drive(scenario.pair(), size, restarts=0.5).assert_equal()


@pytest.mark.parametrize("seed", range(12))
def test_rows_move_to_other_layouts_and_keep_what_they_know(seed: int) -> None:
    """Versions that read what nothing read before move every row to another layout: the twin's records."""
    scenario = Scenario(610 + seed, versions=3, new_reads=True)
    pair = scenario.pair()
    layout = pair.engine.rows.layout.hash
    scenario.drive(pair, 0, restarts=0.3).assert_equal()
    assert pair.engine.rows.layout.hash != layout


@pytest.mark.parametrize("rows_max", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_slices_of_due_users_change_nothing_for_any_user(seed: int, rows_max: int) -> None:
    """At most one (or three) due users worked off before each batch of five: every user's records are the twin's."""
    scenario = without_hourly_limits(Scenario(700 + seed))
    pair = Sliced(scenario.definitions, scenario.model)
    pair.rows_max = rows_max
    scenario.drive(pair, 5)
    pair.assert_equal_by_user()


@pytest.mark.parametrize("clock", ["event", "wall"])
@pytest.mark.parametrize("seed", SEEDS)
def test_slices_of_a_version_change_nothing_for_any_user(seed: int, clock: str) -> None:
    """Versions worked off two users at a time between batches, restarts while work is left: every user's records."""
    settings = streams.Settings(users=20)
    scenario = without_hourly_limits(
        Scenario(800 + seed, clock, versions=3, new_reads=seed % 2 == 1, settings=settings)
    )
    pair = Sliced(scenario.definitions, scenario.model, clock=clock)
    scenario.drive(pair, 9, restarts=0.3)
    pair.assert_equal_by_user()


def test_a_version_in_slices_leaves_a_backlog_that_work_takes_off() -> None:
    """Twenty users, slices of six: the backlog is 20, 14, 8, 2, 0, and nobody is evaluated twice."""
    scenario = Scenario(1, settings=streams.Settings(users=20, malformed=0.0))
    pair = Sliced(scenario.definitions, scenario.model)
    scenario.drive(pair, ALL)
    users = len(pair.twin.users)
    pair.publish({**scenario.definitions, "version": 9})
    found, evaluations = [pair.engine.backlog], 0
    while pair.engine.backlog:
        evaluations += pair.engine.work(6, wall_ms=WALL_MS).evaluations
        found.append(pair.engine.backlog)
    assert found == [*range(users, 0, -6), 0]
    assert evaluations == users


def test_users_who_are_new_are_no_backlog() -> None:
    """Under the first version and under the next one, while it is worked off and when it is."""
    scenario = Scenario(2, settings=streams.Settings(users=5, malformed=0.0))
    pair = Sliced(scenario.definitions, scenario.model)
    scenario.drive(pair, ALL)
    assert pair.engine.backlog == 0
    pair.publish({**scenario.definitions, "version": 9})
    users = pair.engine.backlog
    pair.step(streams.records(random.Random(3), 60, streams.Settings(users=500, malformed=0.0)))
    assert pair.engine.rows.count > users > 0
    while pair.engine.backlog:
        pair.effects.append(pair.engine.work(2, wall_ms=WALL_MS))
    pair.step(streams.records(random.Random(4), 60, streams.Settings(users=5000, malformed=0.0)))
    assert pair.engine.backlog == 0
    pair.tick(pair.engine.clock_ms or 0)
    pair.assert_equal_by_user()


def test_the_same_bytes_at_any_batch_size() -> None:
    """The saved state is the same to the last byte, however the log was cut."""
    states = set()
    for size in SIZES:
        scenario = Scenario(5, versions=2)
        states.add(scenario.drive(scenario.pair(), size).engine.to_bytes())
    assert len(states) == 1


def test_many_users_fall_due_at_once_and_in_order() -> None:
    """3,000 users due within seconds, more than a block of them: by timer, in order of (instant, first appearance)."""
    pair = Pair({"version": 1, "segments": [{"id": "s", "enter": "time_since_view >= 30m"}]})
    rng = random.Random(1)
    settings = streams.Settings(users=3000, malformed=0, late=0, gaps={0: 1, 1: 1}, border=0)
    pair.step(streams.records(rng, 6000, settings))
    assert pair.engine.rows.count > 2 * 1024
    pair.tick(streams.START_MS + streams.DAY_MS)
    assert len(pair.twin.transitions) > 500
    pair.assert_equal()
