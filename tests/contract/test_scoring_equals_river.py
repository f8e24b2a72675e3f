"""The engine's scores are river's own, to within 1e-6: what river predicts, the pass predicts from what was exported.

Users are told by events so that their features are given numbers; their scores are what reasons show.
"""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from river import cluster, linear_model, optim, preprocessing, tree

from tests.core.support import Story
from worker.learning.exports import linear_of, trees_of
from worker.learning.preparation import NAMES
from worker.learning.settings import LIMIT

FEATURES = ("average_rating", "cart_items", "cart_value")
TARGETS = [{"id": "t", "positive": "order", "horizon": "7d"}]
SCORED = {"id": "s", "enter": 'probability("t") >= 0 and reviews_total > 0'}
CLUSTERED = {"id": "s", "enter": 'cluster() != "" and reviews_total > 0'}
SEEDS = range(4)

Vector = dict[str, float]
Truth = Callable[[Vector], bool]


def vectors(rng: random.Random, count: int) -> list[Vector]:
    """Vectors that events can give a user: any rating, what is in the cart, its value in whole hundredths."""
    return [
        {
            "average_rating": rng.gauss(0, 3),
            "cart_items": float(rng.choice((rng.randrange(1, 5), rng.uniform(0.1, 20)))),
            "cart_value": rng.randrange(0, 30_000) / 100,
        }
        for _ in range(count)
    ]


def labelled(rng: random.Random, count: int) -> Iterator[tuple[Vector, bool]]:
    """A stream whose truth changes twice on the way, with a tenth of the labels wrong."""
    truths: tuple[Truth, ...] = (
        lambda x: x["average_rating"] > 0,
        lambda x: x["cart_value"] > 150,
        lambda x: (x["average_rating"] > 1) != (x["cart_items"] > 4),
    )
    for place, vector in enumerate(vectors(rng, count)):
        yield vector, truths[3 * place // count](vector) != (rng.random() < 0.1)


def shown(segment: dict[str, Any], model: dict[str, Any], found: list[Vector]) -> list[Any]:
    """The value of the segment's first clause for a user of each vector, who may be profiled when all of it is told."""
    story = Story(segment, targets=TARGETS, model={"version": 1, "hash": "c" * 64, **model})
    for place, vector in enumerate(found):
        user, items = f"u-{place}", vector["cart_items"]
        story.tell(4 * place, "identify", user=user, consent={"profiling": False})
        story.tell(4 * place, "Product Added", user=user, quantity=items, price=vector["cart_value"] / items)
        story.tell(4 * place, "Product Reviewed", user=user, rating=vector["average_rating"])
        story.tell(4 * place, "identify", user=user, consent={"profiling": None})
    by_user = {transition["user_id"]: transition["reason"][0]["value"] for transition in story.transitions}
    return [by_user[f"u-{place}"] for place in range(len(found))]


def inputs_of(scaler: preprocessing.StandardScaler) -> list[dict[str, Any]]:
    """What a scaler does, as a snapshot has it."""
    return [{"name": name, "mean": scaler.means[name], "scale": math.sqrt(scaler.vars[name])} for name in FEATURES]


def logged(vector: Vector) -> Vector:
    """A vector as learners are given it."""
    return {name: math.copysign(math.log1p(abs(value)), value) for name, value in vector.items()}


def cut(vector: Vector) -> Vector:
    """A scaled vector, nothing of it farther out than the linear learner believes."""
    return {name: max(-LIMIT, min(LIMIT, value)) for name, value in vector.items()}


def alternates(branch: Any) -> int:
    """How many alternates there are in a tree, under branches whose error rose."""
    if not hasattr(branch, "children"):
        return 0
    return (branch._alternate_tree is not None) + sum(map(alternates, branch.children))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scaled_logistic_regression_scores_as_rivers(seed: int) -> None:
    """Learnt on a stream with drift: the same probability for vectors that it hasn't seen, once scaled and cut."""
    rng = random.Random(seed)
    scaler = preprocessing.StandardScaler()
    regression = linear_model.LogisticRegression(optim.SGD(rng.uniform(0.01, 1)))
    pipeline = scaler | regression
    for vector, label in labelled(rng, 1_500):
        pipeline.learn_one(logged(vector), label)
    fresh = vectors(rng, 60)
    means = np.array([scaler.means.get(name, 0.0) for name in NAMES])
    deviations = np.sqrt([scaler.vars.get(name, 1.0) for name in NAMES])
    target = linear_of(means, deviations, regression).content()
    expected = [regression.predict_proba_one(cut(scaler.transform_one(logged(vector))))[True] for vector in fresh]
    assert max(expected) - min(expected) > 0.1
    assert shown(SCORED, {"targets": {"t": target}}, fresh) == pytest.approx(expected, rel=0, abs=1e-6)


def test_adaptive_trees_score_as_rivers() -> None:
    """Learnt on streams with drift, and asked while there is an alternate that votes, if there is one."""
    voting = nodes = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        grown = tree.HoeffdingAdaptiveTreeClassifier(
            grace_period=50, delta=1e-3, leaf_prediction="mc", drift_window_threshold=50, seed=seed
        )
        for place, (vector, label) in enumerate(labelled(rng, 4_000)):
            grown.learn_one(logged(vector), label)
            if place > 2_000 and alternates(grown._root):
                break
        target, fresh = trees_of(grown).content(), vectors(rng, 60)
        expected = [grown.predict_proba_one(logged(vector))[True] for vector in fresh]
        assert shown(SCORED, {"targets": {"t": target}}, fresh) == pytest.approx(expected, rel=0, abs=1e-6)
        voting, nodes = voting + alternates(grown._root), nodes + len(target["value"])
    assert voting > 0
    assert nodes > 5 * len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_user_is_in_the_cluster_that_river_predicts(seed: int) -> None:
    """Centres that river's KMeans has learnt on scaled vectors; who is new is in the nearest one."""
    rng = random.Random(seed)
    scaler = preprocessing.StandardScaler()
    means = cluster.KMeans(n_clusters=5, halflife=0.1, sigma=1, seed=seed)
    for vector in vectors(rng, 500):
        scaler.learn_one(vector)
        means.learn_one(scaler.transform_one(vector))
    fresh = vectors(rng, 60)
    centres = [[means.centers[place][name] for name in FEATURES] for place in range(5)]
    clusters = {"inputs": inputs_of(scaler), "names": [f"c{place}" for place in range(5)], "centres": centres}
    expected = [f"c{means.predict_one(scaler.transform_one(vector))}" for vector in fresh]
    assert len(set(expected)) > 1
    assert shown(CLUSTERED, {"clusters": clusters}, fresh) == expected
