"""What everybody at once costs: a new version for all users, and all users due within one second while events arrive.

The storm is played in real time, as a partition task would live through it. Batches arrive at fixed moments of the
wall clock; one that is there is taken by itself, and after it, or while none is there, a slice of due users: so neither
keeps the other waiting for good. What a batch waits is from its arrival until its effects are there.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final

from worker.bench import workload
from worker.bench.meter import Meter
from worker.bench.stream import Stream
from worker.core.engine import Engine

__all__ = ["reevaluate", "storm"]

Data = dict[str, Any]

EVERY_MS: Final = 100
EVENTS_A_BATCH: Final = 500
SLICE: Final = 500  # due users worked off at a time, or a little over
SESSION_MS: Final = 30 * 60_000


def reevaluate(engine: Engine, data: Data) -> dict[str, float]:
    """Put other definitions in force at once; return how long it took until every user was evaluated under them."""
    checked = workload.checked(data)
    begun = perf_counter()
    effects = engine.publish(checked, wall_ms=0)
    seconds = perf_counter() - begun
    return {"seconds": round(seconds, 3), "users": len(engine.users), "transitions": len(effects.transitions)}


def storm(meter: Meter, stream: Stream, seconds_max: float) -> Data:
    """Let the sessions that all users began within one second end, within one second, while events arrive.

    For a segment of who is in a session, which is put in force before.
    """
    meter.engine.publish(workload.checked(workload.changed(added="session_events >= 1")), wall_ms=0)
    stream.now_ms += SESSION_MS - 2_000
    meter.engine.tick(stream.now_ms, wall_ms=0)
    stream.now_ms += 5_000
    batches = list(_arriving(stream, max(2, round(seconds_max * 1e3 / EVERY_MS))))
    return _play(meter, batches)


def _arriving(stream: Stream, count: int) -> Iterator[list[bytes]]:
    """Yield batches of events that are EVERY_MS apart in the users' time as in ours."""
    per_day = 86_400_000 / EVERY_MS * EVENTS_A_BATCH / stream.users
    return stream.skewed(EVENTS_A_BATCH * count, EVENTS_A_BATCH, per_day=per_day)


def _play(meter: Meter, batches: list[list[bytes]]) -> Data:
    """Live through the storm until nobody is due any more or the batches have run out."""
    waits_ms: list[float] = []
    evaluations, calm, begun = 0, False, perf_counter()
    while len(waits_ms) < len(batches) and not calm:
        arrival = begun + len(waits_ms) * EVERY_MS / 1e3
        if perf_counter() >= arrival:
            payloads = batches[len(waits_ms)]
            evaluations += meter.engine.step(payloads, meter.offset, wall_ms=0, due_rows_max=0).evaluations
            meter.offset += len(payloads)
            waits_ms.append((perf_counter() - arrival) * 1e3)
        worked_off = meter.engine.advance(0, wall_ms=0, due_rows_max=SLICE).evaluations
        evaluations += worked_off
        calm = worked_off == 0
    waits_ms.sort()
    return {
        "wait_ms_max": round(waits_ms[-1], 1),
        "wait_ms_median": round(waits_ms[len(waits_ms) // 2], 1),
        "seconds": round(perf_counter() - begun, 1),
        "evaluations": evaluations,
        "batches": len(waits_ms),
        "events_a_batch": EVENTS_A_BATCH,
        "every_ms": EVERY_MS,
        "slice": SLICE,
        "over": calm,
    }
