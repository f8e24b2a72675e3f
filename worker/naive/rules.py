"""The naive twin's definitions: plain YAML data, with the conditions parsed and everything put in its order.

The data is known to be valid; nothing is checked here. The list of observed features is data too, taken as it is.
"""

from dataclasses import dataclass, field
from typing import Any

from worker.language.observed import OBSERVED
from worker.naive.calendar import duration_ms
from worker.naive.conditions import (
    Condition,
    Expression,
    Member,
    Read,
    clauses_of,
    number,
    parse,
    reads_of,
    samples_of,
    sides_of,
)
from worker.naive.features import LASTING, ledgers_of
from worker.naive.scoring import features_of

__all__ = ["EXPRESSIONS", "Leaf", "Rules", "Segment"]

EXPRESSIONS: dict[str, Expression] = {each.name: number(each.expression) for each in OBSERVED}


@dataclass
class Leaf:
    """What a user can be a member of: a segment or a tier."""

    id: str
    enter: Condition
    exit: Condition | None
    min_dwell_ms: int


@dataclass
class Segment:
    """A segment as written: one leaf, or tiers in order, or clusters (no leaves)."""

    id: str
    leaves: list[Leaf] = field(default_factory=list)
    tiered: bool = False
    clusters: bool = False
    min_dwell_ms: int = 0

    @property
    def conditions(self) -> list[Condition]:
        """All its conditions."""
        return [c for leaf in self.leaves for c in (leaf.enter, leaf.exit) if c is not None]


def segment_of(data: dict[str, Any]) -> Segment:
    """One segment of the definitions."""
    dwell = duration_ms(data.get("min_dwell"))
    segment = Segment(
        data["id"], clusters=bool(data.get("clusters")), tiered=bool(data.get("tiers")), min_dwell_ms=dwell
    )
    for part in data.get("tiers") or ([data] if data.get("enter") else []):
        own = duration_ms(part["min_dwell"]) if part.get("min_dwell") is not None else dwell
        name = f"{data['id']}:{part['id']}" if segment.tiered else data["id"]
        leave = part.get("exit")
        segment.leaves.append(Leaf(name, parse(part["enter"]), parse(leave) if leave else None, own))
    return segment


def in_order(segments: list[Segment]) -> list[Segment]:
    """The order of evaluation: repeatedly the first in the file whose reads are done."""
    waiting, done = list(segments), list[Segment]()
    while waiting:
        names = {segment.id for segment in done}
        ready = next(s for s in waiting if members_read(s) <= names)
        waiting.remove(ready)
        done.append(ready)
    return done


def members_read(segment: Segment) -> set[str]:
    """The segments that a segment's conditions ask for by `member`."""
    clauses = [clause for condition in segment.conditions for clause in clauses_of(condition)]
    return {clause.segment.split(":")[0] for clause in clauses if isinstance(clause, Member)}


class Rules:
    """A version of the definitions together with the model that is live beside it."""

    def __init__(self, definitions: dict[str, Any], definition_hash: str, model: dict[str, Any] | None) -> None:
        self.data, self.hash, self.model = definitions, definition_hash, model
        self.label = f"{definitions['version']}/{definition_hash}"
        self.model_label = f"{model['version']}/{model['hash']}" if model else None
        self.timezone: str = definitions.get("timezone", "UTC")
        self.currency: str = definitions.get("currency", "EUR")
        self.salt: str = str((definitions.get("holdout") or {}).get("salt", ""))
        self.file_order = [segment_of(segment) for segment in definitions["segments"]]
        self.segments = in_order(self.file_order)
        self.leaves = {leaf.id: leaf for segment in self.segments for leaf in segment.leaves}
        self.campaigns_in_file: list[dict[str, Any]] = definitions.get("campaigns") or []
        self.campaigns = sorted(self.campaigns_in_file, key=lambda campaign: -campaign.get("priority", 0))
        self.targets: list[dict[str, Any]] = definitions.get("targets") or []
        self.caps: list[dict[str, Any]] = definitions.get("caps") or []
        clauses = [c for s in self.segments for condition in s.conditions for c in clauses_of(condition)]
        self.clauses = list(dict.fromkeys(clauses))
        sides = [side for clause in self.clauses for side in sides_of(clause)]
        self.samples: list[Expression] = list(dict.fromkeys(part for side in sides for part in samples_of(side)))
        if any(segment.clusters for segment in self.segments) and Read("cluster") not in self.samples:
            self.samples.append(Read("cluster"))

    @property
    def ranked(self) -> list[str]:
        """The features that something asks a percentile of."""
        reads = [read for clause in self.clauses for side in sides_of(clause) for read in reads_of(side)]
        return sorted({read.argument or "" for read in reads if read.feature == "percentile"})

    @property
    def is_watched(self) -> bool:
        """Whether there is anything to learn from users."""
        return bool(self.targets or self.ranked or self.reads_clusters)

    @property
    def channels(self) -> set[str]:
        """The channels whose consents are kept."""
        parts = [*self.campaigns_in_file, *self.caps]
        return {"email", "push", "sms", *(part["channel"] for part in parts if part.get("channel"))}

    @property
    def reads_clusters(self) -> bool:
        """Whether anything asks for a user's cluster."""
        return Read("cluster") in self.samples

    def ledger_names(self) -> list[str]:
        """The names of all ledgers that are kept: the lasting ones, and the windows that are read."""
        reads = [read for clause in self.clauses for side in sides_of(clause) for read in reads_of(side)]
        names = set(LASTING) | {name for read in reads for name in ledgers_of(read.feature)}
        for read in reads:
            if read.feature == "percentile" and read.argument:
                names.update(ledgers_of(read.argument))
        if self.is_watched:
            for expression in EXPRESSIONS.values():
                names.update(name for read in reads_of(expression) for name in ledgers_of(read.feature))
        if self.model and any(
            read.feature in ("probability", "cluster") for read in [*reads, *self.samples] if isinstance(read, Read)
        ):
            learnt = [EXPRESSIONS.get(feature, Read(feature)) for feature in features_of(self.model)]
            names.update(name for part in learnt for read in reads_of(part) for name in ledgers_of(read.feature))
        if self.campaigns_in_file:
            names.add("recent")
        return sorted(names)

    def is_leaf(self, name: str) -> bool:
        """Whether a member of `name` under an earlier version can stay one."""
        group = name.split(":", maxsplit=1)[0]
        return name in self.leaves or any(s.clusters and s.id == group and name != group for s in self.segments)
