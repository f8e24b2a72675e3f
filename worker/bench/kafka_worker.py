"""The workers that `shoal bench kafka` measures: real processes, looked at from outside as any operator could."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from worker.bench.processes import cpu_seconds
from worker.errors import JobFailed
from worker.settings import Settings

__all__ = ["Worker", "started", "until", "until_running"]

HOST: Final = "127.0.0.1"
TOLD: Final = (
    "bootstrap_servers", "topic_prefix", "input_topic", "group", "clock", "start", "batch_records_max",
    "session_timeout_ms",
)  # fmt: skip
STARTED: Final = "The worker starts."
ASK_SECONDS_MAX: Final = 60.0  # a worker at saturation answers between two batches
WAIT_SECONDS_MAX: Final = 300.0
STOP_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1
LAST_WORDS: Final = 5  # lines of a worker's log


@dataclass(frozen=True)
class Reading:
    """What a worker has done and used: its metrics, each summed over all labels, and s of CPU just after."""

    totals: defaultdict[str, float]
    cpu_seconds: float

    @property
    def records(self) -> int:
        """How many records it is done with."""
        return round(self.totals["shoal_records_total"])

    @property
    def commits(self) -> int:
        """How many transactions it has committed."""
        return round(self.totals["shoal_transaction_seconds_count"])


class Worker:
    """One worker, from its start on; what it says goes to a file in `folder`."""

    def __init__(self, settings: Settings, name: str, folder: Path) -> None:
        self.name, self.begun = name, time.monotonic()
        self._log = folder / f"{name}.log"
        self._http_port: int | None = None
        told = {"instance_id": name, "http_host": HOST, "http_port": 0, "log_level": "INFO"}
        told |= {setting: getattr(settings, setting) for setting in TOLD}
        environment = {f"SHOAL_{setting.upper()}": str(value) for setting, value in told.items()}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker", "worker"],
                env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def reading(self) -> Reading:
        """Return how it stands. Raises JobFailed if it has ended."""
        exposed = await self._ask("/metrics")
        totals: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(exposed.decode()):
            for sample in family.samples:
                totals[sample.name] += sample.value
        return Reading(totals, cpu_seconds(self._process.pid))

    async def partitions(self) -> dict[int, str]:
        """Return the state of each partition it owns. Raises JobFailed if it has ended."""
        said = json.loads(await self._ask("/ready"))
        return {int(number): partition["state"] for number, partition in said["partitions"].items()}

    async def _ask(self, path: str) -> bytes:
        try:
            return await asyncio.to_thread(_got, await self._port(), path)
        except (OSError, HTTPException) as error:
            self._must_run()
            raise JobFailed(f"{self.name} doesn't answer at {path} ({type(error).__name__}): try again.") from error

    async def _port(self) -> int:
        if self._http_port is None:
            await until(self._has_started, f"{self.name} to start")
            (line,) = [line for line in self._said() if STARTED in line]
            self._http_port = int(json.loads(line)["http_port"])
        return self._http_port

    async def _has_started(self) -> bool:
        self._must_run()
        return any(STARTED in line for line in self._said())

    def _must_run(self) -> None:
        if self._process.poll() is not None:
            last = "\n".join(self._said()[-LAST_WORDS:])
            raise JobFailed(f"{self.name} ended with status {self._process.returncode}; the last it said:\n{last}")

    def _said(self) -> list[str]:
        """The whole lines of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end (SIGTERM); one that doesn't is killed."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()


@asynccontextmanager
async def started(settings: Settings, partitions: int, count: int = 1) -> AsyncIterator[list[Worker]]:
    """So many workers for the length of a `with`, from when each has some of the partitions and nobody lacks one."""
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        workers: list[Worker] = []

        async def shared_out() -> bool:
            owned = [await worker.partitions() for worker in workers]
            return all(owned) and sum(map(len, owned)) == partitions

        try:
            workers.extend(Worker(settings, f"worker-{number}", Path(folder)) for number in range(1, count + 1))
            await until(shared_out, "the workers to share the partitions")
            yield workers
        finally:
            await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))


async def until_running(workers: Sequence[Worker]) -> None:
    """Wait until every partition is restored, or begun, and runs."""

    async def running() -> bool:
        return all([set((await worker.partitions()).values()) == {"running"} for worker in workers])

    await until(running, "the partitions to run")


async def until(
    done: Callable[[], Awaitable[bool]], waited_for: str, seconds_max: float = WAIT_SECONDS_MAX,
    poll_seconds: float = POLL_SECONDS,
) -> None:  # fmt: skip
    """Wait until something is so, asking again and again. Raises JobFailed if that takes too long."""
    deadline = time.monotonic() + seconds_max
    while not await done():
        if time.monotonic() > deadline:
            raise JobFailed(f"{seconds_max:.0f} s weren't enough for {waited_for}: see that the brokers are well.")
        await asyncio.sleep(poll_seconds)


def _got(port: int, path: str) -> Any:
    connection = HTTPConnection(HOST, port, timeout=ASK_SECONDS_MAX)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
