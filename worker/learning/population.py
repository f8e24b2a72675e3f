"""What is learnt of all active users, once a week each: clusters, quantiles, references, drift.

One direction: an observation goes into the panel, moves a centre and is seen by the watches; when the first of a new
UTC day comes, the day before is closed: alarms, and what they lead to. An alarm leads to a refit in shadow a week
later, when the panel holds only users from after the change; then the references are taken anew. Clusters are also
fitted anew when the windows of more features have filled. Times are those of the observations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED, OBSERVED_HASH
from worker.learning.clusters import ROWS_MIN, Clusters
from worker.learning.detector import Share
from worker.learning.drift import Alarm, Watches, psi_chance
from worker.learning.figures import Figure
from worker.learning.inputs import Observation
from worker.learning.panel import NAME, WEEK_MS, Panel, hash_of
from worker.learning.pieces import cut, joined
from worker.learning.quantiles import quantiles_of, rank_difference
from worker.learning.settings import DAY_MS

__all__ = ["Population"]

Rows = NDArray[np.float64]
Record = dict[str, Any]

WIDTH: Final = len(OBSERVED)
WEEK_DAYS: Final = WEEK_MS // DAY_MS

RANKS_NEWS: Final = 0.02
CENTRES_NEWS: Final = 0.1
"""News: somebody's percentile has changed by this share of users, or a centre by so many standard deviations."""


class Book(msgspec.Struct):
    """What is remembered beside panel, centres and watches; days count from the epoch."""

    features: str = OBSERVED_HASH
    ranked: list[str] = []
    first_ms: int | None = None
    clock_ms: int = 0
    refit_day: int | None = None
    generation: int = 0  # how often clusters or references were made
    sizes: list[dict[str, float]] = []  # of the clusters at the ends of the last days, oldest first
    alarms: dict[str, dict[str, int]] = {}  # counts by what and name
    decisions: list[Record] = []
    published: Record | None = None  # generation, centres and quantiles of the last snapshot


class Population:
    """Learns from observations. `ranked` is what definitions rank by, `clusters` whether they read clusters.

    The order in which observations come matters to centres and detectors, their batches don't.
    """

    def __init__(self, ranked: Sequence[str], clusters: bool, *, parts: Mapping[str, bytes] | None = None) -> None:
        self._wants_clusters = clusters
        self._book = Book(ranked=list(ranked))
        self._panel = Panel(WIDTH + len(ranked))
        self._share = Share()
        self._watches = Watches()
        self._clusters: Clusters | None = None
        self._restore(parts or {})

    def observe(self, observation: Observation) -> None:
        """Learn from an active user's week; one that is more than a week behind the others is too late."""
        at_ms, book = observation.observed_ms, self._book
        if at_ms <= book.clock_ms - WEEK_MS:
            return
        if self._share.turns(at_ms):
            self._close(at_ms // DAY_MS)
        book.clock_ms = max(book.clock_ms, at_ms)
        book.first_ms = at_ms if book.first_ms is None else book.first_ms
        place = hash_of(observation.id)
        ranked = [observation.ranked.get(name, np.nan) for name in book.ranked]
        self._panel.add(place, at_ms, np.concatenate((observation.features, ranked)))
        if self._share.takes(at_ms, place):
            self._cry(at_ms, self._watches.see(observation.features, _weekday(at_ms)))
            if self._clusters is not None:
                self._clusters.learn(observation.features)

    def forget(self, id_at: Callable[[int], str]) -> int:
        """Drop the observations of a user, whose one at an instant has the id `id_at` gives; return how many went."""
        return self._panel.forget(lambda at_ms: hash_of(id_at(at_ms)))

    def _close(self, day: int) -> None:
        """Look at the week that ends with the beginning of this day."""
        at_ms, book = day * DAY_MS, self._book
        rows, times_ms = self._panel.recent(at_ms)
        if len(rows) < ROWS_MIN or times_ms.min() > at_ms - WEEK_MS + DAY_MS:
            return  # too few, or not of every weekday
        weekdays = _weekday(times_ms)
        settled = self._watches.begin(rows, weekdays, (at_ms - (book.first_ms or 0)) / DAY_MS)
        self._cry(at_ms, self._watches.look(rows))
        due = book.refit_day is not None and day >= book.refit_day
        self._follow_clusters(at_ms, rows, refit=settled or due)
        if due:
            book.refit_day = None
            self._watches.renew(rows, weekdays)
        book.generation += settled or due

    def _follow_clusters(self, at_ms: int, rows: Rows, *, refit: bool) -> None:
        """Find clusters, fit them anew or see whether they have changed, and note their sizes."""
        if not self._wants_clusters:
            return
        per_week = self._share.daily * WEEK_DAYS
        if self._clusters is None:
            self._clusters = Clusters.found(rows, per_week)
            self._decide(at_ms, "found", clusters=len(self._clusters.names))
            self._book.generation += 1
        elif refit:
            before = self._clusters.names
            done = self._clusters.refitted(rows, per_week)
            self._clusters = done.clusters
            kept = len({*before} & {*done.clusters.names})
            self._decide(
                at_ms, "refit", adopted=done.adopted, silhouette_before=done.before, silhouette=done.after,
                clusters=len(done.clusters.names), clusters_before=len(before), names_kept=kept,
            )  # fmt: skip
        elif self._book.refit_day is None:
            self._cry(at_ms, self._clusters.alarms(rows, psi_chance(len(self._watches.by_name))))
        self._book.sizes = [*self._book.sizes, self._clusters.sizes(rows)][-WEEK_DAYS - 1 :]

    def _cry(self, at_ms: int, alarms: Sequence[Alarm]) -> None:
        """Note the alarms; unless a refit is to come already, it comes when a week has passed."""
        for alarm in alarms:
            self._decide(at_ms, "alarm", what=alarm.what, name=alarm.name, value=alarm.value, limit=alarm.limit)
            counts = self._book.alarms.setdefault(alarm.what, {})
            counts[alarm.name] = counts.get(alarm.name, 0) + 1
        if alarms and self._book.refit_day is None:
            self._book.refit_day = at_ms // DAY_MS + WEEK_DAYS

    def _decide(self, at_ms: int, kind: str, **numbers: Any) -> None:
        self._book.decisions.append({"at_ms": at_ms, "kind": kind, **numbers})

    def decisions(self) -> list[Record]:
        """Return what was decided since the last call: alarms, clusters found and fitted anew."""
        taken, self._book.decisions = self._book.decisions, []
        return taken

    def has_news(self) -> bool:
        """Whether a snapshot would say something that the last one doesn't."""
        published, today = self._book.published, self._summary()
        if published is None:
            return bool(today["quantiles"]) or self._clusters is not None or bool(self._watches.by_name)
        return _has_moved(published, today) or any(
            rank_difference(published["quantiles"].get(name, []), values) > RANKS_NEWS
            for name, values in today["quantiles"].items()
        )

    def _summary(self) -> Record:
        centres = [] if self._clusters is None else self._clusters.centres.tolist()
        return {"generation": self._book.generation, "centres": centres, "quantiles": self._quantiles()}

    def _quantiles(self) -> dict[str, list[float]]:
        rows, _ = self._panel.recent(self._book.clock_ms)
        columns = {name: rows[:, WIDTH + at] for at, name in enumerate(self._book.ranked)}
        found = {name: quantiles_of(name, values) for name, values in columns.items()}
        return {name: values for name, values in found.items() if values}

    def snapshot_parts(self) -> Record:
        """Return `clusters` (None without), `quantiles` and `reference` as the snapshot has them.

        Centres stay where the last snapshot had them until one has moved: other news changes nobody's cluster.
        """
        published, today = self._book.published, self._summary()
        if published is not None and not _has_moved(published, today):
            today["centres"] = published["centres"]
        self._book.published = today
        return {
            "clusters": self._exported_clusters(np.array(today["centres"])),
            "quantiles": today["quantiles"],
            "reference": {name: watch.reference.exported() for name, watch in self._watches.by_name.items()},
        }

    def _exported_clusters(self, centres: Rows) -> Record | None:
        if self._clusters is None:
            return None
        before = self._book.sizes[0] if len(self._book.sizes) > WEEK_DAYS else {}
        rows, _ = self._panel.recent(self._book.clock_ms)
        return self._clusters.exported(centres, self._clusters.sizes(rows), before)

    def figures(self) -> list[Figure]:
        """Return PSI by feature, alarms by what and name, and the share of users by cluster."""
        psi = [Figure("feature_psi", {"feature": name}, watch.psi) for name, watch in self._watches.by_name.items()]
        alarms = [
            Figure("drift_alarms", {"kind": what, "name": name}, float(count))
            for what, counts in self._book.alarms.items()
            for name, count in counts.items()
        ]
        sizes = self._book.sizes[-1] if self._book.sizes else {}
        return [*psi, *alarms, *(Figure("cluster_share", {"cluster": name}, size) for name, size in sizes.items())]

    def parts(self) -> dict[str, bytes]:
        """Return everything it knows; `Population(…, parts=…)` goes on from there, exactly."""
        small = {
            "book": self._book,
            "share": self._share.packed(),
            "clusters": None if self._clusters is None else self._clusters.packed(),
        }
        return {
            **cut("population", small),
            **cut("population/watches", self._watches.packed()),
            **{key: part for name, week in self._panel.packed().items() for key, part in cut(name, week).items()},
        }

    def _restore(self, parts: Mapping[str, bytes]) -> None:
        """Go on from these parts; features of another schema mean something else and are left."""
        small = joined("population", parts)
        if small is None or small["book"]["features"] != OBSERVED_HASH:
            return
        ranked, self._book = self._book.ranked, msgspec.convert(small["book"], Book)
        before, self._book.ranked = self._book.ranked, ranked
        columns = [*range(WIDTH), *(WIDTH + before.index(name) if name in before else None for name in ranked)]
        weeks = {name: week for name in (f"{NAME}/0", f"{NAME}/1") if (week := joined(name, parts)) is not None}
        self._panel = Panel.unpacked(weeks, columns, WIDTH + len(ranked))
        self._share = Share(**small["share"])
        self._watches = Watches(joined("population/watches", parts))
        if small["clusters"] is not None and self._wants_clusters:
            self._clusters = Clusters.unpacked(small["clusters"])


def _has_moved(published: Record, today: Record) -> bool:
    """Return whether the clusters or references were made anew since, or a centre has moved."""
    if today["generation"] != published["generation"]:
        return True
    moved = np.abs(np.array(today["centres"]) - np.array(published["centres"]))
    return bool(moved.size and moved.max() > CENTRES_NEWS)


def _weekday(at_ms: Any) -> Any:
    """The day of the week, 0 to 6, of a time or of many."""
    return at_ms // DAY_MS % WEEK_DAYS
