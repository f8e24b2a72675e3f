"""Names of clusters: from what sets them apart, and kept while they are true when the clusters are found anew.

Old and new centres are paired so that the sum of their distances is least (the assignment problem; scipy solves it
after Crouse 2016); a pair counts only if the new centre is nearer to the old one than half way to the old one's nearest
neighbour: beyond that it is another cluster, and gets another name.
"""

from collections.abc import Sequence
from itertools import chain, count
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from worker.learning.behaviour import BEHAVIOUR
from worker.learning.kmeans import distances

__all__ = ["is_true", "kept_names", "named", "title_of"]

Rows = NDArray[np.float64]

STANDS_OUT: Final = 0.3
"""Standard deviations from everybody's mean from which a feature is worth a word."""
WORDS: Final = 2
HALF_WAY: Final = 0.5
USUAL: Final = "usual"
LENGTH_MAX: Final = 56


def named(centres: Rows, taken: Sequence[str] = ()) -> list[str]:
    """Return a name for each prepared centre, all different and none that is taken: `many_views_few_orders`."""
    names: list[str] = []
    for centre in centres:
        names.append(_first_free([_joined(words) for words in _longer(centre)], [*taken, *names]))
    return names


def title_of(centre: Rows) -> str:
    """Return what sets a prepared centre apart, as people write it: `Many views, few orders`."""
    return ", ".join(_longer(centre)[0]).capitalize()


def kept_names(before: Rows, names: Sequence[str], after: Rows) -> list[str | None]:
    """Return for each new centre the name of the old one that it continues, or None; all in one prepared space."""
    apart = np.sqrt(distances(before, after))
    between = np.sqrt(distances(before, before))
    np.fill_diagonal(between, np.inf)
    limits = HALF_WAY * between.min(axis=1)
    kept: list[str | None] = [None] * len(after)
    for old, new in zip(*linear_sum_assignment(apart), strict=True):
        if apart[old, new] < limits[old]:
            kept[new] = names[old]
    return kept


def is_true(name: str, centre: Rows) -> bool:
    """Whether everything that a name says is on the same side of everybody's mean as the centre is."""
    return not any(
        (_joined([behaviour.much]) in name and value < 0) or (_joined([behaviour.little]) in name and value > 0)
        for behaviour, value in zip(BEHAVIOUR, centre, strict=True)
    )


def _longer(centre: Rows) -> list[list[str]]:
    """Return the words for a centre, strongest first: the usual number of them, then more if they don't suffice."""
    order = np.argsort(-np.abs(centre), kind="stable").tolist()
    words = [_word(place, centre[place]) for place in order if abs(centre[place]) >= STANDS_OUT]
    return [words[:size] for size in range(WORDS, max(len(words), WORDS) + 1)] if words else [[USUAL]]


def _word(place: int, value: float) -> str:
    behaviour = BEHAVIOUR[place]
    return behaviour.much if value > 0 else behaviour.little


def _joined(words: Sequence[str]) -> str:
    return "_".join(words).replace(" ", "_")


def _first_free(candidates: Sequence[str], taken: Sequence[str]) -> str:
    short = [each for each in candidates if len(each) <= LENGTH_MAX] or [candidates[0][:LENGTH_MAX]]
    numbered = (f"{short[0]}_{number}" for number in count(2))
    return next(name for name in chain(short, numbered) if name not in taken)
