"""A model snapshot as the tables of the pass: what is scored from, targets, clusters, quantiles."""

import math
from itertools import accumulate
from typing import Any

import numpy as np

from schemas.model_parts import Clusters, Feature, Linear, Trees
from schemas.models import Snapshot
from worker.core.interning import Strings
from worker.core.lowering import Lowering, Row
from worker.core.scoring import LINEAR, TREES
from worker.core.tables import Table, table
from worker.language.observed import expression_of

__all__ = ["ModelTables"]

Range = tuple[int, int]


class ModelTables:
    """The part of a program that is the model's; without a model all of it is empty."""

    def __init__(self, model: Snapshot | None, lowering: Lowering) -> None:
        self.model = model
        self.lowering = lowering
        self.targets = model.targets if model else {}
        self.clusters = model.clusters if model else None
        self.quantiles = model.quantiles if model else {}
        self.sampled = 0  # how many of the values, the first ones, conditions need
        self._ranges: dict[tuple[Feature, ...], Range] = {}
        self._places: dict[tuple[str, bool, float], int] = {}

    def inputs(self, *, scored: bool) -> dict[str, list[Row]]:
        """Lower the model's inputs, where something is scored from them: samples (`scored`), or conditions.

        Returns `values`, read from a row and seldom different between parts, and `inputs`, which scale them.
        """
        read = [part for part in (self.model.parts if self.model else []) if self._is_read(part)]
        values: list[Row] = []
        inputs: list[Row] = []
        for part in read:
            self._lower(part, values, inputs)
        self.sampled = len(values)
        for part in self.model.parts if self.model and (scored or self._is_any_read()) else []:
            self._lower(part, values, inputs)
        return {"values": values, "inputs": inputs}

    def _is_any_read(self) -> bool:
        return any("target" in row or row["column"] == "cluster" for row in self.lowering.samples.values())

    def _is_read(self, part: Linear | Trees | Clusters) -> bool:
        """Return whether a condition reads it."""
        if part is self.clusters:
            return "cluster" in self.lowering.samples
        named = {row.get("target") for row in self.lowering.samples.values()}
        return any(target is part and name in named for name, target in self.targets.items())

    def _lower(self, part: Linear | Trees | Clusters, values: list[Row], inputs: list[Row]) -> None:
        """Append the inputs of a part and the values they need, each once."""
        features = tuple(self.model.inputs_of(part)) if self.model else ()
        if features in self._ranges:
            return
        self._ranges[features] = (len(inputs), len(inputs) + len(features))
        for entry in features:
            read = (entry.name, entry.log, entry.missing)
            if read not in self._places:
                self._places[read] = len(values)
                values.append(self._value(entry))
            limit = math.inf if entry.limit is None else entry.limit
            inputs.append({"value": self._places[read], "mean": entry.mean, "scale": entry.scale, "limit": limit})

    def _value(self, entry: Feature) -> Row:
        first, last = self.lowering.expression(expression_of(entry.name), sampling=True)
        return {"name": self.lowering.strings.number(entry.name), "first": first, "last": last, "log": int(entry.log),
                "missing": entry.missing}  # fmt: skip

    def _range(self, part: Linear | Trees | Clusters) -> Range:
        assert self.model is not None, "a part is a model's"
        return self._ranges.get(tuple(self.model.inputs_of(part)), (0, 0))

    def place_of(self, target: str) -> int:
        """Return the place of a target in the model, -1 if it has no such."""
        return list(self.targets).index(target) if target in self.targets else -1

    def samples(self) -> list[Row]:
        """Point percentiles at their quantiles, probabilities at their target, -1 where the model has none, and the
        cluster at its inputs.
        """
        rows = []
        starts = self._quantile_ranges()
        for sampled in self.lowering.samples.values():
            row = dict(sampled)
            if "quantiles" in row:
                row["low"], row["high"] = starts.get(row.pop("quantiles"), (-1, -1))
            elif "target" in row:
                row["first"] = self.place_of(row.pop("target"))
            elif row["column"] == "cluster" and self.clusters:
                row["first"], row["last"] = self._range(self.clusters)
            rows.append(row)
        return rows

    def clauses(self) -> list[Row]:
        """Point clauses at the target whose probability they read, -1 where they read none."""
        return [
            row | {"target": self.place_of(row["target"]) if "target" in row else -1} for row in self.lowering.clauses
        ]

    def _quantile_ranges(self) -> dict[str, Range]:
        return dict(zip(self.quantiles, _ranges([len(values) for values in self.quantiles.values()]), strict=True))

    def arrays(self, strings: Strings, cluster_units: list[str]) -> dict[str, Any]:
        """Return the arrays of the model by their name in `Program`; `cluster_units` are the segments of clusters."""
        targets = list(self.targets.values())
        points = [point for target in targets for point in target.calibration]
        names = self.clusters.names if self.clusters else []
        centres = self.clusters.centres if self.clusters else []
        return {
            **self._targets(targets),
            "calibration": np.array(points, np.float64).reshape(-1, 2),
            "centres": np.array(centres, np.float64).reshape(len(names), len(centres[0]) if centres else 0),
            "clusters": np.array([strings.number(name) for name in names], np.int64),
            "cluster_segments": np.array(
                [[strings.number(f"{unit}:{name}") for name in names] for unit in cluster_units], np.int64
            ).reshape(len(cluster_units), len(names)),
            "quantiles": np.array([value for values in self.quantiles.values() for value in values], np.float64),
        }  # fmt: skip

    def _targets(self, targets: list[Linear | Trees]) -> dict[str, Table]:
        """Return the tables of targets, of their weights, nodes and roots, each of all targets together."""
        rows: list[Row] = []
        weights: list[float] = []
        nodes, roots = [table("nodes", 0)], list[int]()
        calibrations = _ranges([len(target.calibration) for target in targets])
        size = 0
        for target, calibration in zip(targets, calibrations, strict=True):
            inputs = self._range(target)
            row: Row = {"inputs_first": inputs[0], "inputs_last": inputs[1], "calibration_first": calibration[0],
                   "calibration_last": calibration[1], "weights": len(weights), "roots_first": len(roots)}  # fmt: skip
            if isinstance(target, Linear):
                row |= {"kind": LINEAR, "intercept": target.intercept}
                weights += target.weights
            else:
                row["kind"] = TREES
                nodes.append(_nodes(target, size, inputs[0]))
                roots += [size + root for root in target.roots]
                size += len(target.value)
            rows.append(row | {"roots_last": len(roots)})
        return {
            "targets": table("targets", rows), "weights": np.array(weights, np.float64),
            "nodes": np.concatenate(nodes), "roots": np.array(roots, np.int64),
        }  # fmt: skip


def _ranges(lengths: list[int]) -> list[Range]:
    """Return where lists of these lengths lie when they are put one after the other."""
    ends = list(accumulate(lengths))
    return list(zip([0, *ends], ends, strict=False))


def _nodes(trees: Trees, begin: int, inputs_first: int) -> Table:
    """Return the nodes of a target's trees as they lie from place `begin` on; -1 stays -1."""
    nodes = table("nodes", len(trees.value))
    for name, values, shift in (
        ("feature", trees.feature, inputs_first), ("left", trees.left, begin), ("right", trees.right, begin)
    ):  # fmt: skip
        places = np.array(values, np.int64)
        nodes[name] = np.where(places < 0, -1, places + shift)
    nodes["threshold"] = trees.threshold
    nodes["value"] = trees.value
    return nodes
