"""The figures of `shoal bench learning` as tables for people; what was wanted stands beside."""

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Group
from rich.table import Table

__all__ = ["as_table"]

Data = dict[str, Any]
COLUMNS: Final = (
    ("auc", "AUC"), ("log_loss", "loss"), ("brier", "Brier"), ("ece", "ECE"), ("live_auc", "live AUC"),
    ("live_log_loss", "loss"), ("live_ece", "ECE"),
)  # fmt: skip
LEGEND: Final = (
    "Over the same samples for all: those that everybody scored; live: those of them that the champion had scored, "
    "too. champion: what users were scored with; the learners go along, the others are scikit-learn's, refitted on "
    "what is resolved by then, or (matured) past its horizon. loss: log loss; ECE: calibration error over ten "
    "bins of equal counts."
)
CLUSTERS: Final = (
    ("silhouette", "silhouette (higher is better)"), ("batch_silhouette", "  k-means refitted weekly"),
    ("davies_bouldin", "Davies-Bouldin (lower is better)"), ("batch_davies_bouldin", "  k-means refitted weekly"),
    ("kept", "users whose name is the same a week later"), ("names_kept", "names that are there a week later"),
    ("rand_index", "adjusted Rand index with the true types"),
)  # fmt: skip


def as_table(result: Data) -> Group:
    """Return a table per target, the clusters of each set, the speed, and what was measured on."""
    tables: list[Any] = []
    for data in result["sets"]:
        tables += [_target(data, target) for target in data["targets"]]
        tables += [_clusters(data)] if data["clusters"] else [f"{data['name']}: there were never clusters"]
    measured_on = result["machine"]
    where = f"{measured_on['processor']}, {measured_on['cores']} cores, Python {measured_on['python']}"
    return Group(*tables, *_speed(result["speed"]), LEGEND, where)


def _target(data: Data, target: Data) -> Table:
    title = (
        f"{data['name']}, {target['target']}: {target['compared']:,} of {target['samples']:,} samples, "
        f"{target['positives']:,} positive, {target['live']:,} live; refits every {data['refit_days']} d"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("")
    for _, name in COLUMNS:
        table.add_column(name, justify="right")
    for model, measures in target["models"].items():
        table.add_row(model, *(_number(measures.get(field)) for field, _ in COLUMNS))
    return table


def _clusters(data: Data) -> Table:
    found = data["clusters"]
    title = f"{data['name']}: {found['k']} clusters, {found['weeks']} weeks"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("")
    table.add_column("", justify="right")
    for field, name in CLUSTERS:
        table.add_row(name, _number(found[field]))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _speed(speed: Data) -> Iterator[str]:
    yield f"linear learner: {speed['linear_samples_per_second']:,} samples/s on one core (wanted: 50,000)"
    yield f"the whole field: {speed['field_samples_per_second']:,} samples/s (wanted: 1,000)"
    scoring = speed["scoring"]
    if scoring:
        yield (
            f"scoring adds {scoring['added_us']} µs of CPU per event (wanted: at most 1): the pass takes "
            f"{scoring['without_us']} without a model and {scoring['with_us']} with one"
        )
