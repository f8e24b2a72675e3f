"""What befalls the shop at chosen moments: outages, backlogs, viral spikes, drifts of behaviour.

An incident changes what it says and nothing else: the draws of everybody's sessions are the same with and without it.
"""

import numpy as np

from worker.simulate.draws import Integers
from worker.simulate.records import Scene
from worker.simulate.shop import DAY_MS, HOUR_MS, Incident, Settings

__all__ = ["Incidents", "span_ms"]

FOREVER_MS = 2**62
BACKLOG_SPEED = 1_000
"""A backlog comes in this many times faster than it came about."""


def span_ms(incident: Incident, start_ms: int) -> tuple[int, int]:
    """First millisecond of an incident, and the first after it."""
    begins = start_ms + round(incident.day * DAY_MS / HOUR_MS) * HOUR_MS
    return begins, FOREVER_MS if incident.hours is None else begins + incident.hours * HOUR_MS


class Incidents:
    """The incidents of one shop."""

    def __init__(self, settings: Settings) -> None:
        self._spans = [(incident, *span_ms(incident, settings.start_ms)) for incident in settings.incidents]

    def visits_factor(self, hour_ms: int) -> float:
        """How many times the usual visits there are in the hour that begins at `hour_ms`."""
        factor = 1.0
        for incident, begins, ends in self._spans:
            if begins <= hour_ms < ends and incident.kind in ("outage", "spike"):
                factor *= 0.0 if incident.kind == "outage" else (incident.strength or 1.0)
        return factor

    def buying_factor(self, hour_ms: int) -> float:
        """What the probabilities of filling a cart and of buying are multiplied by in sessions of that hour."""
        factor = 1.0
        for incident, begins, ends in self._spans:
            if incident.kind == "drift" and begins <= hour_ms < ends:
                factor *= incident.strength or 1.0
        return factor

    def scene(self, hour_ms: int) -> int:
        """Bits of `Scene` for sessions that begin in that hour."""
        going_on = {incident.kind for incident, begins, ends in self._spans if begins <= hour_ms < ends}
        return Scene.VIRAL * ("spike" in going_on) | Scene.DRIFTED * ("drift" in going_on)

    def possible(self, times_ms: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which of these instants are in no outage."""
        possible = np.ones(len(times_ms), np.bool_)
        for incident, begins, ends in self._spans:
            if incident.kind == "outage":
                possible &= (times_ms < begins) | (times_ms >= ends)
        return possible

    def held_back(self, arrivals_ms: Integers) -> Integers:
        """The same arrivals, those within a backlog moved behind its end, in the same order."""
        for incident, begins, ends in self._spans:
            if incident.kind == "backlog":
                waiting = (arrivals_ms >= begins) & (arrivals_ms < ends)
                arrivals_ms = np.where(waiting, ends + (arrivals_ms - begins) // BACKLOG_SPEED, arrivals_ms)
        return arrivals_ms
