"""The same work done in two other ways, so that a reader sees the ratio: by the naive twin, and by pandas.

The twin does all the engine does, an event at a time in plain Python.
pandas recomputes what the same segments read, for all users at once, from the whole log as columns: no
transitions, no campaigns, no instants in between, and a segment is as old as the last recomputation. It is spared the
decoding.
"""

import importlib
from importlib.util import find_spec
from time import process_time
from typing import Any

import msgspec
import numpy as np

from worker.bench import workload
from worker.bench.meter import Meter
from worker.bench.stream import Stream
from worker.core.batch import AMOUNT, CATEGORY, FLAGS, KIND, QUANTITY, SLOT, TIME, VALUE, Batch
from worker.core.decode import Decoder
from worker.core.engine import Engine
from worker.core.interning import Strings, Users
from worker.core.zones import Zones
from worker.naive.twin import Twin

__all__ = ["measure"]

Data = dict[str, Any]
SEGMENTS = 24


def measure(users: int, twin_events: int, pandas_events: int) -> Data:
    """Return `twin` and `pandas`: µs of CPU per event, the engine's on the same log, and their ratio; or why not.

    Of pandas that is one recomputation, its cost shared by all events of the log. To be as fresh as the engine it would
    have to be made after each of them: `ratio_if_as_fresh`.
    """
    twin = _beside(_twin, users, twin_events)
    pandas = _beside(_pandas, users, pandas_events)
    if "ratio" in pandas:
        pandas["ratio_if_as_fresh"] = round(pandas["seconds"] * 1e6 / pandas["engine_us_per_event"])
    return {"twin": twin, "pandas": pandas}


def _beside(other: Any, users: int, events: int) -> Data:
    stream = Stream(users, seed=3)
    payloads = [event for batch in stream.skewed(events, 10_000) for event in batch]
    seconds = other(payloads)
    if seconds is None:
        return {"missing": "not measured: pandas isn't installed, it is in the extra `dev`"}
    _engine(payloads[:100])  # once before: compiling isn't what is measured
    mine = _engine(payloads)["cpu_us_per_event"]
    us = seconds * 1e6 / len(payloads)
    return {
        "events": len(payloads),
        "seconds": round(seconds, 3),
        "us_per_event": round(us, 3),
        "engine_us_per_event": mine,
        "ratio": round(us / mine, 3),
    }


def _engine(payloads: list[bytes]) -> dict[str, float]:
    checked = workload.checked(workload.definitions(SEGMENTS))
    meter = Meter(Engine(checked, workload.MAPPING, model=workload.snapshot()))
    return meter.feed(payloads[begin : begin + 10_000] for begin in range(0, len(payloads), 10_000))


def _twin(payloads: list[bytes]) -> float:
    """How long the naive twin takes, in s of CPU."""
    data = workload.definitions(SEGMENTS)
    model = msgspec.json.decode(workload.snapshot().model_dump_json())
    twin = Twin(data, workload.checked(data).hash, model=model)
    begun = process_time()
    for offset, payload in enumerate(payloads):
        twin.record(offset, payload, wall_ms=0)
    return process_time() - begun


def _pandas(payloads: list[bytes]) -> float | None:
    """How long one recomputation with pandas takes, in s of CPU; None without pandas."""
    if find_spec("pandas") is None:
        return None
    recompute = importlib.import_module("worker.bench.recompute").recompute
    columns, lines = _columns(payloads)
    recompute(columns, lines)  # once before: imports and caches aren't what is measured
    begun = process_time()
    recompute(columns, lines)
    return process_time() - begun


def _columns(payloads: list[bytes]) -> tuple[Data, Data]:
    """The log as columns: a row per event, and a row per product line with its event's user, time and kind."""
    definitions = workload.checked(workload.definitions(SEGMENTS)).definitions
    decoder = Decoder(workload.MAPPING, definitions, Users(), Strings(), Zones(), event_clock=True)
    batch: Batch = decoder.decode(payloads, range(len(payloads)))
    records = batch.records
    columns = {"user": records[:, SLOT], "time": records[:, TIME], "kind": records[:, KIND],
               "amount": records[:, AMOUNT] / 100, "activity": records[:, FLAGS] & 1}  # fmt: skip
    of_event = np.repeat(np.arange(len(records)), np.diff(batch.lines_end, prepend=0))
    lines = {name: column[of_event] for name, column in columns.items()}
    lines |= {
        "category": batch.lines[:, CATEGORY],
        "quantity": batch.lines[:, QUANTITY],
        "value": batch.lines[:, VALUE] / 100,
    }
    return columns, lines
