"""How far a peer has come, and what it has used up to then: from its start until it is done with a topic.

How far is what its group has committed, asked for often; the CPU times are taken at the same moments, so that a peer
that commits seldom is measured between two of its commits.
"""

import asyncio
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.peers.cluster import Cluster
from worker.bench.processes import cpu_seconds, listener
from worker.errors import JobFailed

__all__ = ["Mark", "figures", "watch"]

SHARES: Final = (0.1, 0.5, 1.0)  # of the events, where marks are made
POLL_SECONDS: Final = 0.1
STALLED_SECONDS_MAX: Final = 120.0


@dataclass(frozen=True)
class Mark:
    """How many events were done, and what was used since the start: s of wall, of the peer's CPU, of the broker's.

    The broker's is None if it isn't a process of this machine.
    """

    consumed: int
    wall: float
    peer: float
    broker: float | None


async def watch(cluster: Cluster, process: subprocess.Popen[bytes], topic: str, group: str, events: int) -> list[Mark]:
    """Return the marks at the start and where a tenth, half and all of the events are done.

    Raises JobFailed, in words that go on from the peer's name, if it ends or stands still before that.
    """
    broker = listener(int(cluster.bootstrap.rpartition(":")[2]))
    begun, before = time.monotonic(), cpu_seconds(broker) if broker else 0.0
    marks = [Mark(0, 0.0, 0.0, 0.0 if broker else None)]
    latest, moved = 0, begun
    while len(marks) <= len(SHARES):
        await asyncio.sleep(POLL_SECONDS)
        consumed, now = await cluster.committed(group, topic), time.monotonic()
        latest, moved = (consumed, now) if consumed > latest else (latest, moved)
        _still_running(process, latest, now - moved)
        used = cpu_seconds(broker) - before if broker else None
        mark = Mark(consumed, now - begun, cpu_seconds(process.pid), used)
        while len(marks) <= len(SHARES) and consumed >= SHARES[len(marks) - 1] * events:
            marks.append(mark)
    return marks


def _still_running(process: subprocess.Popen[bytes], consumed: int, still: float) -> None:
    if process.poll() is not None:
        raise JobFailed(f"ended with status {process.returncode} after {consumed:,} events")
    if still > STALLED_SECONDS_MAX:
        raise JobFailed(f"stood still after {consumed:,} events for {STALLED_SECONDS_MAX:.0f} s")


def figures(marks: list[Mark]) -> dict[str, Any]:
    """Return what `watch` saw as µs of CPU per event and events per second; None where there was nothing between."""
    start, tenth, half, end = marks
    return {
        "events": end.consumed,
        "warm_us": _us(half, end, half.peer, end.peer),
        "cold_us": _us(start, end, start.peer, end.peer),
        "first_tenth_us": _us(start, tenth, start.peer, tenth.peer),
        "broker_warm_us": _us(half, end, half.broker, end.broker),
        "broker_cold_us": _us(start, end, start.broker, end.broker),
        "events_per_second_warm": _per_second(half, end),
        "events_per_second": _per_second(start, end),
    }


def _us(first: Mark, last: Mark, begun: float | None, ended: float | None) -> float | None:
    events = last.consumed - first.consumed
    return round((ended - begun) * 1e6 / events, 2) if events and begun is not None and ended is not None else None


def _per_second(first: Mark, last: Mark) -> int | None:
    events = last.consumed - first.consumed
    return round(events / (last.wall - first.wall)) if events else None
