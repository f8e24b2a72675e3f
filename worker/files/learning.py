"""Learning beside a job with no broker: the engine's samples are learnt from, and a model takes effect at a midnight.

The rule: what is learnt and when it takes effect is a function of the records alone. Samples and observations are taken
in when their day is over, in order of time, so that no batch size shows.
"""

import msgspec

from schemas.models import Snapshot
from worker.core.records import Effects
from worker.language.definitions import Checked
from worker.language.wanted import wanted
from worker.learning.inputs import Observation, Sample, observation_of, sample_of
from worker.learning.learning import Learning

__all__ = ["Lessons"]


class Lessons:
    """What a job's users teach: give it what follows from the records, ask it at every midnight."""

    def __init__(self, checked: Checked, given: Snapshot | None = None) -> None:
        """Begin to learn for definitions. A `given` model stays until all that it knows has been learnt anew."""
        self.learning = Learning(wanted(checked))
        self._given = given
        self._version = given.version if given else 0
        self._today: list[tuple[int, Sample | Observation]] = []

    def take(self, effects: Effects) -> None:
        """Note the day's samples and observations."""
        for sample in map(sample_of, map(msgspec.to_builtins, effects.samples)):
            self._today.append((sample.resolved_ms, sample))
        for observation in map(observation_of, map(msgspec.to_builtins, effects.observations)):
            self._today.append((observation.observed_ms, observation))

    def model_at(self, midnight_ms: int) -> Snapshot | None:
        """Learn what the day brought; return the model that takes effect at its end, None without news."""
        assert all(at_ms <= midnight_ms for at_ms, _ in self._today), "asked at every midnight"
        for _, lesson in sorted(self._today, key=lambda entry: (entry[0], isinstance(entry[1], Sample))):
            if isinstance(lesson, Sample):
                self.learning.learn(lesson)
            else:
                self.learning.observe(lesson)
        self._today.clear()
        snapshot = self.learning.snapshot(self._version + 1)
        if snapshot is None or (self._given is not None and not _knows_all_of(self._given, snapshot)):
            return None
        self._version, self._given = snapshot.version, None
        return snapshot


def _knows_all_of(given: Snapshot, snapshot: Snapshot) -> bool:
    clusters = given.clusters is None or snapshot.clusters is not None
    quantiles = given.quantiles.keys() <= snapshot.quantiles.keys()
    return clusters and quantiles and given.targets.keys() <= snapshot.targets.keys()
