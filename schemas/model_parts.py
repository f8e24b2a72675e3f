"""What a model snapshot is made of: prepared features, targets, clusters, references, metrics.

Every list, text and number has a limit, so that no snapshot can stall the pass or make it compute what isn't a number.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

__all__ = [
    "FEATURES_MAX", "WHOLE_MAX", "Clusters", "Decision", "Evidence", "Feature", "FeatureName", "Finite", "Identifier",
    "Linear", "Metrics", "Part", "Reference", "Target", "Training", "Trees", "ascends",
]  # fmt: skip

FEATURES_MAX = 256
NODES_MAX = 20_000
DEPTH_MAX = 64
SIZE_MAX = 1e18  # so large that nothing is lost, so small that no sum or square overflows
SCALE_MIN = 1e-12
WHOLE_MAX = 2**53 - 1  # what every reader of JSON takes for a whole number

Finite = Annotated[float, Field(ge=-SIZE_MAX, le=SIZE_MAX, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=SCALE_MIN, le=SIZE_MAX, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=SIZE_MAX, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=WHOLE_MAX)]
FeatureName = Annotated[
    str, Field(max_length=64, pattern=r"^[a-z][a-z0-9_]*$", examples=["spend_365d", "time_since_order"])
]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, Field(max_length=200)]
_Scalar = Text | Annotated[int, Field(ge=-WHOLE_MAX, le=WHOLE_MAX)] | Finite | bool | None
_Numbers = Annotated[dict[Identifier, _Scalar], Field(max_length=32)]
Decision = Annotated[dict[Identifier, _Scalar | _Numbers], Field(max_length=32)]
Rising = Annotated[tuple[Share, Share], Strict(strict=False)]


def ascends(values: Sequence[float]) -> bool:
    """Whether no value is less than the one before it."""
    return all(left <= right for left, right in pairwise(values))


class Part(BaseModel):
    """Settings shared by all parts of a snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Feature(Part):
    """How one feature becomes a number near zero."""

    name: FeatureName
    log: bool = Field(default=False, description="Take sign(x)·log1p(|x|) before scaling.")
    missing: Finite = Field(default=0.0, description="Stands for null and infinite values, in the feature's unit.")
    mean: Finite = Field(default=0.0, description="Subtracted after `log`.")
    scale: Positive = Field(default=1.0, description="Divides what is left.")
    limit: Positive | None = Field(default=None, description="What is farther from 0 by then counts as that far.")


Inputs = Annotated[
    list[Feature], Field(max_length=FEATURES_MAX, description="What is read, in order; empty: the snapshot's own.")
]


class _Target(Part):
    """What all kinds of targets have."""

    inputs: Inputs = []
    calibration: list[Rising] = Field(
        default=[],
        max_length=1_000,
        description="(raw, calibrated) probabilities, joined by straight lines, flat beyond both ends; empty: as is.",
    )

    @model_validator(mode="after")
    def _calibration_rises(self) -> Self:
        if any(left[0] >= right[0] or left[1] > right[1] for left, right in pairwise(self.calibration)):
            raise ValueError("calibration points must rise")
        return self


class Linear(_Target):
    """A logistic regression over the prepared features."""

    kind: Literal["linear"]
    weights: list[Finite] = Field(max_length=FEATURES_MAX, description="One per input, in order.")
    intercept: Finite = 0.0

    def fits(self, width: int) -> bool:
        """Whether it can be scored over so many inputs."""
        return len(self.weights) == width


class Trees(_Target):
    """One decision tree or many, their nodes in common lists; children come after their parents."""

    kind: Literal["trees"]
    feature: list[int] = Field(max_length=NODES_MAX, description="The place among the inputs; -1 for a leaf.")
    threshold: list[Finite] = Field(max_length=NODES_MAX, description="It goes left where x <= threshold.")
    left: list[int] = Field(max_length=NODES_MAX, description="The node to the left; -1 for a leaf.")
    right: list[int] = Field(max_length=NODES_MAX, description="The node to the right; -1 for a leaf.")
    value: list[Share] = Field(max_length=NODES_MAX, description="A leaf's probability; a split's mean of its own.")
    roots: list[int] = Field(min_length=1, max_length=100, description="Where each tree begins.")

    def fits(self, width: int) -> bool:
        """Whether it can be scored over so many inputs."""
        return all(feature < width for feature in self.feature)

    @model_validator(mode="after")
    def _nodes_are_trees(self) -> Self:
        size = len(self.value)
        if any(len(nodes) != size for nodes in (self.feature, self.threshold, self.left, self.right)):
            raise ValueError("the lists of nodes must be of one length")
        if not all(0 <= root < size for root in self.roots):
            raise ValueError("a root is no node")
        height = [0] * size
        for node in reversed(range(size)):
            children = (self.left[node], self.right[node])
            if self.feature[node] == -1 and children == (-1, -1):
                continue
            if self.feature[node] < 0 or not all(node < child < size for child in children):
                raise ValueError("a split needs a feature and two children that come after it")
            height[node] = 1 + max(height[child] for child in children)
        if max(height) > DEPTH_MAX:
            raise ValueError(f"trees are at most {DEPTH_MAX} splits deep")
        return self


Target = Annotated[Linear | Trees, Field(discriminator="kind")]


class Difference(Part):
    """A feature by which a cluster stands out."""

    feature: FeatureName
    deviations: Finite = Field(description="How far its centre is from everybody's mean, in standard deviations.")


class Card(Part):
    """A cluster in words and numbers, for people."""

    title: Text = ""
    size: Share = Field(description="Its share of the active users.")
    trend: Finite = Field(default=0.0, description="How much that share has changed within a week.")
    centre: dict[FeatureName, Finite] = Field(
        default={}, max_length=FEATURES_MAX, description="In the features' units."
    )
    different: list[Difference] = Field(default=[], max_length=FEATURES_MAX, description="Strongest first.")


class Clusters(Part):
    """Named centres in the space of the prepared features."""

    inputs: Inputs = []
    names: list[Identifier] = Field(min_length=1, max_length=64)
    centres: list[list[Finite]] = Field(max_length=64, description="A centre per name, a number per input.")
    cards: dict[Identifier, Card] = Field(default={}, max_length=64, description="By name.")

    def fits(self, width: int) -> bool:
        """Whether distances can be taken over so many inputs."""
        return all(len(centre) == width for centre in self.centres)

    @model_validator(mode="after")
    def _a_centre_per_name(self) -> Self:
        if len(self.names) != len(self.centres):
            raise ValueError("clusters need one centre per name")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names of clusters must differ")
        if not set(self.cards) <= set(self.names):
            raise ValueError("a card is of no cluster")
        return self


class Reference(Part):
    """How a feature was spread when the model was learnt: the shares between edges, the first and last open-ended."""

    edges: list[Finite] = Field(max_length=100)
    shares: list[Share] = Field(max_length=101, description="One more than edges.")

    @model_validator(mode="after")
    def _shares_lie_between_edges(self) -> Self:
        if len(self.shares) != len(self.edges) + 1 or not ascends(self.edges):
            raise ValueError("edges must ascend, and shares be one more")
        return self


class Evidence(Part):
    """What a target was learnt from."""

    samples: Count
    positives: Count


class Training(Part):
    """The times of what was learnt, in ms since the epoch."""

    from_ms: Count
    until_ms: Count


class Metrics(Part):
    """How a model did on the latest samples, each scored before it was learnt from; null while there are too few."""

    auc: Share | None = None
    log_loss: NotNegative | None = None
    brier: Share | None = None
    ece: Share | None = None
    n: Count
