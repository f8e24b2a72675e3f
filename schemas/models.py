"""The model snapshot: everything that scores users, as plain numbers.

The trainer publishes snapshots, the engine reads them; neither needs the other's code. Features are prepared
alike for targets and clusters: a value that is null or infinite becomes `missing`; with `log` x becomes
sign(x)·log1p(|x|); then x becomes (x - mean) / scale. A target's probability is
1 / (1 + exp(-(weights·x + intercept))), summed from left to right, calibrated, and rounded to 6 decimals.
"""

import hashlib
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

__all__ = ["Snapshot"]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
FeatureName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", examples=["spend_365d", "time_since_order"])]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
CalibrationPoint = Annotated[tuple[Share, Share], Strict(strict=False)]


class _Part(BaseModel):
    """Settings shared by all parts of a snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Feature(_Part):
    """How one feature of the contract becomes a number near zero."""

    name: FeatureName
    log: bool = Field(default=False, description="Take sign(x)·log1p(|x|) before scaling.")
    missing: Finite = Field(default=0.0, description="Stands for null and infinite values, in the feature's unit.")
    mean: Finite = Field(default=0.0, description="Subtracted after `log`.")
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="Divides what is left.")


class Linear(_Part):
    """A logistic regression over the prepared features."""

    weights: list[Finite] = Field(description="One per feature, in the snapshot's order.")
    intercept: Finite = 0.0
    calibration: list[CalibrationPoint] = Field(
        default=[],
        description="(raw, calibrated) probabilities, joined by straight lines, flat beyond both ends; empty: as is.",
    )

    @model_validator(mode="after")
    def _calibration_rises(self) -> Self:
        if any(left[0] >= right[0] or left[1] > right[1] for left, right in pairwise(self.calibration)):
            raise ValueError("calibration points must rise")
        return self


class Clusters(_Part):
    """Named centres in the space of the prepared features."""

    names: list[Identifier] = Field(min_length=1)
    centres: list[list[Finite]] = Field(description="A centre per name, a number per feature.")

    @model_validator(mode="after")
    def _a_centre_per_name(self) -> Self:
        if len(self.names) != len(self.centres):
            raise ValueError("clusters need one centre per name")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names of clusters must differ")
        return self


class Snapshot(_Part):
    """A published model: versioned, hashed, complete, and free of code."""

    version: int = Field(ge=1)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", description="`content_hash` of the rest, in hexadecimal.")
    features: list[Feature] = Field(default=[], description="What targets and clusters read, in this order.")
    targets: dict[Identifier, Linear] = Field(default={}, description="By id of the target.")
    clusters: Clusters | None = None
    quantiles: dict[FeatureName, list[Finite]] = Field(
        default={}, description="By feature: its values among active users at equal steps from 0 to 1, ascending."
    )
    evidence: dict[str, int] = Field(default={}, description="What it was learnt from: counts by name.")

    @property
    def label(self) -> str:
        """The name of this snapshot in outputs: `<version>/<hash>`."""
        return f"{self.version}/{self.hash}"

    @property
    def content_hash(self) -> str:
        """SHA-256, in hexadecimal, over everything but the version and the hash itself."""
        content = self.model_dump_json(exclude={"version", "hash"})
        return hashlib.sha256(content.encode()).hexdigest()

    @model_validator(mode="after")
    def _widths_agree(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("a feature is listed twice")
        rows = [linear.weights for linear in self.targets.values()]
        rows += self.clusters.centres if self.clusters else []
        if any(len(row) != len(names) for row in rows):
            raise ValueError("weights and centres need one number per feature")
        return self

    @model_validator(mode="after")
    def _quantiles_rise(self) -> Self:
        for name, values in self.quantiles.items():
            if len(values) < 2 or any(left > right for left, right in pairwise(values)):
                raise ValueError(f"quantiles of {name} must be two or more, ascending")
        return self
