"""The model snapshot: everything that scores users, as plain numbers, and how one is read from untrusted bytes.

The trainer publishes snapshots, the engine reads them; neither needs the other's code. Features are prepared
alike for targets and clusters: a value that is null or infinite becomes `missing`; with `log` x becomes
sign(x)·log1p(|x|); then x becomes (x - mean) / scale. A linear target's raw probability is
1 / (1 + exp(-(weights·x + intercept))), summed from left to right; that of trees is the mean of the leaves that x
reaches. Both are calibrated and rounded to 6 decimals.
"""

import hashlib
from collections.abc import Container, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from schemas.model_parts import (
    FEATURES_MAX,
    WHOLE_MAX,
    Clusters,
    Decision,
    Evidence,
    Feature,
    FeatureName,
    Finite,
    Identifier,
    Linear,
    Metrics,
    Part,
    Reference,
    Target,
    Training,
    Trees,
    ascends,
)

__all__ = ["SNAPSHOT_BYTES_MAX", "Refusal", "RefusedSnapshot", "Snapshot", "read_snapshot", "sealed"]

SNAPSHOT_BYTES_MAX = 900_000  # a record is 1 MB at most, with its key and headers

Refusal = Literal["too_large", "malformed", "not_finite", "wrong_hash", "other_schema", "older"]


class RefusedSnapshot(ValueError):  # noqa: N818  what happened to it
    """A snapshot that can't be used: `reason` for counting, the message for people."""

    def __init__(self, reason: Refusal, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Snapshot(Part):
    """A published model: versioned, hashed, complete, and free of code."""

    version: int = Field(ge=1, le=WHOLE_MAX)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="`content_hash` of the rest, in hexadecimal.")
    feature_schema: str = Field(
        default="", pattern=r"^([0-9a-f]{16})?$", description="Tells which features samples had; others are refused."
    )
    features: list[Feature] = Field(
        default=[], max_length=FEATURES_MAX, description="What targets and clusters without inputs of their own read."
    )
    targets: dict[Identifier, Target] = Field(default={}, max_length=8, description="By id of the target.")
    clusters: Clusters | None = None
    quantiles: dict[FeatureName, Annotated[list[Finite], Field(min_length=2, max_length=1_001)]] = Field(
        default={},
        max_length=64,
        description="By feature: its values among active users at equal steps from 0 to 1, ascending.",
    )
    reference: dict[FeatureName, Reference] = Field(default={}, max_length=FEATURES_MAX, description="By feature.")
    evidence: dict[Identifier, Evidence] = Field(default={}, max_length=8, description="By id of the target.")
    training: Training | None = None
    metrics: dict[Identifier, Annotated[dict[Identifier, Metrics], Field(max_length=16)]] = Field(
        default={}, max_length=8, description="By id of the target and name of the model."
    )
    decisions: list[Decision] = Field(
        default=[], max_length=50, description="The latest promotions, rollbacks, refits and alarms."
    )

    @property
    def label(self) -> str:
        """The name of this snapshot in outputs: `<version>/<hash>`."""
        return f"{self.version}/{self.hash}"

    @property
    def content_hash(self) -> str:
        """SHA-256, in hexadecimal, over everything but the version and the hash itself.

        What is at its default is left out, so that a later release with more members reads today's hashes.
        """
        content = self.model_dump_json(exclude={"version", "hash"}, exclude_defaults=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def inputs_of(self, part: Linear | Trees | Clusters) -> list[Feature]:
        """Return what a target or the clusters read."""
        return part.inputs or self.features

    @property
    def parts(self) -> list[Linear | Trees | Clusters]:
        """All that is scored."""
        return [*self.targets.values(), *([self.clusters] if self.clusters else [])]

    @property
    def feature_names(self) -> list[str]:
        """What its parts read, in order, each once."""
        lists = (self.features, *(part.inputs for part in self.parts))
        return list(dict.fromkeys(feature.name for inputs in lists for feature in inputs))

    @model_validator(mode="after")
    def _parts_fit_their_inputs(self) -> Self:
        for inputs in (self.features, *(part.inputs for part in self.parts)):
            if len({feature.name for feature in inputs}) != len(inputs):
                raise ValueError("a feature is listed twice")
        if not all(part.fits(len(self.inputs_of(part))) for part in self.parts):
            raise ValueError("weights and centres need one number per feature, and trees features that there are")
        return self

    @model_validator(mode="after")
    def _quantiles_ascend(self) -> Self:
        if not all(map(ascends, self.quantiles.values())):
            raise ValueError("quantiles must ascend")
        return self


def sealed(version: int, content: Mapping[str, Any]) -> Snapshot:
    """Return a snapshot of this content under its own hash. Raises ValidationError if the content is wrong."""
    draft = Snapshot.model_validate({**content, "version": version, "hash": "0" * 64})
    return draft.model_copy(update={"hash": draft.content_hash})


def read_snapshot(
    data: bytes, *, newer_than: int | None, feature_schema: str, known: Container[str] | None = None
) -> Snapshot:
    """Return the snapshot in these bytes, whoever wrote them; raises RefusedSnapshot and nothing else.

    `newer_than` is the version that runs (None: none does), `feature_schema` that of the release, and `known` are the
    features that it can read (None: whatever the schema has).
    """
    if len(data) > SNAPSHOT_BYTES_MAX:
        raise RefusedSnapshot("too_large", f"It has {len(data):,} bytes, and {SNAPSHOT_BYTES_MAX:,} are the limit.")
    try:
        snapshot = Snapshot.model_validate_json(data)
    except ValidationError as error:
        raise _refused(error) from None
    if snapshot.hash != snapshot.content_hash:
        raise RefusedSnapshot("wrong_hash", "Its content isn't what its hash says: it was changed on the way.")
    if snapshot.feature_schema != feature_schema:
        raise RefusedSnapshot(
            "other_schema", f"It reads features {snapshot.feature_schema or 'of no schema'}, not {feature_schema}."
        )
    for name in snapshot.feature_names:
        if known is not None and name not in known:
            raise RefusedSnapshot("other_schema", f"It reads {name}, which this release doesn't know.")
    if newer_than is not None and snapshot.version <= newer_than:
        raise RefusedSnapshot("older", f"It is version {snapshot.version}, and {newer_than} runs already.")
    return snapshot


def _refused(error: ValidationError) -> RefusedSnapshot:
    """Tell the first mistake; numbers that aren't finite come before others."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    wild = [mistake for mistake in mistakes if mistake["type"] == "finite_number"]
    first = (wild or mistakes)[0]
    place = ".".join(map(str, first["loc"])) or "the record"
    more = f" (and {len(mistakes) - 1:,} more)" if len(mistakes) > 1 else ""
    return RefusedSnapshot("not_finite" if wild else "malformed", f"At {place}: {first['msg']}{more}.")
