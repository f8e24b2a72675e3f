"""Whom the declared traits tell apart: a model that serves them unlike is seen to, and nothing grows without bound."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from tests.learning.support import HORIZON, START, features_of, sample, wanting
from worker.learning.groups import Groups
from worker.learning.inputs import Observation, Sample
from worker.learning.learning import Learning
from worker.learning.settings import EVALUATED, GROUP_LEAST, GROUPS_MOST

FEATURES = features_of(np.random.default_rng(1))
MINUTE = 60_000
NONE: tuple[float, ...] = ()


def learning(*traits: str, parts: Mapping[str, bytes] | None = None) -> Learning:
    """The learning of `purchase`, whose probability is compared with 0.5, under definitions with traits."""
    return Learning(wanting()._replace(traits=traits, thresholds={"purchase": [0.5]}), parts=parts)


def scored(count: int) -> list[Sample]:
    """Half of them buy wherever they live; those in DE were told as much, those in AT 0.8."""
    probabilities = {"DE": 0.5, "AT": 0.8}
    made = []
    for number in range(count):
        country, label = ("DE", "AT")[number % 2], number // 2 % 2
        probability = probabilities[country] + (0.1 if label else -0.1)
        traits = {"country": country, "plan": "none"}
        made.append(sample(number, START + number * MINUTE, label, FEATURES, probability=probability, traits=traits))
    return sorted(made, key=lambda one: (one.resolved_ms, one.id))


def after(learnt: Learning, samples: Iterable[Sample]) -> Learning:
    """The learning when it has learnt these and their horizons are over."""
    for one in samples:
        learnt.learn(one)
    learnt.observe(Observation("0" * 32, "u", START + 2 * HORIZON, FEATURES, {}))
    return learnt


def groups(*rows: tuple[float, int, dict[str, str]]) -> Groups:
    """Groups of these scores, labels and traits."""
    made = Groups()
    for row in rows:
        made.append(*row)
    return made


def counts(made: Groups, trait: str = "country") -> dict[str, int]:
    """The sizes of a trait's groups, in order."""
    return {group["value"]: group["n"] for group in made.report([trait], NONE)}


def test_a_planted_unfairness_shows() -> None:
    """Alike in what they do, unlike in what is said of them: in score, calibration, selection and precision."""
    by_value: dict[str, dict[str, Any]] = {
        group["value"]: group for group in after(learning("country"), scored(400)).report()
    }
    fair, unfair = by_value["DE"], by_value["AT"]
    assert (fair["target"], fair["trait"], fair["n"], unfair["n"]) == ("purchase", "country", 200, 200)
    assert (fair["rate"], unfair["rate"]) == (0.5, 0.5)
    assert (fair["score"], fair["calibration"]) == (pytest.approx(0.5), pytest.approx(0.0))
    assert (unfair["score"], unfair["calibration"]) == (pytest.approx(0.8), pytest.approx(0.3))
    assert fair["thresholds"] == [{"threshold": 0.5, "selection_rate": 0.5, "precision": 1.0}]
    assert unfair["thresholds"] == [{"threshold": 0.5, "selection_rate": 1.0, "precision": 0.5}]


def test_figures_are_those_of_the_report() -> None:
    """Calibration by value, selection rate and precision by value and threshold."""
    found = {
        (one.name, *one.labels.values()): one.value
        for one in after(learning("country"), scored(400)).figures()
        if one.name.startswith("trait_")
    }
    assert found == {
        ("trait_calibration", "purchase", "country", "DE"): pytest.approx(0.0),
        ("trait_calibration", "purchase", "country", "AT"): pytest.approx(0.3),
        ("trait_selection_rate", "purchase", "country", "DE", "0.5"): 0.5,
        ("trait_selection_rate", "purchase", "country", "AT", "0.5"): 1.0,
        ("trait_precision", "purchase", "country", "DE", "0.5"): 1.0,
        ("trait_precision", "purchase", "country", "AT", "0.5"): 0.5,
    }


def test_a_precision_of_nobody_is_unknown() -> None:
    """Where none is called positive."""
    (group,) = groups(*[(0.1, 1, {"country": "DE"})] * GROUP_LEAST).report(["country"], [0.5])
    assert group["thresholds"] == [{"threshold": 0.5, "selection_rate": 0.0, "precision": None}]


def test_only_declared_traits_of_scored_samples_are_told_apart() -> None:
    """No group without a live probability, none of traits that samples lack or the definitions don't declare."""
    unscored = [one._replace(probability=float("nan")) for one in scored(100)]
    assert after(learning("country"), unscored).report() == []
    assert after(learning("language"), scored(100)).report() == []
    assert after(learning(), scored(100)).report() == []
    assert {group["trait"] for group in after(learning("plan"), scored(100)).report()} == {"plan"}


def test_without_traits_nothing_is_kept() -> None:
    """No score takes the place of one that can be compared."""
    made = groups(*[(0.5, 0, {"country": "DE"})] * 100, *[(0.5, 0, dict[str, str]())] * EVALUATED)
    assert counts(made) == {"DE": 100}


def test_values_are_bounded() -> None:
    """The most frequent are named, ties in order of the text; the rest, and what few have, is `other`."""
    frequent = [(0.5, 0, {"country": f"c{number:02}"}) for number in range(GROUPS_MOST + 5) for _ in range(GROUP_LEAST)]
    rare = [(0.5, 0, {"country": f"r{number}"}) for number in range(GROUP_LEAST)]
    most = [(0.5, 0, {"country": "z"})] * (GROUP_LEAST + 1)
    found = counts(groups(*frequent, *rare, *most))
    named = [f"c{number:02}" for number in range(GROUPS_MOST - 1)]
    assert list(found) == ["z", *named, "other"]
    assert found["other"] == len(frequent) + len(rare) - len(named) * GROUP_LEAST


def test_what_is_called_other_is_one_of_the_others() -> None:
    """A value of that name has no group beside that of the others."""
    made = groups(*[(0.5, 0, {"country": "other"})] * GROUP_LEAST, (0.5, 0, {"country": "DE"}))
    assert counts(made) == {"other": GROUP_LEAST + 1}


def test_a_value_that_few_have_is_not_named() -> None:
    """One score fewer than it takes."""
    row = (0.5, 0, {"country": "DE"})
    assert counts(groups(*[row] * (GROUP_LEAST - 1))) == {"other": GROUP_LEAST - 1}
    assert counts(groups(*[row] * GROUP_LEAST)) == {"DE": GROUP_LEAST}


def test_old_scores_are_forgotten() -> None:
    """The last `EVALUATED` are kept."""
    old, new = [(0.5, 0, {"country": "DE"})] * 100, [(0.5, 0, {"country": "AT"})] * (EVALUATED - 40)
    assert counts(groups(*old, *new)) == {"AT": EVALUATED - 40, "DE": 40}


@pytest.mark.parametrize("cut", [1, 150, 399])
def test_resumed_it_reports_as_if_it_had_never_stopped(cut: int) -> None:
    """With what waits for its horizon, too."""
    samples = scored(400)
    first = learning("country", "plan")
    for one in samples[:cut]:
        first.learn(one)
    resumed = after(learning("country", "plan", parts=first.parts()), samples[cut:])
    straight = after(learning("country", "plan"), samples)
    assert resumed.report() == straight.report() != []
    assert resumed.parts() == straight.parts()


def test_no_part_is_too_large_for_a_record_however_long_the_traits() -> None:
    """16 traits of 64 characters each, all different, of samples that wait and of scores."""
    learnt = learning("country")
    for one in scored(600):
        traits = {f"{number:x>64}": f"{one.id}{number:é>32}" for number in range(16)}
        learnt.learn(one._replace(traits=traits))
    waiting = learnt.parts()
    learnt = after(learnt, [])
    for parts in (waiting, learnt.parts()):
        assert sum(map(len, parts.values())) > 1_000_000
        assert max(map(len, parts.values())) <= 900_000
    assert learning("country", parts=learnt.parts()).parts() == learnt.parts()
