"""ADWIN with a state of its own and a bounded memory: it tells when the mean of a stream has changed.

river's ADWIN (Bifet and Gavaldà 2007) can't be saved, so the values it has seen since it last began are kept, and a
detector that is restored sees them again: it is exactly what it was. Values are taken to 16 bits before anything else,
for a small state. Beyond `VALUES_MAX` of them it begins again with the newer half, restored or not.

A detector looks at a bounded number of values a day, the same share at every hour (`Share`), and compares stretches of
a day and more: neither the size of a shop nor the time of day is a change.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN

from worker.learning.settings import DAY_MS

__all__ = ["DAILY", "VALUES_MAX", "Detector", "Share", "Shift"]

DAILY: Final = 256
VALUES_MAX: Final = 4_096
STRETCH_MIN: Final = DAILY
STEPS: Final = 65_535


class Shift(NamedTuple):
    """A change that was found: the means of the older and the newer stretch, and how many values each has."""

    before: float
    after: float
    older: int
    newer: int


class Detector:
    """Finds changes of a mean; `delta` is ADWIN's, for its false alarms see `worker.bench.drift`."""

    def __init__(self, delta: float, state: bytes = b"") -> None:
        self._delta = delta
        self._begin(np.frombuffer(state, np.uint16).tolist())

    def update(self, value: float) -> Shift | None:
        """Take in a value, 0 to 1; return the change if one is found, after which the detector begins anew."""
        if len(self._steps) >= VALUES_MAX:
            self._begin(self._steps[-VALUES_MAX // 2 :])
        step = round(min(max(value, 0.0), 1.0) * STEPS)
        self._steps.append(step)
        self._adwin.update(step / STEPS)
        if not self._adwin.drift_detected:
            return None
        shift = _shift(np.array(self._steps) / STEPS)
        self._begin([])
        return shift

    def state(self) -> bytes:
        """Everything it knows; `Detector(delta, state)` goes on from there."""
        return np.array(self._steps, np.uint16).tobytes()

    def _begin(self, steps: list[int]) -> None:
        self._steps = steps
        self._adwin = ADWIN(delta=self._delta, min_window_length=STRETCH_MIN, grace_period=2 * STRETCH_MIN)
        for step in steps:
            self._adwin.update(step / STEPS)


def _shift(values: NDArray[np.float64]) -> Shift:
    """Return the change where it is likeliest: where the sums before and after differ most from equal means (CUSUM).

    ADWIN itself forgets only as much of the oldest as it must, so that what it keeps is a mixture.
    """
    older = np.arange(1, len(values))
    sums = np.cumsum(values)
    apart = np.abs(sums[:-1] - sums[-1] * older / len(values)) / np.sqrt(older * (len(values) - older))
    edge = min(STRETCH_MIN, len(older)) // 2
    cut = edge + int(np.argmax(apart[edge : len(apart) - edge])) + 1
    return Shift(float(values[:cut].mean()), float(values[cut:].mean()), cut, len(values) - cut)


class Share:
    """The share of what comes that is looked at, so that it is about `DAILY` a day: by the count of the last day."""

    def __init__(self, *, day: int | None = None, seen: int = 0, share: float = 1.0) -> None:
        self.day = day
        self.seen = seen
        self.share = share

    @property
    def daily(self) -> float:
        """How many a day are looked at, as far as the day so far tells."""
        return float(min(max(self.seen, 1), DAILY))

    def turns(self, at_ms: int) -> bool:
        """Tell whether a new UTC day begins with what comes now, and the day before is over."""
        return self.day is not None and at_ms // DAY_MS > self.day

    def takes(self, at_ms: int, place: int) -> bool:
        """Count one that came, and tell whether it is looked at; `place` is its hash of 64 bits."""
        day = at_ms // DAY_MS
        if self.day is None or day > self.day:
            self.share = min(1.0, DAILY / self.seen) if self.seen else 1.0
            self.day, self.seen = day, 0
        self.seen += 1
        return place < self.share * 2.0**64

    def packed(self) -> dict[str, Any]:
        """All of it as plain data; `Share(**packed)` goes on from there."""
        return {"day": self.day, "seen": self.seen, "share": self.share}
