"""Clusters of behaviour that follow the users: river's KMeans with a half-life, begun from a batch fit.

river begins at random centres; ours are those of `kmeans.best_fit`. From then on each observation moves the nearest
centre, so that half of a centre is renewed in about two weeks. The preparation is fixed from one fit to the next: a
centre means the same on every day in between.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river.cluster import KMeans

from worker.learning.behaviour import BEHAVIOUR, Preparation
from worker.learning.drift import Alarm
from worker.learning.kmeans import best_fit, distances, nearest, silhouette, within_reach
from worker.learning.naming import is_true, kept_names, named, title_of
from worker.learning.pieces import packed_array, unpacked_array
from worker.learning.psi import psi, psi_limit

__all__ = ["ROWS_MIN", "Clusters"]

Rows = NDArray[np.float64]
Counts = NDArray[np.int64]

ROWS_MIN: Final = 200
"""So many users are needed before there are clusters: a hundred to find them, as many to judge them."""

RENEWED_WEEKS: Final = 2.0
RATE_MAX: Final = 0.05
BETTER: Final = 0.01
"""A refit replaces what is live if its silhouette is better by this much, on users it wasn't fitted on."""
JUDGED_MAX: Final = 1_000
MOVED_MAX: Final = 0.5
"""A centre that has gone half way to what was its nearest neighbour is another cluster: an alarm."""


class Refit(NamedTuple):
    """What came of fitting anew: the clusters from now on, and the silhouettes of both on the same held-out users."""

    clusters: "Clusters"
    adopted: bool
    before: float
    after: float


class Clusters:
    """Named centres in a prepared space.

    `start` and `counts` are the centres and their numbers of users when they were fitted, `rate` is how far an
    observation moves the nearest centre.
    """

    def __init__(self, preparation: Preparation, centres: Rows, names: list[str], rate: float) -> None:
        self.preparation = preparation
        self.names = names
        self.rate = rate
        self.start = centres.copy()
        self.counts = np.zeros(len(centres), np.int64)
        self._model = KMeans(n_clusters=len(centres), halflife=rate)
        # By number, not by name: river sums over a set of keys, whose order would change with the salt of strings.
        self._model.centers = {cluster: dict(enumerate(centre.tolist())) for cluster, centre in enumerate(centres)}

    @classmethod
    def found(cls, rows: Rows, per_week: float) -> "Clusters":
        """Clusters of these users, [user, OBSERVED], at least `ROWS_MIN` of them; the largest comes first.

        `per_week` is how many observations they will learn from in a week.
        """
        preparation = Preparation.fitted(rows)
        prepared = preparation.apply(rows)
        centres = best_fit(prepared).centres
        centres = centres[np.argsort(-_counts(prepared, centres), kind="stable")]
        clusters = cls(preparation, centres, named(centres), _rate(len(centres), per_week))
        clusters.settle(rows)
        return clusters

    @property
    def centres(self) -> Rows:
        """Where the centres are now, [cluster, BEHAVIOUR], prepared."""
        return np.array([list(centre.values()) for centre in self._model.centers.values()])

    def learn(self, features: Rows) -> None:
        """Move the centre nearest to this user, whose features are in the order of OBSERVED."""
        user = within_reach(self.preparation.apply(features[None, :]))[0]
        self._model.learn_one(dict(enumerate(user.tolist())))

    def sizes(self, rows: Rows) -> dict[str, float]:
        """Return by name the share of these users that is nearest to each centre."""
        return dict(zip(self.names, (self._counts(rows) / max(len(rows), 1)).tolist(), strict=True))

    def settle(self, rows: Rows) -> None:
        """Take today's centres, and how many of these users each has, as what alarms compare with."""
        self.start = self.centres.copy()
        self.counts = self._counts(rows)

    def alarms(self, rows: Rows, chance: float) -> list[Alarm]:
        """Return what has changed since it settled: centres that went far, and the sizes, as PSI."""
        between = np.sqrt(distances(self.start, self.start))
        np.fill_diagonal(between, np.inf)
        moved = np.sqrt(((self.centres - self.start) ** 2).sum(axis=1)) / between.min(axis=1)
        found = [
            Alarm("centre", name, float(way), MOVED_MAX)
            for name, way in zip(self.names, moved, strict=True)
            if way > MOVED_MAX
        ]
        index, limit = psi(self.counts, self._counts(rows)), psi_limit(self.counts, len(rows), chance)
        return [*found, Alarm("sizes", "clusters", index, limit)] if index > limit else found

    def refitted(self, rows: Rows, per_week: float) -> Refit:
        """Fit anew on these users, in the shadow of what is live, and tell which of the two goes on."""
        candidate = Clusters.found(rows, per_week)
        judged = rows[1::2][:JUDGED_MAX]
        between = distances(*[candidate.preparation.apply(judged)] * 2)
        before = silhouette(between, nearest(self.preparation.apply(judged), self.centres))
        after = silhouette(between, nearest(candidate.preparation.apply(judged), candidate.centres))
        adopted = after >= before + BETTER
        live = self.preparation.translate(self.centres, candidate.preparation)
        if adopted:
            candidate.rename(kept_names(live, self.names, candidate.centres), self.names, candidate.centres)
            return Refit(candidate, adopted, before, after)
        self.rename(self.names, self.names, live)
        self.settle(rows)
        return Refit(self, adopted, before, after)

    def rename(self, kept: Sequence[str | None], taken: Sequence[str], centres: Rows) -> None:
        """Keep the names that are true of these centres, prepared as of today; give the others new ones."""
        true = [name if name and is_true(name, centre) else None for name, centre in zip(kept, centres, strict=True)]
        fresh = iter(named(centres[[name is None for name in true]], taken))
        self.names = [name or next(fresh) for name in true]

    def exported(self, centres: Rows, sizes: Mapping[str, float], before: Mapping[str, float]) -> dict[str, Any]:
        """Return the snapshot's part: inputs, names, these centres and cards; sizes by name, now and a week before."""
        return {
            "inputs": self.preparation.inputs(),
            "names": self.names,
            "centres": centres.tolist(),
            "cards": {
                name: self._card(centre, sizes[name], before.get(name))
                for name, centre in zip(self.names, centres, strict=True)
            },
        }

    def _counts(self, rows: Rows) -> Counts:
        return _counts(self.preparation.apply(rows), self.centres)

    def _card(self, centre: Rows, size: float, before: float | None) -> dict[str, Any]:
        order = np.argsort(-np.abs(centre), kind="stable").tolist()
        return {
            "title": title_of(centre),
            "size": size,
            "trend": 0.0 if before is None else size - before,
            "centre": self.preparation.in_units(centre),
            "different": [{"feature": BEHAVIOUR[at].name, "deviations": float(centre[at])} for at in order],
        }

    def packed(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "mean": packed_array(self.preparation.mean),
            "scale": packed_array(self.preparation.scale),
            "start": packed_array(self.start),
            "counts": packed_array(self.counts),
            "centres": packed_array(self.centres),
            "names": self.names,
            "rate": self.rate,
        }

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> "Clusters":
        """The clusters that were packed, exactly."""
        preparation = Preparation(unpacked_array(packed["mean"]), unpacked_array(packed["scale"]))
        clusters = cls(preparation, unpacked_array(packed["centres"]), list(packed["names"]), packed["rate"])
        clusters.start, clusters.counts = unpacked_array(packed["start"]), unpacked_array(packed["counts"])
        return clusters


def _counts(prepared: Rows, centres: Rows) -> Counts:
    return np.bincount(nearest(prepared, centres), minlength=len(centres)).astype(np.int64)


def _rate(clusters: int, per_week: float) -> float:
    """Return river's `halflife`, the share of the way to an observation that a centre moves.

    After n observations of a cluster (1 - rate)^n of the old centre is left: half, when n is what comes in two weeks.
    """
    per_centre = max(RENEWED_WEEKS * per_week / clusters, 1.0)
    return float(min(1.0 - 0.5 ** (1.0 / per_centre), RATE_MAX))
