"""Learning as a whole: honest, idempotent, resumable, and slow to believe."""

import random
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.learning.support import DAY, HORIZON, START, definitions, learning, plain, sample, stream, useless
from worker.learning.inputs import Observation, Sample
from worker.learning.learning import Learning
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
    """5,000 labels that no feature tells anything of: the floor stays, and no probability is published."""
    learnt = after(stream(seed, 5_000, useless, a_day=200))
    assert champion(learnt) == "prior"
    assert learnt.decisions() == []
    assert learnt._targets["purchase"].scorer() is None


def test_what_can_be_learnt_is_promoted_on_evidence() -> None:
    """A learner takes the floor's place, and the record says by how much it was better."""
    learnt = after(stream(1, 5_000, a_day=200))
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
        return plain(features, day) if day < 25 else -3 * plain(features, day)

    learnt = after(stream(3, 10_000, turning, a_day=200))
    kinds = [decision["kind"] for decision in learnt.decisions()]
    assert "rolled_back" in kinds[1:]


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


@pytest.mark.parametrize("cut", [37, 1_000, 2_700])
def test_resumed_from_parts_it_ends_as_if_it_had_never_stopped(cut: int) -> None:
    """Byte for byte, in the middle of a mini-batch, before and after the first promotion."""
    samples = stream(8, 4_000, a_day=200)
    resumed = learning(after(samples[:cut]).parts())
    for one in samples[cut:]:
        resumed.learn(one)
    straight = after(samples)
    assert resumed.parts() == straight.parts()
    assert resumed.decisions() == straight.decisions()
    assert max(map(len, straight.parts().values())) <= PART_BYTES_MOST


def test_little_of_what_is_known_changes_from_one_sample_to_the_next() -> None:
    """Parts that were full stay as they were, so that a transaction writes few."""
    samples = stream(9, 4_000, a_day=200)
    before = after(samples[:-1])
    parts = before.parts()
    before.learn(samples[-1])
    changed = [name for name, data in before.parts().items() if parts.get(name) != data]
    assert len(changed) <= 5 < len(parts)


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
    samples = stream(11, 4_800)
    late, rest = samples[1_500], [one for one in samples if one is not samples[1_500]]
    learnt = after(rest)
    assert rest[-1].resolved_ms > late.resolved_ms + 30 * DAY
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
    first = Learning(definitions("purchase", "other"), {})
    for one in stream(14, 1_000):
        first.learn(one)
        first.learn(one._replace(target="other", id=one.id[::-1]))
    same = Learning(definitions("other", "third"), {}, parts=first.parts())
    other = Learning(definitions("other", horizon="8d"), {}, parts=first.parts())
    assert same._targets["other"].evidence == first._targets["other"].evidence != {"samples": 0, "positives": 0}
    assert same._targets["third"].evidence == other._targets["other"].evidence == {"samples": 0, "positives": 0}


def test_figures_tell_of_every_model_and_threshold() -> None:
    """Measures by target and model, what the definitions' thresholds would have called, and the evidence."""
    learnt = learning(purchase=[0.5])
    for one in stream(15, 3_000, a_day=200):
        learnt.learn(one._replace(probability=0.25))
    figures = {(one.name, *sorted(one.labels.items())): one.value for one in learnt.figures()}
    assert figures["auc", ("model", "linear"), ("target", "purchase")] > 0.6
    assert figures["auc", ("model", "live"), ("target", "purchase")] == 0.5
    assert 0 < figures["precision", ("model", "linear"), ("target", "purchase"), ("threshold", "0.5")] < 1
    assert figures["evidence", ("kind", "samples"), ("target", "purchase")] > 1_000
    names = {"auc", "log_loss", "brier", "calibration_error", "n", "precision", "recall", "f1", "accuracy", "evidence"}
    assert {name for name, *_ in figures} == names
