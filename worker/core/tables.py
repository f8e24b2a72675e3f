"""The tables of a program: what the compiled pass reads, a row per thing, plain numbers only.

A program is these arrays and nothing else; a new version of the definitions is other numbers in them, so nothing is
compiled anew. Fields that name a column of the row are -1 where the layout has no such column.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CONTRIBUTIONS", "Integer", "Outputs", "Program", "Row", "StateArrays", "Surroundings", "Table", "table"]

Table = npt.NDArray[Any]
Integer = Any
"""A whole number: int64 in compiled code, otherwise Python's or one of numpy's."""
Row = Any
"""A row of a table: a record in compiled code, numpy's void scalar otherwise."""

CONTRIBUTIONS = 5
"""How many contributions a reason has at most."""


def _integers(*names: str) -> list[tuple[str, str]]:
    return [(name, "i8") for name in names]


DTYPES: dict[str, list[tuple[str, str]]] = {
    "settings": [
        *_integers(
            "version", "version_clock", "version_cause", "zone", "profiling", "daily", "holdout_seed", "messages",
            "orders", "refunds", "cart_items", "cart_value", "rating_sum", "ratings", "interest_ids",
            "interest_weights", "interest_reference", "cluster", "cart_ids", "cart_quantities", "cart_truncated",
            "recent_ids", "transitions_most", "reasons_most", "decisions_most", "values_sampled",
            "evaluation_due", "observed", "model",
            "samples_most",
        ),
        ("holdout", "f8"),
    ],
    "kinds": [*_integers("since", "count", "amount", "windows_first", "windows_last"), ("interest", "f8")],
    "windows": _integers("amount", "width", "hops", "at", "sum"),
    "numbers": [*_integers("operation", "column", "window"), ("value", "f8")],
    "atoms": [
        *_integers(
            "kind", "operator", "flow", "left_first", "left_last", "right_first", "right_last", "reached", "passed",
            "left_time", "right_time", "left_kind", "right_kind",
        ),
        ("constant", "f8"),
    ],
    "conditions": _integers("operation", "argument"),
    "clauses": _integers("kind", "first", "last", "truth_first", "truth_last", "target"),
    "members": _integers(
        "text", "since", "dwell", "enter_first", "enter_last", "exit_first", "exit_last",
        "enter_clauses_first", "enter_clauses_last", "exit_clauses_first", "exit_clauses_last",
    ),
    "units": _integers("kind", "first", "last", "column", "clusters"),
    "campaigns": [
        *_integers(
            "unit", "segment", "direction", "status", "braked", "starts", "ends", "channel", "consent", "sends",
            "sends_place", "delay", "expires", "cooldown", "quiet_from", "quiet_to", "quiet_drop", "cancel",
            "holdout_seed", "variant_seed", "variants_first", "variants_last", "conversion", "within", "hour_max",
            "backfill", "pending", "last", "last_variant", "retired", "fired",
        ),
        ("holdout", "f8"),
    ],
    "variants": [("text", "i8"), ("until", "f8")],
    "caps": _integers("channel", "sends", "limit", "per"),
    "traits": _integers("number", "text"),
    "samples": _integers("kind", "column", "first", "last", "low", "high"),
    "pending": [
        *_integers("positive", "horizon", "seed", "scored", "sampled", "probability", "model", "features"),
        ("share", "f8"),
    ],
    "observed": _integers("first", "last"),
    "values": [*_integers("name", "first", "last", "log"), ("missing", "f8")],
    "inputs": [*_integers("value"), ("mean", "f8"), ("scale", "f8"), ("limit", "f8")],
    "targets": [
        *_integers(
            "kind", "inputs_first", "inputs_last", "calibration_first", "calibration_last", "weights", "roots_first",
            "roots_last",
        ),
        ("intercept", "f8"),
    ],
    "nodes": [*_integers("feature", "left", "right"), ("threshold", "f8"), ("value", "f8")],
    "transitions": _integers(
        "slot", "seq", "unit", "segment", "direction", "at", "cause", "offset", "reasons", "clauses_first",
        "clauses_last",
    ),
    "reasons": [("number", "f8"), ("text", "i8"), ("truth", "i8")],
    "contributions": [("feature", "i8"), ("value", "f8"), ("effect", "f8")],
    "decisions": _integers(
        "slot", "campaign", "outcome", "refusal", "variant", "at", "due", "occurred", "offset", "origin", "trigger",
        "reasons", "clauses_first", "clauses_last",
    ),
    "conversions": _integers(
        "slot", "campaign", "variant", "decided", "occurred", "source", "origin", "time", "kind", "amount", "offset",
    ),
    "messages": _integers("slot", "decision", "time", "kind", "offset"),
    "resolved": [
        *_integers("slot", "target", "sampled", "resolved", "label", "model", "exposed"), ("probability", "f8"),
    ],
    "observations": _integers("slot", "at"),
}  # fmt: skip


def table(name: str, rows: list[dict[str, Any]] | int) -> Table:
    """Return the table `name`, from rows as dicts (a missing field is -1) or with so many empty rows."""
    dtype = np.dtype(DTYPES[name])
    if isinstance(rows, int):
        return np.zeros(rows, dtype)
    array = np.full(len(rows), -1, dtype) if rows else np.zeros(0, dtype)
    for place, row in enumerate(rows):
        for key, value in row.items():
            array[place][key] = value
    return array


class Program(NamedTuple):
    """What the pass does: the definitions and the model in force, as tables (see `DTYPES`) and plain arrays."""

    settings: Table
    kinds: Table
    windows: Table
    width_windows: Table  # int64[6]: windows of width w are [w]..[w + 1]
    kind_windows: Table  # int64: places in `windows`, by kind
    numbers: Table
    atoms: Table
    conditions: Table
    clauses: Table
    members: Table
    units: Table
    campaigns: Table
    turns: Table  # int64: places in `campaigns`, in the order in which they decide
    variants: Table
    caps: Table
    consents: Table  # int64: a narrow column per channel
    traits: Table
    samples: Table
    pending: Table  # a row per target of the definitions
    observed: Table
    values: Table
    inputs: Table
    targets: Table
    weights: Table  # float64: those of all linear targets, one after the other
    nodes: Table
    roots: Table  # int64: places in `nodes`
    calibration: Table  # float64[points, 2]
    centres: Table  # float64[clusters, inputs of the clusters]
    clusters: Table  # int64: text numbers of the names
    cluster_segments: Table  # int64[clusters units, clusters]: text numbers of the segments
    quantiles: Table  # float64


class StateArrays(NamedTuple):
    """What the pass changes. The three views share one memory, a row per user."""

    wide: Table  # int64[users, words]
    real: Table  # float64[users, words]
    narrow: Table  # int32[users, 2 words]
    due: Table  # int64[users]: when time alone next matters, ms
    block_due: Table  # int64[blocks]: a lower bound of each block's `due`
    changed: Table  # bool[users]: evaluated since somebody last asked which
    hours: Table  # int64[campaigns, 32, 2]: (UTC hour, fired)


class Surroundings(NamedTuple):
    """What the pass looks up besides: zones and texts."""

    zone_ends: Table
    zone_starts: Table
    zone_offsets: Table
    text: Table  # uint8: the texts' UTF-8 bytes, one after the other
    text_ends: Table  # int64


class Outputs(NamedTuple):
    """What the pass writes, and its scratch space."""

    transitions: Table
    reasons: Table
    contributions: Table  # those of reason i at [CONTRIBUTIONS i, CONTRIBUTIONS (i + 1)), feature -1 where none
    decisions: Table
    conversions: Table
    messages: Table
    triggers: Table  # int64[n, words]: rows as they were when a trigger fired
    samples: Table
    sample_features: Table  # float64[n, OBSERVED]
    sample_numbers: Table  # float64[n, traits]: the declared traits that are numbers, NaN for others
    sample_texts: Table  # int64[n, traits]: text numbers of those that are texts, -1 for others
    observations: Table
    observation_features: Table  # float64[n, observed]
    counts: Table  # int64: see funnel.COUNTERS
    heap_due: Table
    heap_slot: Table
    scratch: Table  # float64: the stack of a number
    values: Table  # float64: what the model's inputs scale
    features: Table  # float64: the model's inputs, prepared
    effects: Table  # float64: what each input contributes
    observed: Table  # float64: the observed features
    truths: Table  # int64: the stack of a condition
    instants: Table  # int64: the same
