"""What definitions want learnt of all users: the features they rank by, and clusters."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.definitions import Definitions
from worker.language.clauses import Read, reads
from worker.language.rules import parse
from worker.language.vocabulary import Vocabulary

__all__ = ["wanted"]


class Wanted(NamedTuple):
    """`ranked` in alphabetical order; `clusters` if a segment is made of them or a condition reads `cluster()`."""

    ranked: list[str]
    clusters: bool


def wanted(definitions: Definitions) -> Wanted:
    """Return what checked definitions want."""
    found = [read for text in _conditions(definitions) for read in reads(parse(text, _vocabulary(definitions)))]
    ranked = {read.argument for read in found if read.feature == "percentile" and read.argument}
    clusters = Read("cluster") in found or any(segment.clusters for segment in definitions.segments)
    return Wanted(sorted(ranked), clusters)


def _conditions(definitions: Definitions) -> Iterator[str]:
    for segment in definitions.segments:
        for part in (segment, *(segment.tiers or ())):
            yield from (text for text in (part.enter, part.exit) if text is not None)


def _vocabulary(definitions: Definitions) -> Vocabulary:
    return Vocabulary(
        traits=definitions.traits,
        targets=[target.id for target in definitions.targets],
        segments=[name for segment in definitions.segments for name in (segment.id, *segment.member_ids)],
        clusters=[segment.id for segment in definitions.segments if segment.clusters],
    )
