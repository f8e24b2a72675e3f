"""Drift: watches over features and targets, and what makes them cry.

Features: PSI of the last week against the reference, once a day, and ADWIN on the mean of a bounded number of users a
day. Targets: ADWIN on the champion's log loss. The constants come from `python -m worker.bench.drift`, which prints
what they give: on stationary traffic all features together at most `ALARMS_PER_DAY` (seen: 1 alarm in 9,450 days). One
feature that moves by a standard deviation is found within six days in a shop of 300 active users; by half of one, in
two days, as a rule, where there are 2,000.

A feature is watched from when its window has filled (30 days for `orders_30d`), and one that only ever grows (`age`,
totals) never: they change by nature. After an alarm a feature is silent until its reference is taken anew.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.language.observed import OBSERVED, Observed
from worker.learning.detector import Detector, Share, Shift
from worker.learning.panel import hash_of
from worker.learning.psi import Reference, psi, psi_limit

__all__ = ["ALARMS_PER_DAY", "Alarm", "TargetDrift", "Watches", "psi_chance", "watched_from_days"]

Rows = NDArray[np.float64]
Weekdays = NDArray[np.int64]

ALARMS_PER_DAY: Final = 0.001
"""One false alarm in 1,000 days, over all features and clusters of a stationary shop."""
MEANS_DELTA: Final = 0.01
LOSS_DELTA: Final = 0.01
SPAN: Final = 8.0
"""Standard deviations that a detector's 0 to 1 are; what is farther than half of them from the mean counts as that."""
LOSS_MAX: Final = 5.0
WEEK_DAYS: Final = 7
LIFETIME_DAYS: Final = 90  # for times and shares without a window: as long as a user counts as active
GROWING: Final = re.compile(r"age|\w+_total")


class Alarm(NamedTuple):
    """What is no longer as it was: `what` is psi, mean, centre or sizes; `value` is beyond `limit`.

    ADWIN has a limit for every way to cut a window in two, so a mean's is None.
    """

    what: str
    name: str
    value: float
    limit: float | None


def watched_from_days(observed: Observed) -> int | None:
    """Return how many days after the first observation a feature has settled, and a week more to see it; or never."""
    if GROWING.fullmatch(observed.expression):
        return None
    windows = [int(days) for days in re.findall(r"_(\d+)d\b", observed.expression)]
    hours = [1 for _ in re.findall(r"_\d+h\b", observed.expression)]
    return max(windows + hours, default=LIFETIME_DAYS) + WEEK_DAYS


class Watch:
    """One feature: its reference, the detector of its mean, and whether it has cried."""

    def __init__(self, reference: Reference, detector: bytes = b"", *, cried: bool = False, psi: float = 0.0) -> None:
        self.reference = reference
        self.detector = Detector(MEANS_DELTA, detector)
        self.cried = cried
        self.psi = psi

    def see(self, value: float, weekday: int) -> float | None:
        """Take in a user's value; return the shift of the mean in standard deviations if one is found."""
        shift = self.detector.update(self.reference.standard(value, weekday) / SPAN + 0.5)
        return None if shift is None else (shift.after - shift.before) * SPAN

    def look(self, values: Rows, chance: float) -> float:
        """Compare the week's users with the reference; return the limit for `psi`."""
        self.psi = psi(self.reference.counts, self.reference.histogram(values))
        return psi_limit(self.reference.counts, len(values), chance)


class Watches:
    """All features that are watched by now; rows are [user, OBSERVED], weekdays when they were seen, 0 to 6."""

    def __init__(self, packed: Mapping[str, Any] | None = None) -> None:
        self.by_name = {
            name: Watch(Reference.unpacked(each["reference"]), each["detector"], cried=each["cried"], psi=each["psi"])
            for name, each in (packed or {}).items()
        }

    def begin(self, rows: Rows, weekdays: Weekdays, days: float) -> bool:
        """Begin to watch what has settled after so many days; tell whether that is more than before."""
        settled = [
            (place, observed.name)
            for place, observed in enumerate(OBSERVED)
            if (watched_from_days(observed) or np.inf) <= days and observed.name not in self.by_name
        ]
        self.by_name |= {name: Watch(Reference.of(rows[:, place], weekdays)) for place, name in settled}
        return bool(settled)

    def renew(self, rows: Rows, weekdays: Weekdays) -> None:
        """Take these users as the reference of all that is watched."""
        for place, _ in self._placed():
            self.by_name[OBSERVED[place].name] = Watch(Reference.of(rows[:, place], weekdays))

    def see(self, features: Rows, weekday: int) -> list[Alarm]:
        """Take in a user; return the alarms of means."""
        alarms = []
        for place, watch in self._placed():
            shift = watch.see(features[place], weekday)
            if shift is not None and not watch.cried:
                watch.cried = True
                alarms.append(Alarm("mean", OBSERVED[place].name, shift, None))
        return alarms

    def look(self, rows: Rows) -> list[Alarm]:
        """Compare the users of the last week with the references; return the alarms of spread."""
        alarms = []
        for place, watch in self._placed():
            limit = watch.look(rows[:, place], psi_chance(len(self.by_name)))
            if watch.psi > limit and not watch.cried:
                watch.cried = True
                alarms.append(Alarm("psi", OBSERVED[place].name, watch.psi, limit))
        return alarms

    def packed(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            name: {
                "reference": watch.reference.packed(),
                "detector": watch.detector.state(),
                "cried": watch.cried,
                "psi": watch.psi,
            }
            for name, watch in self.by_name.items()
        }

    def _placed(self) -> list[tuple[int, Watch]]:
        return [
            (place, self.by_name[observed.name])
            for place, observed in enumerate(OBSERVED)
            if observed.name in self.by_name
        ]


def psi_chance(watched: int) -> float:
    """Return the chance of a false alarm for one look at one of so many features: half of the allowance is PSI's."""
    return ALARMS_PER_DAY / 2 / max(watched, 1)


class TargetDrift:
    """Whether the champion's log loss on one target has risen."""

    def __init__(self, state: bytes = b"") -> None:
        saved: dict[str, Any] = msgspec.msgpack.decode(state) if state else {"share": {}, "detector": b""}
        self._share = Share(**saved["share"])
        self._detector = Detector(LOSS_DELTA, saved["detector"])

    def update(self, at_ms: int, sample_id: str, loss: float) -> Shift | None:
        """Take in the log loss of a sample at a time of the stream; return the change if the loss has risen.

        Means in a `Shift` are of losses cut at `LOSS_MAX`. A fall is no alarm: the model has learnt something.
        """
        if not self._share.takes(at_ms, hash_of(sample_id)):
            return None
        shift = self._detector.update(loss / LOSS_MAX)
        if shift is None or shift.after <= shift.before:
            return None
        return shift._replace(before=shift.before * LOSS_MAX, after=shift.after * LOSS_MAX)

    def state(self) -> bytes:
        """Everything it knows; `TargetDrift(state)` goes on from there."""
        return msgspec.msgpack.encode({"share": self._share.packed(), "detector": self._detector.state()})
