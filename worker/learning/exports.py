"""What a learner knows as plain numbers, in the shape of a snapshot's targets.

`raw` scores a prepared vector as the engine will; calibration comes on top. An export never changes once made.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.learning.preparation import NAMES, Vectors, inputs_of
from worker.learning.settings import LIMIT

__all__ = ["Export", "constant", "linear_of", "trees_of"]

LOGIT_MOST: Final = 700.0  # beyond it the exponential leaves the range of doubles


class LinearExport(msgspec.Struct, frozen=True, tag_field="kind", tag="linear"):
    """A logistic regression over (prepared - mean) / scale, cut at `LIMIT`; each list has a number per feature."""

    mean: list[float]
    scale: list[float]
    weights: list[float]
    intercept: float

    def raw(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return the probabilities [n] of prepared vectors [n, F]."""
        scaled = np.clip((vectors - np.array(self.mean)) / np.array(self.scale), -LIMIT, LIMIT)
        total = np.clip((scaled * np.array(self.weights)).sum(axis=1) + self.intercept, -LOGIT_MOST, LOGIT_MOST)
        return 1.0 / (1.0 + np.exp(-total))

    def content(self) -> dict[str, Any]:
        """Return it as a snapshot has it, without calibration."""
        inputs = inputs_of(np.array(self.mean), np.array(self.scale), LIMIT)
        return {"kind": "linear", "inputs": inputs, "weights": self.weights, "intercept": self.intercept}


class TreesExport(msgspec.Struct, frozen=True, tag_field="kind", tag="trees"):
    """Trees as flat lists over nodes: left where x <= threshold; a leaf has feature -1; children come after parents.

    A split's value is the share of positives among what passed it.
    """

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]
    roots: list[int]

    def raw(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return the probabilities [n] of prepared vectors [n, F]: the mean over trees of the leaf's value."""
        return np.array([self._mean_leaf(vector) for vector in vectors.tolist()], dtype=np.float64)

    def _mean_leaf(self, vector: list[float]) -> float:
        total = 0.0
        for root in self.roots:
            node = root
            while self.feature[node] >= 0:
                goes_left = vector[self.feature[node]] <= self.threshold[node]
                node = self.left[node] if goes_left else self.right[node]
            total += self.value[node]
        return total / len(self.roots)

    def content(self) -> dict[str, Any]:
        """Return it as a snapshot has it, without calibration."""
        inputs = inputs_of(np.zeros(len(NAMES)), np.ones(len(NAMES)))
        return {"kind": "trees", "inputs": inputs, **{name: getattr(self, name) for name in self.__struct_fields__}}


Export = LinearExport | TreesExport


def constant(probability: float) -> LinearExport:
    """Return the model that gives every vector this probability, which is above 0 and below 1."""
    zeros, ones = [0.0] * len(NAMES), [1.0] * len(NAMES)
    return LinearExport(zeros, ones, zeros, math.log(probability / (1.0 - probability)))


def linear_of(mean: NDArray[np.float64], scale: NDArray[np.float64], regression: Any) -> LinearExport:
    """Return river's `LogisticRegression` over features scaled by `mean` and `scale`, and cut."""
    weights = [float(regression.weights.get(name, 0.0)) for name in NAMES]
    return LinearExport(mean.tolist(), scale.tolist(), weights, float(regression.intercept))


def trees_of(tree: Any) -> TreesExport:
    """Return river's `HoeffdingAdaptiveTreeClassifier` of majority-class leaves: what its `predict_proba_one` gives.

    A branch whose error rose grows an alternate leaf beside its children, and river lets both answer, each by the
    inverse of its squared error; which alternates answer depends on the path alone, so each leaf's value holds them.
    """
    nodes: list[tuple[int, float, float]] = []
    left: list[int] = []
    right: list[int] = []

    def add(node: Any, alternates: list[Any]) -> int:
        place = len(nodes)
        is_leaf = not hasattr(node, "children")
        nodes.append((-1, 0.0, _share([*alternates, node], tree)) if is_leaf else _split(node))
        left.append(-1)
        right.append(-1)
        if not is_leaf:
            beside = alternates + _answering_beside(node)
            left[place], right[place] = add(node.children[0], beside), add(node.children[1], beside)
        return place

    if tree._root is None:  # noqa: SLF001 - river has no other way in
        raise ValueError("the tree has learnt nothing yet")
    add(tree._root, [])  # noqa: SLF001
    feature, threshold, value = (list(column) for column in zip(*nodes, strict=True))
    return TreesExport(feature, threshold, left, right, value, roots=[0])


def _split(node: Any) -> tuple[int, float, float]:
    return NAMES.index(node.feature), float(node.threshold), _positive_share([node.stats])


def _answering_beside(node: Any) -> list[Any]:
    alternate = node._alternate_tree  # noqa: SLF001
    return [] if alternate is None or hasattr(alternate, "children") else [alternate]


def _share(leaves: list[Any], tree: Any) -> float:
    """Return the share of positives in leaves that answer together, as river adds and normalises them."""
    return _positive_share([leaf.prediction({}, tree=tree) or {} for leaf in leaves])


def _positive_share(answers: list[Mapping[bool, float]]) -> float:
    positive = sum(answer.get(True, 0.0) for answer in answers)
    total = positive + sum(answer.get(False, 0.0) for answer in answers)
    return float(positive / total) if total > 0 else 0.0
