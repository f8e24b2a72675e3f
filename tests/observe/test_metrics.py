"""The metrics: they agree with what engines really wrote, stand for what is owned, and name no user."""

import time
from collections import Counter
from typing import Any

import pytest
from prometheus_client.core import Sample

from tests.core.support import ALL, Scenario
from tests.observe.support import WALL_MS, everything, standing, transition
from tests.support.pair import Pair
from tests.support.streams import Settings
from worker.core.records import Effects
from worker.observe.metrics import Metrics


@pytest.fixture(scope="module")
def driven() -> list[Pair]:
    """Random logs driven through real engines to their ends."""
    scenarios = [Scenario(seed, versions=2, settings=Settings(users=3)) for seed in range(40, 48)]
    return [scenario.drive(scenario.pair(), ALL) for scenario in scenarios]


def counted(driven: list[Pair]) -> Metrics:
    """Metrics that were shown each of these engines' steps as a commit."""
    metrics = Metrics()
    for effects in (effects for pair in driven for effects in pair.effects):
        metrics.committed(effects, [WALL_MS] * effects.read, seconds=0.01, wall_ms=WALL_MS, grace_ms=2_000)
    return metrics


def samples(metrics: Metrics, name: str) -> list[Sample]:
    """Every sample of that name."""
    return [sample for family in metrics.registry.collect() for sample in family.samples if sample.name == name]


def values(metrics: Metrics, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The samples of that name that aren't 0, by these labels."""
    found = samples(metrics, name)
    return {tuple(s.labels[label] for label in labels): s.value for s in found if s.value}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample; None if there is none."""
    return metrics.registry.get_sample_value(name, labels)


def commit(metrics: Metrics, effects: Effects | None = None, **arguments: Any) -> None:
    """A commit of a live worker at `WALL_MS`, of no records unless told."""
    usual: dict[str, Any] = {"arrivals_ms": [], "seconds": 0.01, "wall_ms": WALL_MS, "grace_ms": 2_000}
    metrics.committed(effects or Effects(), **usual | arguments)


def stand(metrics: Metrics, partition: int, **members: Any) -> None:
    """Say how a partition stands: nothing in it unless told."""
    metrics.stands(partition, standing(**members))


def test_counters_agree_with_the_records_of_real_engines(driven: list[Pair]) -> None:
    """Transitions, decisions and conversions by their labels are those that were written."""
    metrics, effects = counted(driven), [effects for pair in driven for effects in pair.effects]
    transitions = Counter((t.segment, t.direction, t.cause) for e in effects for t in e.transitions)
    decisions = Counter((d.campaign, d.outcome, d.blocked_by or "") for e in effects for d in e.decisions)
    conversions = Counter((c.campaign, c.variant or "") for e in effects for c in e.conversions)
    assert transitions
    assert decisions
    assert conversions
    assert values(metrics, "shoal_transitions_total", "segment", "direction", "cause") == transitions
    assert values(metrics, "shoal_decisions_total", "campaign", "outcome", "blocked_by") == decisions
    assert values(metrics, "shoal_conversions_total", "campaign", "variant") == conversions


def test_records_are_conserved(driven: list[Pair]) -> None:
    """Read = applied + duplicates + dead letters, dead letters by reason are the dead letters, repairs are counted."""
    metrics, effects = counted(driven), [effects for pair in driven for effects in pair.effects]
    results = values(metrics, "shoal_records_total", "result")
    assert sum(results.values()) == sum(e.read for e in effects)
    assert value(metrics, "shoal_records_read_total") == sum(results.values())
    assert results["applied",] == sum(e.applied for e in effects)
    assert results["duplicate",] == sum(e.duplicates for e in effects)
    reasons = Counter((letter.reason,) for e in effects for letter in e.dead_letters)
    assert reasons
    assert values(metrics, "shoal_dead_letters_total", "reason") == reasons
    repairs: Counter[tuple[str]] = Counter()
    for effect in effects:
        repairs.update({(reason,): count for reason, count in effect.repaired_counts.items()})
    assert values(metrics, "shoal_repaired_total", "reason") == repairs


def test_no_label_is_a_user(driven: list[Pair]) -> None:
    """Of all label values there are, none is the id of a user of the logs."""
    users = {user for pair in driven for user in pair.engine.users.ids}
    labels = {label for family in counted(driven).registry.collect() for s in family.samples for label in s.labels}
    shown = {
        text for family in counted(driven).registry.collect() for s in family.samples for text in s.labels.values()
    }
    assert users
    assert not shown & users
    assert not labels & {"user", "user_id", "key"}


def test_known_results_and_reasons_are_zero_before_anything_happens() -> None:
    """So that the first dead letter is an increase, and not a series that begins at 1."""
    metrics = Metrics()
    assert {s.labels["result"]: s.value for s in samples(metrics, "shoal_records_total")} == dict.fromkeys(
        ("applied", "duplicate", "dead_letter"), 0
    )
    reasons = {s.labels["reason"]: s.value for s in samples(metrics, "shoal_dead_letters_total")}
    assert reasons["engine_error"] == 0
    assert reasons["not_json"] == 0
    assert value(metrics, "shoal_rebalances_total") == 0


def test_each_record_is_one_observation_from_its_arrival_to_the_commit() -> None:
    """A record of 100 ms ago is in the bucket of 0.1 s, one from the future counts as 0."""
    metrics = Metrics()
    commit(metrics, arrivals_ms=[WALL_MS - 100, WALL_MS - 101, WALL_MS + 5_000])
    name = "shoal_event_to_commit_seconds"
    assert value(metrics, f"{name}_count") == 3
    assert value(metrics, f"{name}_bucket", le="0.1") == 2
    assert value(metrics, f"{name}_bucket", le="0.01") == 1
    assert value(metrics, f"{name}_sum") == pytest.approx(0.201)


def test_a_transaction_is_one_observation_also_without_records() -> None:
    """Time alone makes transactions too."""
    metrics = Metrics()
    commit(metrics, seconds=0.02)
    assert value(metrics, "shoal_transaction_seconds_sum") == pytest.approx(0.02)
    assert value(metrics, "shoal_event_to_commit_seconds_count") == 0


def test_a_timer_is_late_by_what_exceeds_the_grace() -> None:
    """Three seconds after the instant, with a grace of two: one second late; within the grace: not late."""
    metrics = Metrics()
    events = transition(cause="event"), transition(cause="definition")
    commit(metrics, Effects([transition(), *events, transition(occurred_at="2026-11-22T10:14:59.500Z")]))
    assert value(metrics, "shoal_timer_lateness_seconds_count") == 2
    assert value(metrics, "shoal_timer_lateness_seconds_sum") == pytest.approx(1.0)


def test_with_the_event_clock_no_timer_is_late() -> None:
    """Its instants are those of a log that may be years old."""
    metrics = Metrics()
    commit(metrics, Effects([transition()]), grace_ms=None)
    assert value(metrics, "shoal_timer_lateness_seconds_count") == 0
    assert value(metrics, "shoal_transitions_total", segment="cart", direction="entered", cause="timer") == 1


def test_gauges_are_sums_over_the_owned_partitions_and_lag_stays_apart() -> None:
    """Members, users, bytes and backfill add up; each partition has its own lag, under our name and the exporters'."""
    metrics = Metrics()
    stand(metrics, 0, end=18, users=3, state_bytes=100, backfill_users=1, members={"a": 2})
    stand(metrics, 1, end=20, users=4, state_bytes=200, members={"a": 1, "b": 0})
    assert values(metrics, "shoal_members", "segment") == {("a",): 3}
    assert value(metrics, "shoal_members", segment="b") == 0
    assert value(metrics, "shoal_state_users") == 7
    assert value(metrics, "shoal_state_bytes") == 300
    assert value(metrics, "shoal_backfill_remaining_users") == 1
    lag = {("0",): 5.0, ("1",): 7.0}
    assert values(metrics, "shoal_lag_records", "partition") == lag
    assert values(metrics, "kafka_consumergroup_lag", "partition") == lag
    assert values(metrics, "kafka_consumergroup_current_offset", "consumergroup", "topic", "partition") == {
        ("shoal.workers", "shoal.events", "0"): 13, ("shoal.workers", "shoal.events", "1"): 13,
    }  # fmt: skip


def test_lag_grows_while_it_is_not_shown_anew() -> None:
    """It is told since when a partition is behind, and seconds are counted when somebody asks."""
    metrics, now_ms = Metrics(), time.time_ns() // 1_000_000
    stand(metrics, 0, end=20, behind_since_ms=now_ms - 90_000)
    stand(metrics, 1)
    assert 90 <= (value(metrics, "shoal_lag_seconds", partition="0") or 0) < 300
    assert value(metrics, "shoal_lag_seconds", partition="1") == 0


def test_a_partition_that_does_not_run_falls_behind_its_input() -> None:
    """Behind since its last commit, by all that has come; one of which nothing is known isn't shown."""
    metrics, now_ms = Metrics(), time.time_ns() // 1_000_000
    stand(metrics, 0, committed_ms=now_ms - 90_000)
    metrics.waits(0, 14)
    metrics.waits(1, 14)
    assert values(metrics, "shoal_lag_records", "partition") == {("0",): 1}
    assert 90 <= (value(metrics, "shoal_lag_seconds", partition="0") or 0) < 300


def test_states_of_partitions_are_counted() -> None:
    """Every state has a number, also before anything is owned."""
    metrics = Metrics()
    assert samples(metrics, "shoal_partitions") != []
    assert values(metrics, "shoal_partitions", "state") == {}
    metrics.state(0, "running")
    metrics.state(1, "fencing")
    metrics.state(1, "running")
    metrics.state(2, "stopped")
    assert values(metrics, "shoal_partitions", "state") == {("running",): 2, ("stopped",): 1}
    metrics.forget(1)
    assert values(metrics, "shoal_partitions", "state") == {("running",): 1, ("stopped",): 1}


def test_versions_clocks_and_commits_are_told_by_partition() -> None:
    """A model's age is that of the oldest one in force; a partition without model or clock has none."""
    metrics = Metrics()
    stand(metrics, 0, definitions=(7, "3fa9"), model=(3, 50_000), clock_ms=70_500, committed_ms=80_500)
    stand(metrics, 1, definitions=(8, "77aa"), model=None, clock_ms=None)
    assert values(metrics, "shoal_definitions_version", "partition") == {("0",): 7, ("1",): 8}
    assert values(metrics, "shoal_definitions_info", "version", "hash") == {("7", "3fa9"): 1, ("8", "77aa"): 1}
    assert values(metrics, "shoal_model_version", "partition") == {("0",): 3}
    assert value(metrics, "shoal_model_trained_until_timestamp_seconds") == 50
    assert values(metrics, "shoal_partition_clock_timestamp_seconds", "partition") == {("0",): 70.5}
    assert value(metrics, "shoal_last_commit_timestamp_seconds", partition="0") == 80.5


def test_what_may_come_is_zero_before_it_does() -> None:
    """Transitions of every segment and triggers of every campaign, so that a rate sees the first of them."""
    metrics = Metrics()
    metrics.stands(0, standing(members={"cart": 0}), ["reminder"])
    assert value(metrics, "shoal_transitions_total", segment="cart", direction="entered", cause="event") == 0
    assert value(metrics, "shoal_decisions_total", campaign="reminder", outcome="fired", blocked_by="") == 0


def test_a_partition_that_is_given_up_is_forgotten_and_what_it_did_is_not() -> None:
    """Its gauges vanish with the segments only it had; counters never go back."""
    metrics = everything()
    metrics.forget(3)
    metrics.forget(4)
    assert samples(metrics, "shoal_lag_records") == samples(metrics, "shoal_members") == []
    assert samples(metrics, "shoal_segment_last_evaluated_timestamp_seconds") == []
    assert value(metrics, "shoal_state_users") == 0
    assert value(metrics, "shoal_records_total", result="applied") == 2


def test_segments_are_evaluated_when_somebody_is() -> None:
    """A commit without evaluations leaves the time of the one before it."""
    metrics = Metrics()
    name = "shoal_segment_last_evaluated_timestamp_seconds"
    stand(metrics, 0, members={"cart": 0})
    commit(metrics)
    assert samples(metrics, name) == []
    commit(metrics, Effects(evaluations=1))
    commit(metrics, Effects(), wall_ms=WALL_MS + 60_000)
    assert value(metrics, name, segment="cart") == WALL_MS / 1000


def test_restarts_restores_and_rebalances_are_counted() -> None:
    """Each call is one."""
    metrics = everything()
    metrics.restarted("timeout")
    metrics.rebalanced()
    assert values(metrics, "shoal_task_restarts_total", "cause") == {("fenced",): 1, ("timeout",): 1}
    assert value(metrics, "shoal_rebalances_total") == 2
    assert value(metrics, "shoal_restore_seconds_count") == 1
    assert value(metrics, "shoal_restore_seconds_bucket", le="2.5") == 1


def test_the_build_is_told() -> None:
    """Version, Python and numba, each as text."""
    (sample,) = samples(Metrics(), "shoal_build_info")
    assert set(sample.labels) == {"version", "python", "numba"}
    assert all(text[0].isdigit() for text in sample.labels.values())


def test_two_workers_in_one_process_count_apart() -> None:
    """Nothing is global: each has a registry of its own."""
    first, second = everything(), Metrics()
    assert value(first, "shoal_records_total", result="applied") == 2
    assert value(second, "shoal_records_total", result="applied") == 0
