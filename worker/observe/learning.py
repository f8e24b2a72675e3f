"""The trainer's metrics: how well each model does, what drifts, what was learnt and how far it is behind.

The rule: as the worker's, counters move after a commit and only then. Of a worker's own metrics a trainer has those of
the one partition that it owns: restarts, restores, rebalances.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from worker.observe.metrics import Metrics
from worker.observe.series import Counts

__all__ = ["LearnerMetrics"]

# What a figure is shown as: the metric, its meaning, its labels.
GAUGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "auc": ("shoal_model_auc", "Area under the ROC curve of honest scores.", ("target", "model")),
    "log_loss": ("shoal_model_log_loss", "Mean log loss of honest scores.", ("target", "model")),
    "calibration_error": (
        "shoal_model_calibration_error", "Mean distance of probability and frequency.", ("target", "model")
    ),
    "brier": ("shoal_model_brier", "Mean squared error of honest scores.", ("target", "model")),
    "n": ("shoal_model_scores", "Honest scores that the others are over.", ("target", "model")),
    "precision": ("shoal_model_precision", "Share of positives above a threshold.", ("target", "model", "threshold")),
    "recall": ("shoal_model_recall", "Share of the positives that is above it.", ("target", "model", "threshold")),
    "f1": ("shoal_model_f1", "Harmonic mean of the two.", ("target", "model", "threshold")),
    "accuracy": ("shoal_model_accuracy", "Share on the right side of it.", ("target", "model", "threshold")),
    "trait_calibration": (
        "shoal_trait_calibration", "Mean live score less rate of positives, by trait.", ("target", "trait", "value")
    ),
    "trait_selection_rate": (
        "shoal_trait_selection_rate", "Share of a trait's value that is above a threshold.",
        ("target", "trait", "value", "threshold"),
    ),
    "trait_precision": (
        "shoal_trait_precision", "Share of positives among these.", ("target", "trait", "value", "threshold")
    ),
    "cluster_share": ("shoal_cluster_share", "Share of the active users in the cluster.", ("cluster",)),
    "feature_psi": ("shoal_feature_psi", "Population stability index against the reference.", ("feature",)),
    "evidence": ("shoal_model_evidence", "Samples that a target's models have learnt.", ("target", "kind")),
}  # fmt: skip
ALARMS = "drift_alarms"


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
        self._taken = Counts(
            "shoal_learner_records", "Records learnt from, by topic and what became of them.", ("topic", "result")
        )
        self._published = Counts("shoal_models_published", "Models published.", begin=[()])
        self._figures: list[Figure] = []
        self._model: tuple[int, str] | None = None
        self._frozen = False
        self._lag_records = 0
        super().__init__()

    def learnt(self, taken: Mapping[tuple[str, str], int], model: tuple[int, str] | None,
               figures: Iterable[Figure]) -> None:  # fmt: skip
        """Count what one transaction made true: records by (topic, result), and a model's version and hash."""
        for labels, count in taken.items():
            self._taken.add(*labels, count=count)
        self._figures = list(figures)
        if model is not None:
            self._model = model
            self._published.add()

    def stands(self, lag_records: int, *, frozen: bool) -> None:
        """Say how the trainer stands."""
        self._lag_records, self._frozen = lag_records, frozen

    def collect(self) -> Iterator[Metric]:
        """Yield every family; the registry calls this."""
        for counts in (self._taken, self._published, self._restarts, self._rebalances):
            yield counts.family()
        yield self._restore.family()
        yield from self._families()
        yield GaugeMetricFamily("shoal_learner_lag_records", "Records that are yet to be learnt.", self._lag_records)
        yield GaugeMetricFamily("shoal_models_frozen", "1 while no model is to be published.", float(self._frozen))
        yield self._model_family()
        yield self._build_family()

    def _model_family(self) -> Metric:
        family = InfoMetricFamily("shoal_model", "The latest model that was published.", labels=("version", "hash"))
        if self._model is not None:
            version, named = self._model
            family.add_metric((), {"version": str(version), "hash": named})
        return family

    def _families(self) -> Iterator[Metric]:
        """The figures, each under its metric; one without a metric is left out."""
        families = {
            figure: GaugeMetricFamily(name, meaning, labels=labels)
            for figure, (name, meaning, labels) in GAUGES.items()
        }
        alarms = CounterMetricFamily("shoal_drift_alarms", "Alarms over drift.", labels=("kind", "name"))
        for figure in self._figures:
            if figure.name == ALARMS:
                alarms.add_metric([figure.labels["kind"], figure.labels["name"]], figure.value)
            elif figure.name in families:
                labels = [figure.labels.get(label, "") for label in GAUGES[figure.name][2]]
                families[figure.name].add_metric(labels, figure.value)
        yield from families.values()
        yield alarms
