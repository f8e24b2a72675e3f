"""Ends a process that is stuck: with one sentence, at once, so that whoever supervises it starts another.

The rule: only two things count as stuck, and an unreachable broker is neither. The event loop has not come round for
a minute; or a partition has records to read, the broker says so now, and nothing was committed for `stuck_after_ms`.
"""

import os
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["Watchdog"]

LOOP_SECONDS_MAX = 60.0
LOOK_SECONDS = 1.0


class Watchdog:
    """A thread that looks at two clocks (monotonic seconds) which the worker has to move."""

    def __init__(self, stuck_after_ms: int, end: Callable[[str], None] | None = None) -> None:
        self._stuck_after_seconds = stuck_after_ms / 1000
        self._end = end or _end
        self._beaten = time.monotonic()
        self._waiting: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._beaten = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def beat(self) -> None:
        """The event loop has come round."""
        self._beaten = time.monotonic()

    def progress(self, partition: int) -> None:
        """A partition has committed, has nothing to read, or isn't ours."""
        self._waiting.pop(partition, None)

    def lagging(self, partition: int) -> None:
        """A partition has something to read."""
        self._waiting.setdefault(partition, time.monotonic())

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if reason := self._reason(time.monotonic()):
                self._end(reason)
                return

    def _reason(self, now: float) -> str | None:
        if now - self._beaten > LOOP_SECONDS_MAX:
            return f"the event loop has stood still for {now - self._beaten:.0f} s"
        for partition, since in list(self._waiting.items()):
            if now - since > self._stuck_after_seconds:
                return f"partition {partition} has records to read and has committed nothing for {now - since:.0f} s"
        return None


def _end(reason: str) -> None:
    sys.stderr.write(f"shoal: The worker is stuck: {reason}; it ends, to be started again.\n")
    sys.stderr.flush()
    os._exit(1)
