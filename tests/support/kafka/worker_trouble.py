"""Trouble inside a worker that nobody can make from outside: mistakes in the engine, a release of another mind.

The rule: a function per trouble that patches one place of the worker, and marks that it has happened.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer

from tests.support.counting import Counting
from worker.agents import delivering, training
from worker.core import restoring
from worker.core.engine import Engine
from worker.core.records import Effects
from worker.kafka import membership
from worker.language import definitions
from worker.language.definitions import Checked, DefinitionsError
from worker.language.mistakes import Mistake
from worker.learning.inputs import Sample

__all__ = ["BREAKS_THE_ENGINE", "BREAKS_THE_LEARNING", "TROUBLE"]

BREAKS_THE_ENGINE = b"breaks the engine"
BREAKS_THE_LEARNING = "breaks the learning"

Mark = Callable[[dict[str, object]], None]


def _refuse_definitions(mark: Mark) -> None:
    """The release takes definitions that are published, but not those that a state was made under."""

    class Refusing:
        @staticmethod
        def load(text: str, mapping: Any) -> Checked:
            mark({"what": "refused", "version": definitions.load(text, mapping).definitions.version})
            raise DefinitionsError([Mistake(1, 1, "", "a word that this release doesn't know")])

    vars(restoring)["definitions"] = Refusing


def _break_over_marked_records(mark: Mark) -> None:
    """The engine fails over a batch with a marked record in it, when it has already changed."""
    step: Callable[..., Effects] = Engine.step

    def failing(engine: Engine, payloads: Sequence[bytes], *rest: Any, **options: Any) -> Effects:
        effects = step(engine, payloads, *rest, **options)
        if any(BREAKS_THE_ENGINE in payload for payload in payloads):
            mark({"what": "broken", "records": len(payloads)})
            raise ZeroDivisionError
        return effects

    setattr(Engine, "step", failing)  # noqa: B010  mypy has a say about the other way


def _look_often(_: Mark) -> None:
    """The worker looks every second whether its topics have grown."""
    membership.METADATA_AGE_MS = 1_000


def _renew_often(_: Mark) -> None:
    """Sinks tell the brokers every second how far they are, though nothing has come."""
    delivering.RENEW_SECONDS = 1.0


def _expect_polls(_: Mark) -> None:
    """A group is left after two seconds in which nobody has polled, where aiokafka isn't told otherwise."""
    AIOKafkaConsumer.__init__.__kwdefaults__["max_poll_interval_ms"] = 2_000


def _count_only(_: Mark) -> None:
    """The trainer's learning counts, and does nothing else."""
    vars(training)["Learning"] = Counting


def _break_over_marked_users(mark: Mark) -> None:
    """The trainer's learning counts, and fails over samples of marked users when it has already counted them."""

    class Failing(Counting):
        def learn(self, sample: Sample) -> bool:
            is_new = super().learn(sample)
            if sample.user_id.startswith(BREAKS_THE_LEARNING):
                mark({"what": "broken", "user": sample.user_id})
                raise ZeroDivisionError
            return is_new

    vars(training)["Learning"] = Failing


TROUBLE: Mapping[str, Callable[[Mark], None]] = {
    "refused_definitions": _refuse_definitions,
    "hasty_metadata": _look_often,
    "hasty_renewal": _renew_often,
    "expected_polls": _expect_polls,
    "counting": _count_only,
    "marked_users": _break_over_marked_users,
    "marked_records": _break_over_marked_records,
}
