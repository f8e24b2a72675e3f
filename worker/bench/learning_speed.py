"""What learning and scoring cost: samples learnt per second on one core, and µs of CPU that scoring adds per event."""

from statistics import median
from time import process_time
from typing import Any, Final

import numpy as np

from schemas.models import Snapshot
from worker.bench.learning_run import Judged
from worker.bench.learning_sets import DataSet
from worker.bench.meter import Meter
from worker.bench.stream import Stream
from worker.core.engine import Engine
from worker.language.wanted import wanted
from worker.learning.inputs import Observation, Sample
from worker.learning.learners import Linear
from worker.learning.learning import Learning
from worker.learning.preparation import prepared
from worker.learning.recent import Recent
from worker.learning.settings import BATCH

__all__ = ["field_speed", "linear_speed", "scoring_us"]

Data = dict[str, Any]
RECORDS: Final = 10_000
ROUNDS: Final = 3


def linear_speed(judged: Judged, samples: int) -> float:
    """Return samples per second of the linear learner once it is no longer young: of the second half of so many."""
    vectors = prepared(judged.features)
    recent, learner = Recent(), Linear()
    batches = samples // BATCH
    begun = process_time()
    for number in range(batches):
        rows = np.arange(number * BATCH, (number + 1) * BATCH) % len(vectors)
        for row in rows.tolist():
            recent.append(vectors[row], int(judged.labels[row]))
        if number == batches // 2:
            begun = process_time()
        learner.learn_many(vectors[rows], judged.labels[rows], recent)
    return (batches - batches // 2) * BATCH / (process_time() - begun)


def field_speed(data: DataSet, judged: Judged, samples: int) -> float:
    """Return samples per second of the whole field, from the first one on, waiting and judging included."""
    learning = Learning(wanted(data.under.checked))
    span_ms = int(judged.due_ms.max() - judged.sampled_ms.min()) + 1
    last_turn = (samples - 1) // len(judged.labels)
    begun = process_time()
    for number in range(samples):
        turn, row = divmod(number, len(judged.labels))
        learning.learn(_sample(judged, row, turn * span_ms, number))
    nobody = Observation("0" * 16, "", last_turn * span_ms + int(judged.due_ms.max()), judged.features[0], {})
    learning.observe(nobody)  # by then every horizon is over, and everything learnt
    return samples / (process_time() - begun)


def _sample(judged: Judged, row: int, later_ms: int, number: int) -> Sample:
    return Sample(
        id=f"{number:016x}",  # of an id the first 16 digits are remembered
        user_id="",
        target=judged.target,
        sampled_ms=int(judged.sampled_ms[row]) + later_ms,
        resolved_ms=int(judged.resolved_ms[row]) + later_ms,
        label=int(judged.labels[row]),
        features=judged.features[row],
        probability=float("nan"),
        model=None,
        exposed=(),
    )


def scoring_us(data: DataSet, model: Snapshot, users: int, events: int) -> Data:
    """Return µs of CPU of the pass per event of a busy shop's, under a set's definitions, without and with a model.

    Of the pass alone: that more users change segments under a model, and records say so, isn't scoring. Medians of
    rounds that take turns: what else runs here comes and goes.
    """
    without, under = [], []
    for _ in range(ROUNDS):
        without.append(_pass_us(data, None, users, events))
        under.append(_pass_us(data, model, users, events))
    return {
        "users": users,
        "events": events,
        "without_us": round(median(without), 2),
        "with_us": round(median(under), 2),
        "added_us": round(median(after - before for before, after in zip(without, under, strict=True)), 2),
    }


def _pass_us(data: DataSet, model: Snapshot | None, users: int, events: int) -> float:
    meter = Meter(Engine(data.under.checked, data.under.mapping, clock="event", model=model))
    stream = Stream(users)
    meter.feed(stream.first(RECORDS))
    return meter.feed(stream.skewed(events, RECORDS))["pass_us"]
