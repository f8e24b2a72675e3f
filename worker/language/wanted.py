"""What definitions want learnt: targets, the numbers their probabilities are compared with, ranked features, clusters.

The rule: all of it is read off the checked conditions, here and nowhere else, so that no file has to name it twice.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.definitions import Target
from worker.language.clauses import Comparison, Condition, Constant, Read, clauses, reads
from worker.language.definitions import Checked

__all__ = ["Wanted", "wanted"]


class Wanted(NamedTuple):
    """`thresholds` ascend, by target; `ranked` is in alphabetical order.

    `clusters` if a segment is made of them or a condition reads `cluster()`.
    """

    targets: Sequence[Target]
    traits: Sequence[str]
    thresholds: Mapping[str, Sequence[float]]
    ranked: Sequence[str]
    clusters: bool


def wanted(checked: Checked) -> Wanted:
    """Return what checked definitions want."""
    definitions, conditions = checked.definitions, [*checked.enter.values(), *checked.exit.values()]
    found = [read for condition in conditions for read in reads(condition)]
    clusters = Read("cluster") in found or any(segment.clusters for segment in definitions.segments)
    return Wanted(
        targets=definitions.targets,
        traits=definitions.traits,
        thresholds=_thresholds([target.id for target in definitions.targets], conditions),
        ranked=sorted({read.argument for read in found if read.feature == "percentile" and read.argument}),
        clusters=clusters,
    )


def _thresholds(targets: Sequence[str], conditions: Sequence[Condition]) -> dict[str, tuple[float, ...]]:
    """Return the numbers by target; one that no condition compares with a number has none."""
    found: dict[str, set[float]] = {target: set() for target in targets}
    for condition in conditions:
        for clause in clauses(condition):
            match clause:
                case Comparison(_, Read("probability", str(target)), Constant(float(value))) | Comparison(
                    _, Constant(float(value)), Read("probability", str(target))
                ):
                    found[target].add(value)
                case _:
                    pass
    return {target: tuple(sorted(values)) for target, values in found.items()}
