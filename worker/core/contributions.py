"""Why a probability is what it is: how far each feature moves it, and the few that move it most.

Linear targets: weight × prepared value, in log-odds; the intercept and all effects make the raw log-odds. Trees: at
every split on the way down, the change of the nodes' mean is the doing of the split's feature (Saabas, "Interpreting
random forests", 2014), averaged over the trees, in probability; the roots' mean and all effects make the raw one.
The features are those at the moment at which the reason is written; a probability is held since it was sampled.
"""

import math

import numpy as np

from worker.core.compiled import compiled
from worker.core.conditions import number
from worker.core.scoring import TREES, child_of, may_profile, prepare
from worker.core.tables import CONTRIBUTIONS, Integer, Outputs, Program, Row, StateArrays

__all__ = ["write_contributions"]


@compiled
def _effects(p: Program, o: Outputs, target: Row) -> None:
    """Write each input's effect on a target to `o.effects`, from the prepared features."""
    first = target["inputs_first"]
    last = target["inputs_last"]
    if target["kind"] != TREES:
        for place in range(first, last):
            o.effects[place] = p.weights[target["weights"] + place - first] * o.features[place]
        return
    o.effects[first:last] = 0.0
    trees = np.float64(target["roots_last"] - target["roots_first"])
    for place in range(target["roots_first"], target["roots_last"]):
        node = p.roots[place]
        while p.nodes[node]["left"] >= 0:
            child = child_of(p, o, node)
            o.effects[p.nodes[node]["feature"]] += (p.nodes[child]["value"] - p.nodes[node]["value"]) / trees
            node = child


@compiled
def _strongest(o: Outputs, first: Integer, last: Integer) -> Integer:
    """Return the first of the inputs [first, last) with the largest effect, -1 if none has any."""
    strongest = np.int64(-1)
    most = 0.0
    for place in range(first, last):
        if abs(o.effects[place]) > most:
            strongest = np.int64(place)
            most = abs(o.effects[place])
    return strongest


@compiled
def write_contributions(
    p: Program, s: StateArrays, o: Outputs, slot: Integer, clock: Integer, target: Integer, reason: Integer
) -> None:
    """Write what moves the model's target most to the places of `reason`; nothing without consent."""
    begin = CONTRIBUTIONS * reason
    for row in range(begin, begin + CONTRIBUTIONS):
        o.contributions[row]["feature"] = -1
    if not may_profile(p, s, slot):
        return
    entry = p.targets[target]
    prepare(p, s, o, slot, clock, entry["inputs_first"], entry["inputs_last"])
    _effects(p, o, entry)
    for row in range(begin, begin + CONTRIBUTIONS):
        place = _strongest(o, entry["inputs_first"], entry["inputs_last"])
        if place < 0:
            return
        read = p.values[p.inputs[place]["value"]]
        value = number(p, s, o.scratch, slot, clock, read["first"], read["last"])
        o.contributions[row]["feature"] = read["name"]
        o.contributions[row]["value"] = math.nan if math.isinf(value) else value
        o.contributions[row]["effect"] = o.effects[place]
        o.effects[place] = 0.0
