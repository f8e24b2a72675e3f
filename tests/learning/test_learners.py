"""What learners export is what river itself answers, and what they are resumed to is what they were."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.learning.support import NAMES, features_of, plain
from worker.learning.learners import Learner, Linear, Prior, Tree
from worker.learning.preparation import Vectors, prepared
from worker.learning.recent import Recent
from worker.learning.settings import BATCH, LIMIT


def taught(learner: Learner, seed: int, batches: int, *, turn_at: int = 1_000) -> Recent:
    """Teach `batches` mini-batches, the truth turning over at one of them; return what is recent then."""
    recent = Recent()
    teach(learner, recent, seed, range(batches), turn_at=turn_at)
    return recent


def teach(learner: Learner, recent: Recent, seed: int, batches: range, *, turn_at: int = 1_000) -> None:
    """Teach mini-batches of these numbers: each has samples of its own."""
    for number in batches:
        draw = np.random.default_rng((seed, number))
        for _ in range(BATCH):
            features = features_of(draw)
            odds = plain(np.nan_to_num(features), 0.0) * (-1 if number >= turn_at else 1)
            recent.append(prepared(features), int(draw.random() < 1 / (1 + np.exp(-odds))))
        learner.learn_many(*recent.last(BATCH), recent)


def strangers(count: int = 200) -> Vectors:
    """Vectors that nobody learnt."""
    draw = np.random.default_rng(99)
    return prepared(np.array([features_of(draw) for _ in range(count)]))


def positive(answer: dict[bool, float]) -> float:
    """The probability of True in an answer of river."""
    return answer.get(True, 0.0)


def named(vector: NDArray[np.float32]) -> dict[str, float]:
    """A vector as river takes it."""
    return dict(zip(NAMES, vector.tolist(), strict=True))


def test_the_linear_export_scores_as_river_does() -> None:
    """Its averaged weights over what is scaled and cut are river's `predict_proba_one`, within 1e-9."""
    learner = Linear()
    taught(learner, 1, 4)
    export, (mean, scale) = learner.export(), learner._scaling()
    scaled = np.clip((strangers() - mean) / scale, -LIMIT, LIMIT)
    river = [positive(learner.averaged().predict_proba_one(named(vector))) for vector in scaled]
    np.testing.assert_allclose(export.raw(strangers()), river, atol=1e-9)
    assert np.std(river) > 0.1


def test_the_linear_scaling_is_rivers() -> None:
    """Where features vary, what is subtracted and divided by is river's `transform_one`."""
    learner = Linear()
    taught(learner, 1, 4)
    mean, scale = learner._scaling()
    for vector in strangers(20):
        river = learner._scaler.transform_one(named(vector))
        np.testing.assert_allclose((vector - mean) / scale, [river[name] for name in NAMES], atol=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_the_trees_export_scores_as_river_does(seed: int) -> None:
    """Within 1e-9, after the truth turned over too, when alternate leaves answer beside the old ones."""
    learner = Tree()
    taught(learner, seed, 40, turn_at=25)
    export = learner.export()
    river = [positive(learner._tree.predict_proba_one(named(vector))) for vector in strangers()]
    np.testing.assert_allclose(export.raw(strangers()), river, atol=1e-9)
    assert len(set(river)) >= 2


def test_alternate_leaves_are_part_of_the_export() -> None:
    """While a branch's alternate answers, the export isn't the main tree alone: it equals river at every mini-batch."""
    learner, recent, alternates = Tree(), Recent(), 0
    for number in range(40):
        teach(learner, recent, 5, range(number, number + 1), turn_at=20)
        branches = [node for node in learner._tree._root.iter_dfs() if hasattr(node, "_alternate_tree")]
        alternates += sum(node._alternate_tree is not None for node in branches)
        river = [positive(learner._tree.predict_proba_one(named(vector))) for vector in strangers(20)]
        np.testing.assert_allclose(learner.export().raw(strangers(20)), river, atol=1e-9)
    assert alternates > 0


@pytest.mark.parametrize("kind", [Prior, Linear, Tree])
def test_a_resumed_learner_goes_on_as_if_it_had_never_stopped(kind: type[Learner]) -> None:
    """Exact: the tree too, as long as all that it learnt is recent."""
    straight, first, second = kind(), kind(), kind()
    taught(straight, 3, 12)
    recent = taught(first, 3, 6)
    second.restore(first.state(), recent)
    teach(second, recent, 3, range(6, 12))
    np.testing.assert_array_equal(second.export().raw(strangers()), straight.export().raw(strangers()))


def test_a_tree_that_has_forgotten_its_beginning_resumes_nearly_as_it_was() -> None:
    """Beyond the recent samples it is resumed from these alone: on average within 0.15 of what it was."""
    learner, resumed = Tree(), Tree()
    recent = taught(learner, 4, 72)
    resumed.restore(learner.state(), recent)
    apart = np.abs(resumed.export().raw(strangers()) - learner.export().raw(strangers()))
    assert 0.0 < apart.mean() < 0.15


def test_a_feature_that_never_varies_breaks_nothing() -> None:
    """A variance that comes out a hair below zero is zero, and a first deviation from it is no explosion."""
    learner, recent = Linear(), Recent()
    for number in range(3 * BATCH):
        recent.append(np.full(len(NAMES), 17.36, dtype=np.float32), number % 2)
        if recent.count % BATCH == 0:
            learner.learn_many(*recent.last(BATCH), recent)
    scores = learner.export().raw(np.array([np.full(len(NAMES), 17.36), np.full(len(NAMES), 17.4)], dtype=np.float32))
    assert np.all(np.abs(scores - 0.5) < 0.1)


def test_the_linear_learner_begins_at_the_rate_of_a_rare_event() -> None:
    """After a mini-batch with three positives everybody's probability is small, and not on its way down from a half."""
    learner, recent, draw = Linear(), Recent(), np.random.default_rng(8)
    for number in range(BATCH):
        recent.append(prepared(features_of(draw)), int(number % 50 == 0))
    learner.learn_many(*recent.last(BATCH), recent)
    assert 0.01 < learner.export().raw(strangers()).mean() < 0.06


def test_the_linear_learner_finds_the_truth() -> None:
    """After 4,000 samples it ranks strangers nearly as their true odds do."""
    learner = Linear()
    taught(learner, 6, 32)
    draw = np.random.default_rng(99)
    features = np.array([features_of(draw) for _ in range(200)])
    true = [plain(np.nan_to_num(one), 0.0) for one in features]
    assert (
        np.corrcoef(np.argsort(np.argsort(true)), np.argsort(np.argsort(learner.export().raw(strangers()))))[0, 1] > 0.8
    )
