"""One process, one engine: what a benchmark runs in a child of its own, so that memory and caches are nobody else's.

`python -m worker.bench.probe JOB` takes a job as JSON and writes its figures as JSON. A job is `{"engine": {...}}` (see
`measure_engine`) or `{"yardsticks": {...}}` (see `worker.bench.yardsticks`).
"""

import gc
import sys
from typing import Any

import msgspec

from worker.bench import workload, yardsticks
from worker.bench.meter import Meter, resident_bytes
from worker.bench.storm import reevaluate, storm
from worker.bench.stream import Stream
from worker.core.engine import Engine

Data = dict[str, Any]
BATCH = 10_000
FIRST = "first"


def measure_engine(users: int, segments: int, events: int, stretches: list[Data], *, storm_seconds: float = 0) -> Data:
    """Fill an engine with users and lead it through stretches of events; return `runs` and what memory it took.

    A stretch is `{"what", "batch"}` and, if it isn't the usual one, `hot_share` or `per_day`. With `storm_seconds` also
    a storm of due users of at most so long, and what a change of the definitions takes, with rows as they are and with
    larger ones.
    """
    _compile(segments)
    before = resident_bytes()
    meter, stream = _begin(users, segments)
    common = {"users": users, "segments": segments}
    result: Data = {"runs": [{"what": FIRST, **common, "batch": BATCH, **meter.feed(stream.first(BATCH))}]}
    if storm_seconds:
        result["storm"] = storm(meter, stream, storm_seconds)
        reevaluate(meter.engine, workload.definitions(segments))  # what the storm added is gone
    meter.feed(stream.skewed(events, BATCH))
    for stretch in stretches:
        shape = {name: stretch[name] for name in ("hot_share", "per_day") if name in stretch}
        figures = meter.feed(stream.skewed(events, stretch["batch"], **shape))
        result["runs"].append({"what": stretch["what"], **common, "batch": stretch["batch"], **figures})
    result["memory"] = _memory(meter.engine, resident_bytes() - before)
    if storm_seconds:
        result["reevaluation"] = _versions(meter.engine, segments)
    return result


def _versions(engine: Engine, segments: int) -> list[Data]:
    """Put two versions in force: one with other thresholds, then one with a segment that needs larger rows."""
    return [
        {"what": "other thresholds", **reevaluate(engine, workload.changed(segments))},
        {
            "what": "another segment, larger rows",
            **reevaluate(engine, workload.changed(segments, added="wishlists_30d >= 2")),
        },
    ]


def _begin(users: int, segments: int) -> tuple[Meter, Stream]:
    checked = workload.checked(workload.definitions(segments))
    return Meter(Engine(checked, workload.MAPPING, model=workload.snapshot())), Stream(users)


def _compile(segments: int) -> None:
    """Make everything that is measured later run once: compiling, or reading compiled code, isn't what is measured."""
    meter, stream = _begin(50, segments)
    meter.feed(stream.first(20))
    meter.feed(stream.skewed(50, 20))
    reevaluate(meter.engine, workload.changed(min(segments, 24), added="wishlists_30d >= 2"))
    meter.engine.advance(stream.now_ms + 60_000, wall_ms=0)
    gc.freeze()  # as `worker.core.warming.warm_up` does


def _memory(engine: Engine, grown: int) -> Data:
    """What an engine's users take, in bytes per user: all of it as the system sees it, and its known parts."""
    users = max(len(engine.users), 1)
    index = sys.getsizeof(engine.users.slots) + sys.getsizeof(engine.users.ids)
    index += sum(sys.getsizeof(user) + sys.getsizeof(slot) for user, slot in engine.users.slots.items())
    row = engine.version.layout.words * 8
    return {
        "users": users,
        "bytes_per_user": round(grown / users),
        "row_bytes": row,
        "due_bytes": 8,
        "index_bytes": round(index / users),
        "columns": _columns(engine),
    }


def _columns(engine: Engine) -> dict[str, int]:
    """The bytes of a row by what they are for, the largest first."""
    sizes: dict[str, int] = {}
    for name, column in engine.version.layout.columns.items():
        purpose = name.split(":")[0]
        sizes[purpose] = sizes.get(purpose, 0) + column.length * (4 if column.view == "narrow" else 8)
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def main() -> None:
    """Run the job in the first argument."""
    ((kind, arguments),) = msgspec.json.decode(sys.argv[1]).items()
    result = measure_engine(**arguments) if kind == "engine" else yardsticks.measure(**arguments)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
