"""Everything that is learnt: samples and observations in, snapshots out.

The rule: what it knows is a function of the records in their order; asking for a snapshot, parts or figures changes
nothing but what counts as news.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from schemas.models import Snapshot, sealed
from worker.language.observed import OBSERVED_HASH
from worker.language.wanted import Wanted
from worker.learning.figures import Figure
from worker.learning.groups import group_figures
from worker.learning.identities import Identities
from worker.learning.inputs import Observation, Sample
from worker.learning.measured import target_figures, target_metrics
from worker.learning.population import Population
from worker.learning.settings import DECISIONS_KEPT, NEWS_MS_MAX
from worker.learning.target import TargetLearning

__all__ = ["Learning"]

MAIN: Final = "learning"


class Learning:
    """The learning of what definitions want.

    With `parts` it goes on where another stopped; what is no longer wanted is forgotten.
    """

    def __init__(self, wanted: Wanted, *, parts: Mapping[str, bytes] | None = None) -> None:
        known = parts or {}
        self._thresholds = wanted.thresholds
        self._traits = wanted.traits
        self._samples, self._observations = Identities("samples"), Identities("observations")
        self._clock_ms = 0
        self._given_ms: int | None = None  # the clock of the last snapshot
        self._decisions: list[dict[str, Any]] = []
        self._recent: list[dict[str, Any]] = []
        if MAIN in known:
            counts, self._clock_ms, self._given_ms, self._decisions, self._recent = msgspec.msgpack.decode(known[MAIN])
            self._samples.restore(counts[0], known)
            self._observations.restore(counts[1], known)
        self._targets = {
            target.id: TargetLearning(target, _under(f"target/{target.id}/", known)) for target in wanted.targets
        }
        self._population = Population(wanted.ranked, wanted.clusters, parts=known)

    def learn(self, sample: Sample) -> bool:
        """Take a sample in. False if its id came before, or its target isn't wanted."""
        target = self._targets.get(sample.target)
        if target is None or not self._samples.add(sample.id):
            return False
        target.take(sample)
        self._pass_time(sample.resolved_ms)
        return True

    def observe(self, observation: Observation) -> bool:
        """Take an observation in. False if its id came before."""
        if not self._observations.add(observation.id):
            return False
        self._pass_time(observation.observed_ms)
        self._population.observe(observation)
        self._decided(self._population.decisions())
        return True

    def forget(self, id_of: Callable[[str, int], str]) -> int:
        """Drop what is held of a user; return how many samples and observations went.

        `id_of` gives the id of her sample of a target, or of her `observation`, at an instant in ms. What was learnt
        stays learnt, and the vectors that learners draw from again have nobody's name.
        """
        dropped = sum(target.forget(partial(id_of, name)) for name, target in self._targets.items())
        return dropped + self._population.forget(partial(id_of, "observation"))

    def _pass_time(self, now_ms: int) -> None:
        """Move the clock, which is the latest time seen, and let every target learn what is due."""
        self._clock_ms = max(self._clock_ms, now_ms)
        for target in self._targets.values():
            target.pass_time(self._clock_ms)
            self._decided(target.decisions())

    def _decided(self, decisions: list[dict[str, Any]]) -> None:
        self._decisions += decisions
        self._recent = (self._recent + decisions)[-DECISIONS_KEPT:]

    def scores(self, sample: Sample) -> dict[str, float]:
        """Return what each learner honestly gave a sample: as it stood at the last midnight before; or nothing."""
        target = self._targets.get(sample.target)
        return target.scores(sample) if target else {}

    def snapshot(self, version: int) -> Snapshot | None:
        """Return what is known as a snapshot of that version; None without news since the last one.

        That what held days ago holds still is news, too: else nobody could tell it from a learning that has ended.
        """
        if not self._has_news():
            return None
        self._given_ms = self._clock_ms
        entries = {name: target.give() for name, target in self._targets.items()}
        content = {
            "feature_schema": OBSERVED_HASH,
            "targets": {name: entry for name, entry in entries.items() if entry},
            "evidence": {name: target.evidence for name, target in self._targets.items()},
            "training": self._training(),
            "metrics": {name: target_metrics(target) for name, target in self._targets.items()},
            "decisions": self._recent,
            **self._population.snapshot_parts(),
        }
        return sealed(version, content)

    def _has_news(self) -> bool:
        if self._given_ms is not None and self._clock_ms - self._given_ms >= NEWS_MS_MAX:
            return True
        return self._population.has_news() or any(target.has_news() for target in self._targets.values())

    def _training(self) -> dict[str, int]:
        spans = [target.learnt_ms for target in self._targets.values() if target.evidence["samples"]]
        return {"from_ms": min((first for first, _ in spans), default=0), "until_ms": self._clock_ms}

    def parts(self) -> dict[str, bytes]:
        """Return everything it knows, as named parts of at most 900 KB; most stay as they were between calls."""
        counts = self._samples.count, self._observations.count
        main = (counts, self._clock_ms, self._given_ms, self._decisions, self._recent)
        found = {MAIN: msgspec.msgpack.encode(main), **dict(self._samples.parts()), **dict(self._observations.parts())}
        for name, target in self._targets.items():
            found |= {f"target/{name}/{part}": data for part, data in target.parts()}
        return found | self._population.parts()

    def decisions(self) -> list[dict[str, Any]]:
        """Return what was decided since this was last asked, oldest first, each with its numbers and `at_ms`."""
        decided, self._decisions = self._decisions, []
        return decided

    def figures(self, report: Sequence[Mapping[str, Any]] | None = None) -> list[Figure]:
        """Return the numbers of the metrics page; a `report` that is there already isn't made again for them."""
        figures = self._population.figures()
        for name, target in self._targets.items():
            figures += target_figures(target, self._thresholds.get(name, ()))
        return [*figures, *group_figures(self.report() if report is None else report)]

    def report(self) -> list[dict[str, Any]]:
        """Return how each target's live scores have served whom the declared traits tell apart: a dict per group.

        `target`, and what `Groups.report` says of a group.
        """
        return [
            {"target": name, **group}
            for name, target in self._targets.items()
            for group in target.groups.report(self._traits, self._thresholds.get(name, ()))
        ]


def _under(prefix: str, parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the parts below a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): data for name, data in parts.items() if name.startswith(prefix)}
