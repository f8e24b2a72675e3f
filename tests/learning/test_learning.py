"""Learning as a whole: honest, idempotent, resumable, and slow to believe."""

import random
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.models import Snapshot, read_snapshot
from tests.learning.people import observations
from tests.learning.support import (
    DAY,
    HORIZON,
    NAMES,
    START,
    features_of,
    learning,
    plain,
    sample,
    stream,
    useless,
    wanting,
)
from tests.support.pair import checked_of
from worker.language.observed import OBSERVED_HASH
from worker.language.wanted import wanted
from worker.learning.evaluation import auc
from worker.learning.inputs import Observation, Sample
from worker.learning.learning import Learning
from worker.learning.preparation import prepared
from worker.learning.promotion import Comparison

PART_BYTES_MOST = 900_000


def after(samples: Iterable[Sample]) -> Learning:
    """What has learnt all of these."""
    learnt = learning()
    for one in samples:
        learnt.learn(one)
    return learnt


def champion(learnt: Learning) -> str:
    """Who is live for `purchase`."""
    return learnt._targets["purchase"].champion


@pytest.mark.parametrize("seed", range(4))
def test_a_useless_target_is_never_promoted_over_the_floor(seed: int) -> None:
    """4,000 labels that no feature tells anything of: the floor stays, and no probability is published."""
    learnt = after(stream(seed, 4_000, useless, a_day=300))
    assert champion(learnt) == "prior"
    assert learnt.decisions() == []
    assert learnt._targets["purchase"].scorer() is None


def test_what_can_be_learnt_is_promoted_on_evidence() -> None:
    """A learner takes the floor's place, and the record says by how much it was better."""
    learnt = after(stream(1, 4_000, a_day=300))
    (first, *_) = learnt.decisions()
    assert first["kind"] == "promoted"
    assert first["instead_of"] == "prior"
    assert 0 < first["bound"] < first["gain"]
    assert first["n"] >= 200
    assert champion(learnt) != "prior"
    assert learnt.decisions() == []


def test_there_is_no_probability_before_there_is_evidence() -> None:
    """However plainly a learner is better: with 49 positives the floor stays, with 50 it goes."""
    target = after(stream(2, 1_500, useless))._targets["purchase"]
    target._comparisons["linear"] = Comparison(n=1_000, positives=500, total=500.0, squares=260.0)
    for positives, expected in ((49, "prior"), (50, "linear")):
        target._positives = positives
        target._decide()
        assert target.champion == expected


def test_a_champion_that_falls_behind_is_rolled_back() -> None:
    """When the truth turns over, what was learnt is worse than the floor, which is live again."""

    def turning(features: NDArray[np.float64], day: float) -> float:
        return plain(features, day) if day < 15 else -3 * plain(features, day)

    learnt = after(stream(3, 8_000, turning, a_day=300))
    kinds = [decision["kind"] for decision in learnt.decisions()]
    assert "rolled_back" in kinds[1:]


def test_a_truth_that_turns_over_is_found_and_learnt_anew() -> None:
    """The champion is put back, or an alarm says so, and weeks later the linear learner ranks by the new truth."""

    def turning(features: NDArray[np.float64], day: float) -> float:
        return plain(features, day) if day < 17 else -plain(features, day)

    learnt = after(stream(21, 9_000, turning, a_day=300))
    found = [decision for decision in learnt.decisions() if decision["kind"] in ("alarm", "rolled_back")]
    assert found
    assert all(decision["at_ms"] > START + (17 + 7) * DAY for decision in found)
    strangers = [features_of(np.random.default_rng(number)) for number in range(300)]
    odds = [turning(np.nan_to_num(features), 60) for features in strangers]
    linear = learnt._targets["purchase"].field["linear"].scorer()
    assert auc(linear.scores(prepared(np.array(strangers)))[1], (np.array(odds) > 0).astype(float)) > 0.8


def test_a_loss_that_rises_is_an_alarm() -> None:
    """The truth fades, and the champion is worth less than it was, though still more than the floor."""

    def fading(features: NDArray[np.float64], day: float) -> float:
        return (4.0 if day < 17 else 1.0) * plain(features, day)

    learnt = after(stream(21, 9_000, fading, a_day=300))
    alarms = [decision for decision in learnt.decisions() if decision["kind"] == "alarm"]
    assert alarms
    assert all(alarm["at_ms"] > START + (17 + 7) * DAY and alarm["after"] > alarm["before"] for alarm in alarms)
    assert [one.value for one in learnt.figures() if one.name == "drift_alarms"] == [len(alarms)]


def test_a_sample_is_judged_by_what_stood_when_it_was_taken() -> None:
    """What is learnt later changes no honest score of before, and what was learnt by then makes it."""
    samples = stream(4, 3_000)
    half = [one for one in samples if one.resolved_ms < START + 20 * DAY]
    learnt = after(half)
    strangers = [one._replace(sampled_ms=START + 15 * DAY) for one in samples[:5]]
    before = [learnt.scores(one) for one in strangers]
    for one in samples[len(half) :]:
        learnt.learn(one)
    assert [learnt.scores(one) for one in strangers] == before
    assert all(set(scores) == {"prior", "linear", "tree"} for scores in before)
    assert learnt.scores(samples[0]._replace(sampled_ms=START)) == {}


def test_a_planted_leak_would_show() -> None:
    """A label that only the future's learner could know isn't known: a truth that begins later gains nothing before."""

    def later(features: NDArray[np.float64], day: float) -> float:
        return 3 * plain(features, day) if day >= 20 else -1.0

    learnt = after(stream(5, 3_000, later))
    window = learnt._targets["purchase"].field["linear"].window.columns()
    early = window[1][:800]  # sampled from day 8 to day 16
    labels = window[2][:800]
    assert abs(early[labels > 0].mean() - early[labels == 0].mean()) < 0.03


def test_a_sample_that_comes_twice_is_learnt_once() -> None:
    """The second time it is refused, and everything stays as it was."""
    samples = stream(6, 1_000)
    learnt = after(samples)
    parts = learnt.parts()
    assert not any(learnt.learn(one) for one in samples)
    assert learnt.parts() == parts


def test_a_sample_of_no_target_is_left_alone() -> None:
    """Definitions that dropped a target still get its samples for a while."""
    assert not learning().learn(stream(6, 1)[0]._replace(target="gone"))


def test_asking_changes_nothing() -> None:
    """Parts, figures and scores may be asked for after every sample: the same is known at the end."""
    samples = stream(7, 600)
    asked = learning()
    for number, one in enumerate(samples):
        asked.learn(one)
        if number % 50 == 0:
            asked.parts(), asked.figures(), asked.scores(one)
    assert asked.parts() == after(samples).parts()


@pytest.mark.parametrize("cut", [37, 2_700])
def test_resumed_from_parts_it_ends_as_if_it_had_never_stopped(cut: int) -> None:
    """Byte for byte, in the middle of a mini-batch, before and after there are models."""
    samples = stream(8, 3_000, a_day=200)
    straight, resumed = learning(), learning()
    for number, one in enumerate(samples):
        straight.learn(one)
        resumed = resumed if number != cut else learning(resumed.parts())
        resumed.learn(one)
    assert resumed.parts() == straight.parts()
    assert resumed.decisions() == straight.decisions()
    assert max(map(len, straight.parts().values())) <= PART_BYTES_MOST


def test_little_of_what_is_known_changes_from_one_sample_to_the_next() -> None:
    """Parts that were full stay as they were, so that a transaction writes few."""
    samples = stream(9, 2_500, a_day=200)
    before = after(samples[:-1])
    parts = before.parts()
    before.learn(samples[-1])
    changed = [name for name, data in before.parts().items() if parts.get(name) != data]
    assert len(changed) <= 5 < len(parts)


def test_many_that_wait_are_kept_in_parts_that_fit_a_record() -> None:
    """5,000 positives whose horizon isn't over: all are there again, in parts below the limit."""
    features = stream(20, 1)[0].features
    learnt = after(sample(number, START + number, 1, features) for number in range(5_000))
    assert max(map(len, learnt.parts().values())) <= PART_BYTES_MOST
    resumed = learning(learnt.parts())
    resumed.learn(sample(5_000, START + HORIZON, 1, features))  # resolved a day later, when all are due
    assert resumed._targets["purchase"].evidence["samples"] == 5_000


def test_labels_out_of_order_and_late_are_learnt_in_the_order_of_deadlines() -> None:
    """Delivered in any order before their horizon is over, samples make the same learner."""
    samples = [one for one in stream(10, 2_000) if one.label]
    last = sample(99_999, samples[-1].sampled_ms + HORIZON, 1, samples[0].features)
    shuffled = sorted(samples, key=lambda one: one.sampled_ms + random.Random(one.id).randrange(6) * DAY)
    assert [one.id for one in shuffled] != [one.id for one in samples]
    first, second = after([*samples, last]), after([*shuffled, last])
    assert [first.scores(last), second.scores(last)] == [first.scores(last)] * 2
    assert first._targets["purchase"].evidence == second._targets["purchase"].evidence


def test_a_label_thirty_days_late_counts_and_is_judged_as_of_its_time() -> None:
    """It is learnt when it comes, and its honest score is that of the day when it was taken."""
    samples = stream(11, 4_520)
    late = min(samples, key=lambda one: abs(one.sampled_ms - START - 15 * DAY))
    rest = [one for one in samples if one is not late]
    learnt = after(rest)
    assert rest[-1].resolved_ms >= late.resolved_ms + 30 * DAY
    honest = learnt.scores(late)
    samples_before = learnt._targets["purchase"].evidence["samples"]
    assert learnt.learn(late)
    assert learnt._targets["purchase"].evidence["samples"] == samples_before + 1
    assert learnt._targets["purchase"].field["linear"].window.columns()[1][-1] == pytest.approx(honest["linear"])


def test_labels_that_never_come_hold_nothing_up() -> None:
    """Of every third sample nothing is heard: the others are learnt all the same."""
    samples = [one for number, one in enumerate(stream(12, 3_000)) if number % 3]
    learnt = after(samples)
    due = sum(one.sampled_ms + HORIZON <= samples[-1].resolved_ms for one in samples)
    assert learnt._targets["purchase"].evidence["samples"] == due


def test_observations_let_time_pass() -> None:
    """A positive waits for the end of its horizon, which an observation may be the first to show."""
    learnt = after([sample(1, START, 1, stream(13, 1)[0].features)])
    assert learnt._targets["purchase"].evidence["samples"] == 0
    learnt.observe(Observation("0" * 32, "u-1", START + HORIZON, stream(13, 1)[0].features, {}))
    assert learnt._targets["purchase"].evidence["samples"] == 1


def test_a_target_that_changed_its_meaning_begins_anew_and_others_go_on() -> None:
    """Another horizon is another target under the same name."""
    first = Learning(wanting("purchase", "other"))
    for one in stream(14, 1_000):
        first.learn(one)
        first.learn(one._replace(target="other", id=one.id[::-1]))
    same = Learning(wanting("other", "third"), parts=first.parts())
    other = Learning(wanting("other", horizon="8d"), parts=first.parts())
    assert same._targets["other"].evidence == first._targets["other"].evidence != {"samples": 0, "positives": 0}
    assert same._targets["third"].evidence == other._targets["other"].evidence == {"samples": 0, "positives": 0}


def test_figures_tell_of_every_model_and_threshold() -> None:
    """Measures by target and model, what the definitions' thresholds would have called, and the evidence."""
    learnt = learning(purchase=[0.5])
    for one in stream(15, 2_500, a_day=200):
        learnt.learn(one._replace(probability=0.25))
    figures = {(one.name, *sorted(one.labels.items())): one.value for one in learnt.figures()}
    assert figures["auc", ("model", "linear"), ("target", "purchase")] > 0.6
    assert figures["auc", ("model", "live"), ("target", "purchase")] == 0.5
    assert 0 < figures["precision", ("model", "linear"), ("target", "purchase"), ("threshold", "0.5")] < 1
    assert figures["evidence", ("kind", "samples"), ("target", "purchase")] > 1_000
    names = {"auc", "log_loss", "brier", "calibration_error", "n", "precision", "recall", "f1", "accuracy", "evidence"}
    assert {name for name, *_ in figures} == names | {"drift_alarms", "champion"}


def test_a_snapshot_comes_with_news_and_only_then() -> None:
    """Nothing before evidence; the first champion is news; asked again there is none; then scores must have moved."""
    samples = stream(16, 4_000, a_day=300)
    learnt = learning()
    given: list[Snapshot] = []
    for number, one in enumerate(samples):
        learnt.learn(one)
        if number % 200 == 0 and (snapshot := learnt.snapshot(len(given) + 1)):
            given.append(snapshot)
            assert learnt.snapshot(len(given) + 1) is None
    promoted = [decision for decision in learnt.decisions() if decision["kind"] == "promoted"]
    assert given[0].decisions[0]["model"] == promoted[0]["model"]
    assert 1 <= len(given) <= 15


def test_a_snapshot_says_what_it_was_learnt_from_and_how_good_it_is() -> None:
    """It reads back from its bytes; evidence, span, and measures of the whole field; the champion scores."""
    learnt = after(stream(17, 4_000, a_day=300))
    snapshot = learnt.snapshot(3)
    assert snapshot is not None
    again = read_snapshot(snapshot.model_dump_json().encode(), newer_than=2, feature_schema=OBSERVED_HASH)
    assert again == snapshot
    target = learnt._targets["purchase"]
    assert snapshot.evidence["purchase"].model_dump() == target.evidence
    assert snapshot.training is not None
    assert START <= snapshot.training.from_ms < snapshot.training.until_ms
    assert set(snapshot.metrics["purchase"]) == {"prior", "linear", "tree"}
    assert snapshot.targets["purchase"].kind == {"linear": "linear", "tree": "trees"}[target.champion]


def test_the_same_samples_give_the_same_snapshots_byte_for_byte() -> None:
    """Whether learnt in one go or resumed from parts on the way."""
    samples = stream(18, 4_000, a_day=300)
    learnt, resumed = learning(), learning()
    for number, one in enumerate(samples):
        learnt.learn(one)
        resumed = learning(resumed.parts()) if number == 2_222 else resumed
        resumed.learn(one)
    first, second = (which.snapshot(1) for which in (learnt, resumed))
    assert first is not None
    assert second is not None
    assert first.model_dump_json() == second.model_dump_json()


def test_a_champion_rolled_back_to_the_floor_is_news() -> None:
    """The target is no longer in the snapshot: its probability is unknown again."""
    learnt = after(stream(19, 4_000, a_day=300))
    assert (learnt.snapshot(1) or pytest.fail("no news")).targets
    learnt._targets["purchase"].champion = "prior"
    assert (learnt.snapshot(2) or pytest.fail("no news")).targets == {}
    assert learnt.snapshot(3) is None


def test_that_all_is_as_it_was_is_news_after_three_days() -> None:
    """A sample a day teaches nothing new; a snapshot says that it was looked, also after a restart."""
    *many, last = stream(19, 4_000, a_day=300)
    learnt, given = after(many), list[int]()
    for day in range(1, 11):
        learnt = learning(learnt.parts())
        learnt.learn(last._replace(id=f"{day:016x}" * 2, resolved_ms=last.resolved_ms + HORIZON + day * DAY))
        given += [day] if learnt.snapshot(1) is not None else []
    assert given == [1, 4, 7, 10]


def test_the_population_is_part_of_a_snapshot() -> None:
    """What definitions rank by has quantiles as soon as users were observed for a week; resumed it goes on."""
    segment = {"id": "top", "enter": 'percentile("spend_365d") >= 0.9'}
    ranking = wanted(checked_of({"version": 1, "segments": [segment]}))
    learnt, draw = Learning(ranking), np.random.default_rng(1)
    for number in range(1_500):
        features = features_of(draw)
        ranked = {"spend_365d": float(features[NAMES.index("spend_365d")])}
        learnt.observe(Observation(f"{number:032x}", f"u-{number}", START + number * DAY // 150, features, ranked))
    resumed = Learning(ranking, parts=learnt.parts())
    first, second = learnt.snapshot(1), resumed.snapshot(1)
    assert first is not None
    assert list(first.quantiles) == ["spend_365d"]
    assert first == second
    assert learnt.snapshot(2) is None


def test_an_observation_that_comes_again_changes_nothing() -> None:
    """Nor does it after a restart: centres and detectors would move twice."""
    wants = wanting()._replace(ranked=("spend_365d",), clusters=True)
    learnt, seen = Learning(wants), list(observations(300, 9))
    assert all(learnt.observe(observation) for observation in seen)
    before = learnt.parts()
    resumed = Learning(wants, parts=before)
    for which in (learnt, resumed):
        assert not any(which.observe(observation) for observation in seen[-50:])
        assert which.parts() == before
