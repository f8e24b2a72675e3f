"""Trouble inside a worker that nobody can make from outside: mistakes in the engine, a release of another mind.

The rule: a function per trouble that patches one place of the worker, and marks that it has happened.
"""

from collections.abc import Callable, Mapping
from typing import Any

from worker.core import restoring
from worker.core.engine import Engine
from worker.language import definitions
from worker.language.definitions import Checked, DefinitionsError
from worker.language.mistakes import Mistake

__all__ = ["BREAKS_THE_ENGINE", "TROUBLE"]

BREAKS_THE_ENGINE = b"breaks the engine"

Mark = Callable[[dict[str, object]], None]


def _refuse_definitions(mark: Mark) -> None:
    """The release takes definitions that are published, but not those that a state was made under."""

    class Refusing:
        @staticmethod
        def load(text: str, mapping: Any) -> Checked:
            mark({"what": "refused", "version": definitions.load(text, mapping).definitions.version})
            raise DefinitionsError([Mistake(1, 1, "", "a word that this release doesn't know")])

    restoring.definitions = Refusing  # type: ignore[assignment]


def _break_over_marked_records(mark: Mark) -> None:
    """The engine fails over a batch with a marked record in it, when it has already changed."""
    step = Engine.step

    def failing(engine: Engine, payloads: Any, *rest: Any, **options: Any) -> Any:
        effects = step(engine, payloads, *rest, **options)
        if any(BREAKS_THE_ENGINE in payload for payload in payloads):
            mark({"what": "broken", "records": len(payloads)})
            raise ZeroDivisionError
        return effects

    Engine.step = failing  # type: ignore[method-assign]


TROUBLE: Mapping[str, Callable[[Mark], None]] = {
    "refused_definitions": _refuse_definitions,
    "marked_records": _break_over_marked_records,
}
