"""A model snapshot as the tables of the pass: what is scored from, linear targets, clusters, quantiles."""

from typing import Any

import numpy as np

from schemas.models import Snapshot
from worker.core.interning import Strings
from worker.core.lowering import Lowering, Row
from worker.core.tables import table
from worker.language.clauses import Read

__all__ = ["ModelTables"]


class ModelTables:
    """The part of a program that is the model's; without a model all of it is empty."""

    def __init__(self, model: Snapshot | None, lowering: Lowering) -> None:
        self.model = model
        self.lowering = lowering
        self.targets = list(model.targets) if model else []
        self.quantiles = model.quantiles if model else {}

    def inputs(self) -> list[Row]:
        """Lower the model's features, where something is scored from them."""
        if self.model is None or not any("target" in row or row["column"] == "cluster"
                                         for row in self.lowering.samples.values()):  # fmt: skip
            return []
        rows = []
        for entry in self.model.features:
            first, last = self.lowering.expression(Read(entry.name, None), sampling=True)
            rows.append({"first": first, "last": last, "log": int(entry.log), "missing": entry.missing,
                         "mean": entry.mean, "scale": entry.scale})  # fmt: skip
        return rows

    def samples(self) -> list[Row]:
        """Point percentiles at their quantiles and probabilities at their target, -1 where the model has none."""
        rows = []
        starts = self._quantile_ranges()
        for sampled in self.lowering.samples.values():
            row = dict(sampled)
            if "quantiles" in row:
                row["low"], row["high"] = starts.get(row.pop("quantiles"), (-1, -1))
            if "target" in row:
                target = row.pop("target")
                row["first"] = self.targets.index(target) if target in self.targets else -1
            rows.append(row)
        return rows

    def _quantile_ranges(self) -> dict[str, tuple[int, int]]:
        ranges, start = {}, 0
        for name, values in self.quantiles.items():
            ranges[name] = (start, start + len(values))
            start += len(values)
        return ranges

    def arrays(self, strings: Strings, cluster_units: list[str]) -> dict[str, Any]:
        """Return the arrays of the model by their name in `Program`; `cluster_units` are the segments of clusters."""
        model = self.model
        targets = list(model.targets.values()) if model else []
        points = [point for target in targets for point in target.calibration]
        ends = np.cumsum([len(target.calibration) for target in targets], dtype=np.int64).tolist()
        names = model.clusters.names if model and model.clusters else []
        centres = model.clusters.centres if model and model.clusters else []
        width = len(model.features) if model else 0
        return {
            "weights": np.array([target.weights for target in targets], np.float64).reshape(len(targets), width),
            "targets": table("targets", [
                {"first": ends[place] - len(target.calibration), "last": ends[place], "intercept": target.intercept}
                for place, target in enumerate(targets)
            ]),
            "calibration": np.array(points, np.float64).reshape(-1, 2),
            "centres": np.array(centres, np.float64).reshape(len(names), width),
            "clusters": np.array([strings.number(name) for name in names], np.int64),
            "cluster_segments": np.array(
                [[strings.number(f"{unit}:{name}") for name in names] for unit in cluster_units], np.int64
            ).reshape(len(cluster_units), len(names)),
            "quantiles": np.array([value for values in self.quantiles.values() for value in values], np.float64),
        }  # fmt: skip
