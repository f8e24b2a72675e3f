"""Saturation: what an event costs a worker that always has something to read.

Workers join first, with everything compiled, and wait; definitions are published, and they all begin. What is told
is the middle of it, from a tenth of the events to nine tenths, so that neither start nor end is in it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from worker.bench.kafka_place import Brokers, place
from worker.bench.kafka_worker import Worker, started
from worker.errors import JobFailed
from worker.files import configuration
from worker.operations import publishing
from worker.settings import Settings

__all__ = ["Point", "figures", "saturation"]

Data = dict[str, Any]

POLL_SECONDS: Final = 0.25  # being asked takes a worker some ms
STALLED_SECONDS_MAX: Final = 120.0
MIDDLE: Final = (0.1, 0.9)


@dataclass(frozen=True)
class Point:
    """What had been done and used up to a moment, by all workers together: s of wall and of CPU; the brokers' s."""

    wall: float
    records: int
    commits: int
    cpu: float
    brokers: float | None


async def saturation(
    settings: Settings, brokers: Brokers, input_topic: str, events: int, partitions: int, workers: int,
    definitions: Path,
) -> Data:  # fmt: skip
    """Have `workers` work off the events of a topic; return their figures (see `figures`)."""
    async with (
        place(settings, partitions, input_topic=input_topic, clock="event") as measured,
        started(measured, partitions, workers) as running,
    ):
        begin = await _point(running, brokers)
        await publishing.publish(measured, configuration.load(definitions))
        return figures(await _watched(running, brokers, events, begin), events)


async def _watched(workers: Sequence[Worker], brokers: Brokers, events: int, begin: Point) -> list[Point]:
    """Return how things stood every now and then until all is done. Raises JobFailed if nothing moves any more."""
    points, moved = [begin], begin.wall
    while points[-1].records < events:
        await asyncio.sleep(POLL_SECONDS)
        points.append(await _point(workers, brokers))
        moved = points[-1].wall if points[-1].records > points[-2].records else moved
        if points[-1].wall - moved > STALLED_SECONDS_MAX:
            raise JobFailed(f"The workers stood still for {STALLED_SECONDS_MAX:.0f} s: see that the brokers are well.")
    return points


async def _point(workers: Sequence[Worker], brokers: Brokers) -> Point:
    readings = await asyncio.gather(*(worker.reading() for worker in workers))
    return Point(
        time.monotonic(),
        sum(reading.records for reading in readings),
        sum(reading.commits for reading in readings),
        sum(reading.cpu_seconds for reading in readings),
        brokers.cpu_seconds(),
    )


def figures(points: Sequence[Point], events: int) -> Data:
    """Return the CPU per event of the workers, of the brokers (None: not seen) and of both, and events per second.

    It is of the middle; where nothing was seen there, because there were so few events, of everything.
    """
    middle = [point for point in points if MIDDLE[0] * events <= point.records <= MIDDLE[1] * events]
    moved = middle and middle[-1].records > middle[0].records
    first, last = (middle[0], middle[-1]) if moved else (points[0], points[-1])
    done = last.records - first.records
    own_us = (last.cpu - first.cpu) * 1e6 / done
    brokers_us = (
        (last.brokers - first.brokers) * 1e6 / done if first.brokers is not None and last.brokers is not None else None
    )
    return {
        "events": done,
        "cpu_us_per_event": round(own_us, 2),
        "broker_us_per_event": None if brokers_us is None else round(brokers_us, 2),
        "with_broker_us_per_event": None if brokers_us is None else round(own_us + brokers_us, 2),
        "events_per_second": round(done / (last.wall - first.wall)),
        "events_per_commit": round(done / max(last.commits - first.commits, 1)),
    }
