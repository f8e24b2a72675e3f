"""The wall clock as the partition clock may follow it: steady, whatever happens to the host's.

The rule: between two looks it moves as the boot clock does (which runs on while the process or the machine sleeps) and
is drawn to the host's time slowly. A host whose clock leaps by an hour must not let an hour pass for everybody.
"""

import time
from collections.abc import Callable

from worker.observe.logs import log

__all__ = ["WallClock"]

SLEW = 0.05  # of the time that passes
LEAP_MS = 2_000.0

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class WallClock:
    """Milliseconds since the epoch, never going back."""

    def __init__(
        self,
        host_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
        steady_ms: Callable[[], float] = lambda: time.clock_gettime_ns(_BOOT) / 1e6,
    ) -> None:
        self._host_ms, self._steady_ms = host_ms, steady_ms
        self._now_ms, self._looked_ms = host_ms(), steady_ms()
        self._leapt = False

    def now_ms(self) -> int:
        """Return the time; where the host's clock leapt, the difference is made up for at a twentieth of the pace."""
        steady_ms = self._steady_ms()
        passed_ms, self._looked_ms = steady_ms - self._looked_ms, steady_ms
        off_ms = self._host_ms() - (self._now_ms + passed_ms)
        self._tell(off_ms)
        most_ms = SLEW * passed_ms
        self._now_ms += passed_ms + min(max(off_ms, -most_ms), most_ms)
        return int(self._now_ms)

    def _tell(self, off_ms: float) -> None:
        leapt = abs(off_ms) > LEAP_MS
        if leapt and not self._leapt:
            log("clock").error(
                "The host's clock leapt: time goes on steadily and is drawn to it slowly; check its synchronisation.",
                leap_seconds=round(off_ms / 1000, 1),
            )
        self._leapt = leapt
