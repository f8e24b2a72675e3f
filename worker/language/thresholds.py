"""The numbers that definitions compare a target's probability with: where its quality matters most.

The rule: they are read off the checked conditions, so that no file has to name them twice.
"""

from __future__ import annotations

from worker.language.clauses import Comparison, Constant, Read, clauses
from worker.language.definitions import Checked

__all__ = ["thresholds_of"]


def thresholds_of(checked: Checked) -> dict[str, tuple[float, ...]]:
    """Return the numbers by target, ascending; a target that no condition compares with a number has none."""
    found: dict[str, set[float]] = {target.id: set() for target in checked.definitions.targets}
    for condition in (*checked.enter.values(), *checked.exit.values()):
        for clause in clauses(condition):
            match clause:
                case Comparison(_, Read("probability", str(target)), Constant(float(value))) | Comparison(
                    _, Constant(float(value)), Read("probability", str(target))
                ):
                    found[target].add(value)
                case _:
                    pass
    return {target: tuple(sorted(values)) for target, values in found.items()}
