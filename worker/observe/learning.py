"""The trainer's metrics: how well each model does, what drifts, what was learnt and how far it is behind.

The rule: as the worker's, counters move after a commit and only then. Of a worker's own metrics a trainer has those of
the one partition that it owns: its state, restarts, restores, rebalances.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client.core import Metric

from worker.observe.catalogue import FAMILIES
from worker.observe.metrics import Metrics
from worker.observe.series import Counts, shown

__all__ = ["LearnerMetrics"]

# What a figure is shown as; its labels are the family's.
FIGURES: Mapping[str, str] = {
    "auc": "shoal_model_auc",
    "log_loss": "shoal_model_log_loss",
    "calibration_error": "shoal_model_calibration_error",
    "brier": "shoal_model_brier",
    "n": "shoal_model_scores",
    "precision": "shoal_model_precision",
    "recall": "shoal_model_recall",
    "f1": "shoal_model_f1",
    "accuracy": "shoal_model_accuracy",
    "trait_calibration": "shoal_trait_calibration",
    "trait_selection_rate": "shoal_trait_selection_rate",
    "trait_precision": "shoal_trait_precision",
    "cluster_share": "shoal_cluster_share",
    "feature_psi": "shoal_feature_psi",
    "evidence": "shoal_model_evidence",
    "champion": "shoal_champion",
    "drift_alarms": "shoal_drift_alarms_total",
}


class Figure(Protocol):
    """A number of the learning's, by name and labels."""

    @property
    def name(self) -> str:
        """What it is."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Of what."""

    @property
    def value(self) -> float:
        """How much."""


class LearnerMetrics(Metrics):
    """The metrics of one trainer."""

    def __init__(self) -> None:
        self._taken = Counts("shoal_learner_records_total")
        self._published = Counts("shoal_models_published_total")
        self._changes = Counts("shoal_champion_changes_total")
        self._figures: list[Figure] = []
        self._model: tuple[str, str] | None = None
        self._frozen = False
        self._lag_records = 0
        super().__init__()

    def learnt(self, taken: Mapping[tuple[str, str], int], model: tuple[int, str] | None,
               figures: Iterable[Figure], decisions: Sequence[Mapping[str, Any]] = ()) -> None:  # fmt: skip
        """Count what one transaction made true: records by (topic, result), a model's version and hash, decisions."""
        for labels, count in taken.items():
            self._taken.add(*labels, count=count)
        self._figures = list(figures)
        if model is not None:
            self._model = str(model[0]), model[1]
            self._published.add()
        for figure in self._figures:
            if figure.name == "champion":
                for change in ("promoted", "rolled_back"):
                    self._changes.add(figure.labels["target"], change, count=0)
        changes = [decided for decided in decisions if decided["kind"] in ("promoted", "rolled_back")]
        self._changes.add_all((decided["target"], decided["kind"]) for decided in changes)

    def learns(self, lag_records: int, *, frozen: bool) -> None:
        """Say how the trainer stands."""
        self._lag_records, self._frozen = lag_records, frozen

    def _collected(self) -> Iterator[Metric]:
        for counts in (self._taken, self._published, self._changes):
            yield counts.collected()
        yield from self._figures_shown()
        yield shown("shoal_learner_lag_records", {(): self._lag_records})
        yield shown("shoal_models_frozen", {(): float(self._frozen)})
        yield shown("shoal_model_info", {self._model: 1} if self._model else {})
        yield from self._shared()

    def _figures_shown(self) -> Iterator[Metric]:
        """The figures, each under its family; one without a family is left out."""
        series: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in FIGURES.values()}
        for figure in self._figures:
            if figure.name in FIGURES:
                name = FIGURES[figure.name]
                labels = tuple(figure.labels.get(label, "") for label in FAMILIES[name].labels)
                series[name][labels] = figure.value
        for name, values in series.items():
            yield shown(name, values)
