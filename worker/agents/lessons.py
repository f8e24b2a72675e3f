"""What a record says to the trainer, and which records it can't learn from whatever it tries.

The rule: learning that fails half way is thrown away with all that was learnt since the last commit, and read back. A
record over which it has failed twice is left out, loudly, so that one mistake doesn't stop the learning for good; when
one after the other is left out and nothing is committed in between it isn't the records, and the trainer stops.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.access import LEARNT_FROM
from worker.kafka.beginning import PartitionStopped
from worker.kafka.merged_input import Reading
from worker.kafka.merging import Arrived
from worker.learning.inputs import Observation, Sample, observation_of, sample_of
from worker.learning.learning import Learning
from worker.observe.logs import log

__all__ = ["READINGS", "Breaking", "lesson"]

ATTEMPTS: Final = 2
LEFT_OUT_MAX: Final = 3


def _read_sample(value: bytes) -> tuple[int, Sample]:
    sample = sample_of(msgspec.json.decode(value))
    return sample.resolved_ms, sample


def _read_observation(value: bytes) -> tuple[int, Observation]:
    observation = observation_of(msgspec.json.decode(value))
    return observation.observed_ms, observation


READINGS: Final[Mapping[str, Reading]] = dict(zip(LEARNT_FROM, (_read_sample, _read_observation), strict=True))


def lesson(learning: Learning, content: object) -> str:
    """Learn from what one record says; return what became of it: learnt, known or refused."""
    if isinstance(content, Sample):
        return "learnt" if learning.learn(content) else "known"
    if isinstance(content, Observation):
        return "learnt" if learning.observe(content) else "known"
    return "refused"


class LearningFault(Exception):  # noqa: N818  whose fault it is
    """The learning failed over a record; its message may quote it, so the name of the error is all that is told."""


class Breaking:
    """The records over which the learning has failed since the last commit; survives the trainer's restarts."""

    def __init__(self) -> None:
        self._failures: Counter[tuple[str, int, int]] = Counter()

    def blame(self, record: Arrived, error: Exception) -> LearningFault:
        """Note that learning has failed over a record; return what to raise."""
        self._failures[record[:3]] += 1
        return LearningFault(type(error).__name__)

    def leaves_out(self, record: Arrived) -> bool:
        """Whether a record isn't tried again, which the log tells. Raises PartitionStopped if it isn't the records."""
        if not self._failures or self._failures[record[:3]] < ATTEMPTS:
            return False
        topic, partition, offset = record[:3]
        log("trainer").error(
            "The learning fails over a record, which is left out: report it.", topic=topic, partition=partition,
            offset=offset,
        )  # fmt: skip
        return True

    def unless_everything_breaks(self) -> None:
        """Raise PartitionStopped if so many records have failed in a row that it can't be for what is in them."""
        if sum(count >= ATTEMPTS for count in self._failures.values()) >= LEFT_OUT_MAX:
            raise PartitionStopped(
                f"The learning has failed over {LEFT_OUT_MAX} records in a row, so it isn't the records: report it "
                "with the log, and go back to the release before; nothing of what it has yet to learn is lost."
            )

    def passed(self) -> None:
        """What was taken so far is committed."""
        self._failures.clear()
