"""Meters: where the time of a measured stretch goes, and how much memory the process holds.

CPU time of this process only (`process_time`). The split is taken by timing a few public functions of the core while a
stretch runs: each is called once or twice a batch, so that the timing itself costs nothing that could be seen.
"""

import gc
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

from worker.core import compiled_pass, funnel
from worker.core.decode import Decoder
from worker.core.effects import RecordWriter
from worker.core.engine import Engine
from worker.core.records import Effects

__all__ = ["Meter", "machine", "resident_bytes"]

PASS = ("run", "drain", "collect_due", "take_effect")


class Meter:
    """Adds up what batches cost an engine, and what came of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.offset = 0
        self.seconds: dict[str, float] = {}

    def feed(self, batches: Iterable[list[bytes]]) -> dict[str, float]:
        """Step through the batches; return the figures of this stretch. Making a batch isn't measured."""
        self.seconds = dict.fromkeys(("decode", "pass", "records"), 0.0)
        totals = dict.fromkeys(("read", "applied", "evaluations", "transitions", "decisions", "triggers"), 0)
        cpu = 0.0
        with self._split():
            for payloads in batches:
                begun = process_time()
                effects = self.engine.step(payloads, self.offset, wall_ms=0)
                cpu += process_time() - begun
                self.offset += len(payloads)
                _count(totals, effects)
        return self._figures(cpu, totals)

    def _figures(self, cpu: float, totals: dict[str, int]) -> dict[str, float]:
        events = max(totals["read"], 1)
        per_event = {f"{name}_us": round(seconds * 1e6 / events, 3) for name, seconds in self.seconds.items()}
        return {
            "events": totals["read"],
            "applied": totals["applied"],
            "cpu_us_per_event": round(cpu * 1e6 / events, 3),
            **per_event,
            "other_us": round((cpu - sum(self.seconds.values())) * 1e6 / events, 3),
            "evaluations_per_event": round(totals["evaluations"] / events, 3),
            "us_per_evaluation": round(self.seconds["pass"] * 1e6 / max(totals["evaluations"], 1), 3),
            "transitions_per_event": round(totals["transitions"] / events, 4),
            "decisions_per_event": round(totals["decisions"] / events, 4),
            "triggers_per_event": round(totals["triggers"] / events, 4),
        }

    @contextmanager
    def _split(self) -> Iterator[None]:
        # The compiled pass is given timed entries; the functions themselves, which call each other, stay as is.
        timed_pass = {name: self._timed("pass", getattr(funnel, name)) for name in PASS}
        replaced: list[tuple[Any, str, Any]] = [
            (Decoder, "decode", self._timed("decode", Decoder.decode)),
            (RecordWriter, "write", self._timed("records", RecordWriter.write)),
            (compiled_pass, "funnel", SimpleNamespace(**{**vars(funnel), **timed_pass})),
        ]
        originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
        try:
            for owner, name, value in replaced:
                setattr(owner, name, value)
            yield
        finally:
            for owner, name, value in originals:
                setattr(owner, name, value)

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] += process_time() - begun

        return timed


def _count(totals: dict[str, int], effects: Effects) -> None:
    for name in totals:
        found = getattr(effects, name)
        totals[name] += found if isinstance(found, int) else len(found)


def resident_bytes() -> int:
    """How much memory this process holds right now, after collecting garbage."""
    gc.collect()
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout) * 1024  # noqa: S603


def machine() -> dict[str, str | int | float]:
    """What was measured on: processor, cores, memory, Python; nothing that tells one machine from another like it."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor,
        "cores": os.cpu_count() or 1,
        "memory_gib": round(memory / (1 << 30), 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "spin_ms": _spin_ms(),
    }


def _spin_ms() -> float:
    """How long a fixed loop takes here, in ms of wall: tells a slow or busy machine from a slow engine."""
    begun = perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number & 7
    assert total
    return round((perf_counter() - begun) * 1e3, 1)
