"""How events get to the topic: promptly, late, twice, or broken.

Faults only add to the true events or delay them; none is lost. So a reader should find every true event once, and
exactly as many duplicates and dead letters as the truth says:

- late: the arrival is minutes to two days after the event (a phone without a network);
- duplicate: the same record once more within a minute; half of the doubled orders and refunds come as a retry of the
  shop instead, with the same order id under a new message id;
- malformed: a broken copy of a record, a moment after it, one defect each, named by the dead letter it should become.
"""

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from worker.simulate.draws import Dice, lognormal_table, look_up
from worker.simulate.incidents import Incidents
from worker.simulate.records import Act, Records
from worker.simulate.shop import DAY_MS, MINUTE_MS, Settings

__all__ = ["DEFECTS", "FIRST_DEFECT", "Courier", "break_line"]

DUPLICATE, REPEATED, FIRST_DEFECT = 1, 2, 10  # values of the column `fault`; 0 is a true event
NETWORK_MS_MIN, NETWORK_MS_MAX = 20, 800
LATE_MS_MEDIAN, LATE_MS_MAX = 25 * MINUTE_MS, 2 * DAY_MS
AGAIN_MS_MAX = 45_000
"""Short enough that the doubled id is still among a user's last 32 message ids and 8 order ids."""

LATENESS = lognormal_table(1.6)
TIMESTAMP = re.compile(r'"timestamp":"[^"]*"')
USER = re.compile(r'"userId":("[^"]*"|null)(,"anonymousId":"[^"]*")?')
EVENT = re.compile(r'"event":"[^"]*",')
DEFECTS: dict[str, Callable[[str], str]] = {
    "too_deep": lambda line: line.replace('"context":{', '"context":{"trail":' + "[" * 40 + "]" * 40 + ",", 1),
    "not_json": lambda line: line[: len(line) * 2 // 3],
    "not_an_object": lambda line: f"[{line}]",
    "bad_type": lambda line: line.replace('"type":"track"', '"type":"trak"', 1),
    "missing_user": lambda line: USER.sub('"userId":null', line, count=1),
    "bad_user": lambda line: USER.sub('"userId":' + '"' + "x" * 300 + '"', line, count=1),
    "missing_event": lambda line: EVENT.sub("", line, count=1),
    "bad_timestamp": lambda line: TIMESTAMP.sub('"timestamp":"yesterday"', line, count=1),
    "bad_field": lambda line: line[: line.index('"properties":')] + '"properties":"none"}',
}
"""The dead letter's reason, and how a good line comes to deserve it."""


def break_line(line: str, fault: int) -> str:
    """The line with the defect this value of `fault` stands for."""
    return list(DEFECTS.values())[fault - FIRST_DEFECT](line)


class Courier:
    """Delivers records with the faults of one shop, and counts them."""

    def __init__(self, settings: Settings, dice: Dice, incidents: Incidents) -> None:
        self._settings = settings
        self._dice = dice
        self._incidents = incidents
        self.late = 0
        self.duplicates: Counter[str] = Counter()
        self.malformed: Counter[str] = Counter()

    def deliver(self, events: Records) -> Records:
        """The records with message ids and arrivals, and with the copies that faults add to them."""
        events["message"] = self._dice.bits("message", events["key"], events["act"], events["slot"])
        network = NETWORK_MS_MIN + self._dice.below(NETWORK_MS_MAX - NETWORK_MS_MIN, "network", events["message"])
        events["arrival"] = events["time"] + network + self._lateness(events)
        delivered: Records = np.concatenate([events, self._doubles(events), self._broken(events)])
        delivered["arrival"] = self._incidents.held_back(delivered["arrival"])
        return delivered

    def _lateness(self, events: Records) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        is_late = self._dice.uniform("late", events["message"]) < self._settings.late
        self.late += int(is_late.sum())
        delay = LATE_MS_MEDIAN * look_up(LATENESS, self._dice.uniform("lateness", events["message"]))
        return np.where(is_late, np.minimum(MINUTE_MS + delay, LATE_MS_MAX), 0).astype(np.int64)

    def _doubles(self, events: Records) -> Records:
        # Who identifies herself twice does no harm: the contract doesn't call that a duplicate.
        chosen = self._dice.uniform("double", events["message"]) < self._settings.duplicates
        doubles: Records = events[chosen & (events["act"] != Act.IDENTIFY)]
        original = doubles["message"].copy()
        orders = np.isin(doubles["act"], (Act.ORDER, Act.REFUND, Act.CANCEL))
        repeated = orders & (self._dice.uniform("repeated", original) < 0.5)
        doubles["fault"] = np.where(repeated, REPEATED, DUPLICATE)
        doubles["message"] = np.where(repeated, ~original, original)
        doubles["arrival"] += 1_000 + self._dice.below(AGAIN_MS_MAX, "again", original)
        self.duplicates.update({"message": int((~repeated).sum()), "order": int(repeated.sum())})
        return doubles

    def _broken(self, events: Records) -> Records:
        # Only tracks, so that every defect can befall every line.
        chosen = self._dice.uniform("broken", events["message"]) < self._settings.malformed
        broken: Records = events[chosen & (events["act"] > Act.PAGE)]
        defect = self._dice.below(len(DEFECTS), "defect", broken["message"])
        broken["fault"] = FIRST_DEFECT + defect
        broken["arrival"] += 1 + self._dice.below(AGAIN_MS_MAX, "broken arrival", broken["message"])
        for reason, count in zip(DEFECTS, np.bincount(defect, minlength=len(DEFECTS)).tolist(), strict=True):
            self.malformed[reason] += count
        return broken
