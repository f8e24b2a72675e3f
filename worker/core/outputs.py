"""Room for what the pass puts out: tables that are emptied after every call, and the heap of those who are due."""

import numpy as np

from worker.core.funnel import BLOCK, COUNTERS
from worker.core.program import Version
from worker.core.tables import CONTRIBUTIONS, Outputs, table

__all__ = ["empty_outputs", "with_larger_heap"]


def empty_outputs(version: Version) -> Outputs:
    """Return empty outputs with room for the largest single evaluation many times over."""
    settings = version.program.settings[0]
    decisions = 4 * int(settings["decisions_most"]) + 1024
    reasons = 4 * int(settings["reasons_most"]) + 32_768
    explained = bool((version.program.clauses["target"] >= 0).any())
    inputs = max(1, len(version.program.inputs))
    samples = 4 * int(settings["samples_most"]) + 1024 if settings["samples_most"] else 1
    return Outputs(
        transitions=table("transitions", 4 * int(settings["transitions_most"]) + 8192),
        reasons=table("reasons", reasons),
        contributions=table("contributions", CONTRIBUTIONS * reasons if explained else 0),
        decisions=table("decisions", decisions),
        conversions=table("conversions", decisions),
        messages=table("messages", 1024),
        triggers=np.zeros((decisions, version.layout.words), np.int64),
        samples=table("resolved", samples),
        sample_features=np.zeros((samples, int(settings["observed"]))),
        sample_numbers=np.zeros((samples, len(version.program.traits))),
        sample_texts=np.zeros((samples, len(version.program.traits)), np.int64),
        observations=table("observations", samples),
        observation_features=np.zeros((samples, len(version.program.observed))),
        counts=np.zeros(COUNTERS, np.int64),
        heap_due=np.zeros(8 * BLOCK, np.int64),
        heap_slot=np.zeros(8 * BLOCK, np.int64),
        scratch=np.zeros(256),
        values=np.zeros(max(1, len(version.program.values))),
        features=np.zeros(inputs),
        effects=np.zeros(inputs),
        observed=np.zeros(max(1, len(version.program.observed))),
        truths=np.zeros(256, np.int64),
        instants=np.zeros(256, np.int64),
    )


def with_larger_heap(outputs: Outputs, size: int) -> Outputs:
    """Return the same outputs with a heap of `size` places; what is on it stays."""
    heap_due, heap_slot = np.zeros(size, np.int64), np.zeros(size, np.int64)
    heap_due[: len(outputs.heap_due)] = outputs.heap_due
    heap_slot[: len(outputs.heap_slot)] = outputs.heap_slot
    return outputs._replace(heap_due=heap_due, heap_slot=heap_slot)
