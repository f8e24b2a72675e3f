"""A worker as a process of a test's: started, stopped, killed and frozen, its log read line by line.

The rule: it is told what an operator tells it, by its environment, and does what `shoal worker` does, but for the
faults of `worker_under_test`; nothing of it outlives `close`.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.kafka.worker_nursery import nursery

__all__ = ["Process"]

SECONDS_MAX = 120.0  # of any wait: long enough for a compilation on a busy machine
POLL_SECONDS = 0.03
STARTED = " starts."

Line = dict[str, Any]


class Process:
    """One worker, or another role; `environment` goes before the test's own, of which no SHOAL_* is passed on."""

    def __init__(self, name: str, environment: dict[str, str], folder: Path, role: str = "worker") -> None:
        self.name = name
        self._log, self._marks, self._release, self._clock = (
            folder / f"{name}.{what}" for what in ("log", "marks", "release", "clock")
        )
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("SHOAL_")}
        own = {
            "SHOAL_INSTANCE_ID": name, "SHOAL_HTTP_PORT": "0", "SHOAL_TEST_MARKS": str(self._marks),
            "SHOAL_TEST_RELEASE": str(self._release), "SHOAL_TEST_CLOCK": str(self._clock),
        }  # fmt: skip
        self._log.touch()
        self._process = nursery().start(role, inherited | own | environment, self._log, folder / f"{name}.status")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """Everything it has written, as it is."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def logs(self) -> list[Line]:
        """Everything it has written; a line that isn't JSON is an `event` alone."""
        return [_parsed(line) for line in self.text.splitlines()]

    def said(self, event: str) -> list[Line]:
        """Return the lines whose event contains a text."""
        return [line for line in self.logs if event in line["event"]]

    @property
    def fired(self) -> list[Line]:
        """The faults that have happened in it: step, partition, how often the step had been reached, what."""
        return [json.loads(line) for line in self._marks.read_text().splitlines()] if self._marks.exists() else []

    @property
    def http_port(self) -> int:
        """Where /live, /ready and /metrics are; waits until that is known."""
        port: int = self.wait_for(STARTED)["http_port"]
        return port

    def wait_for(self, event: str, count: int = 1, seconds: float = SECONDS_MAX) -> Line:
        """Return the `count`th line whose event contains a text, once it is there. Raises AssertionError."""
        self._until(lambda: len(self.said(event)) >= count, f"hasn't said {event!r} {count} times", seconds)
        return self.said(event)[count - 1]

    def wait_until_fired(self, count: int = 1, seconds: float = SECONDS_MAX) -> Line:
        """Return the `count`th fault, once it has happened. Raises AssertionError."""
        self._until(lambda: len(self.fired) >= count, f"hasn't met fault {count}", seconds)
        return self.fired[count - 1]

    def wait_until_ended(self, seconds: float = SECONDS_MAX) -> int:
        """Return the exit status, negative for a signal, once it has ended."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} doesn't end:\n{self.last_words()}") from None

    def _until(self, done: Callable[[], bool], failure: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            ended = self._process.poll()
            assert ended is None or done(), f"{self.name} {failure}, and ended with {ended}:\n{self.last_words()}"
            assert time.monotonic() < deadline, f"{self.name} {failure} in {seconds:g} s:\n{self.last_words()}"
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds: float = SECONDS_MAX) -> int:
        """Ask it to end (SIGTERM), as a supervisor does; return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait_until_ended(seconds)

    def freeze(self) -> None:
        """Halt it (SIGSTOP): connections stay, nothing is sent."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def release(self) -> None:
        """Let it go on where a `hold_*` has it wait."""
        self._release.touch()

    def set_clock(self, offset_ms: int) -> None:
        """Put its host's clock off by so much (with `clock`)."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(offset_ms))
        new.rename(self._clock)

    def close(self) -> None:
        """Kill it if it runs."""
        if self.is_running:
            self.kill()

    def last_words(self, lines: int = 30) -> str:
        """Return the end of what it has written."""
        return "\n".join(self.text.splitlines()[-lines:])


def _parsed(line: str) -> Line:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {"event": line}
    return parsed if isinstance(parsed, dict) and "event" in parsed else {"event": line}
