"""`shoal bench core`: what the engine costs on one core, in figures.

Each engine is measured in a process of its own, one after the other, so that nothing shares memory, caches or the core
with it; this module only says which, and puts the figures together. CPU is the process's own (not the wall's), except
for waits and re-evaluations, which are what a person would wait.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from worker.bench.meter import machine
from worker.bench.report import as_table
from worker.errors import JobFailed

__all__ = ["Plan", "as_table", "run"]

Data = dict[str, Any]

USUAL: Final = "skewed"


@dataclass(frozen=True)
class Plan:
    """How much to measure: the main figures are those of `users_most` users and 24 segments."""

    users_few: int = 10_000
    users: int = 100_000
    users_most: int = 1_000_000
    events: int = 100_000
    segments: tuple[int, ...] = (1, 256)
    batches: tuple[int, ...] = (100, 1_000, 3_000, 30_000)
    twin_events: int = 3_000
    pandas_events: int = 200_000
    yardstick_users: int = 20_000
    storm_seconds: float = 40.0

    def stretches(self) -> list[Data]:
        """Return the stretches of the grid that vary something but users and segments, the usual one first."""
        return [
            {"what": USUAL, "batch": 10_000},
            *({"what": USUAL, "batch": batch} for batch in self.batches),
            {"what": "hot", "batch": 10_000, "hot_share": 0.9},
            {"what": "sparse", "batch": 10_000, "per_day": 0.5},
        ]

    def jobs(self) -> list[tuple[str, Data]]:
        """Return what to measure, (what to call it, the job), in order."""
        usual = self.stretches()[:1]
        jobs = [(self.users_few, 24, usual), (self.users, 24, self.stretches())]
        jobs += [(self.users, segments, usual) for segments in self.segments]
        named = [
            (f"{users:,} users, {segments} segments", self._engine(users, segments, stretches))
            for users, segments, stretches in jobs
        ]
        named.append((f"{self.users_most:,} users, a new version, the storm", self._most()))
        few = {"users": self.yardstick_users, "twin_events": self.twin_events, "pandas_events": self.pandas_events}
        return [*named, ("the twin and pandas", {"yardsticks": few})]

    def _engine(self, users: int, segments: int, stretches: list[Data]) -> Data:
        return {"engine": {"users": users, "segments": segments, "events": self.events, "stretches": stretches}}

    def _most(self) -> Data:
        stretches = [{"what": USUAL, "batch": batch} for batch in (10_000, 1_000)]
        job = self._engine(self.users_most, 24, [*stretches, self.stretches()[-2]])
        job["engine"]["storm_seconds"] = self.storm_seconds
        return job


FULL: Final = Plan()


def run(plan: Plan = FULL, say: Callable[[str], object] | None = None) -> Data:
    """Measure what is planned; `say` is told what is being measured.

    Returns the four main figures, `split` of the main run, `runs` (one object per stretch), `memory`, `reevaluation`,
    `storm`, `beside` (twin and pandas), `machine`.

    Raises:
        JobFailed: a measurement broke off, usually for want of memory.
    """
    results = []
    for name, job in plan.jobs():
        if say is not None:
            say(f"measuring {name}")
        results.append(_measured(name, job))
    *engines, most, beside = results
    runs = [row for result in [*engines, most] for row in result["runs"]]
    main = next(row for row in most["runs"] if row["what"] == USUAL)
    return {
        "cpu_us_per_event": main["cpu_us_per_event"],
        "bytes_per_user": most["memory"]["bytes_per_user"],
        "reevaluate_seconds": max(version["seconds"] for version in most["reevaluation"]),
        "storm_wait_ms_max": most["storm"]["wait_ms_max"],
        "split": {name: main[f"{name}_us"] for name in ("decode", "pass", "records", "other")},
        "memory": most["memory"],
        "reevaluation": most["reevaluation"],
        "storm": most["storm"],
        "beside": beside,
        "runs": runs,
        "machine": machine(),
    }


def _measured(name: str, job: Data) -> Data:
    """Run a job in a process of its own, with one thread for those libraries that would take more."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS"), "1")
    command = [sys.executable, "-m", "worker.bench.probe", msgspec.json.encode(job).decode()]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **threads}, check=False)  # noqa: S603
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise JobFailed(f"Measuring {name} broke off ({last[0]}); it takes up to 8 GiB of free memory, try it again.")
    result: Data = msgspec.json.decode(done.stdout)
    return result
