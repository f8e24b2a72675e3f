"""The rhythm of day and week: when people of a zone and a type go shopping, by their own clock.

A weight is how many times her average rate of visits a shopper has in a given hour. Over a week the weights of a
rhythm average 1, so a rhythm moves visits about and makes none.
"""

from datetime import UTC, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from worker.simulate.shop import HOUR_MS
from worker.simulate.shoppers import PLACES, TYPES

__all__ = ["Rhythm", "zone"]

HOURS_OF_DAY = {
    "day": (1, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 14, 16, 14, 12, 11, 11, 12, 13, 13, 12, 9, 5, 2),
    "evening": (3, 1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 6, 8, 6, 5, 5, 6, 8, 12, 17, 20, 20, 15, 7),
}
DAYS_OF_WEEK = {
    "day": (1.1, 1.1, 1.0, 1.0, 1.0, 0.9, 0.9),  # Monday first
    "evening": (0.9, 0.8, 0.8, 0.9, 0.9, 1.2, 1.5),
}


def _weekly(name: str) -> NDArray[np.float64]:
    hours = np.outer(DAYS_OF_WEEK[name], HOURS_OF_DAY[name]).ravel()
    return np.asarray(np.round(hours * (len(hours) / sum(hours.tolist())), 6))


RHYTHMS = {name: _weekly(name) for name in HOURS_OF_DAY}
"""Weights of the 168 hours of a local week, Monday's midnight first."""


def zone(name: str) -> ZoneInfo:
    """The zone from the pinned database, not from whatever the host has."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, name)


class Rhythm:
    """Weights by cohort (see `shoppers.py`) for any hour."""

    def __init__(self) -> None:
        self._zones = [zone(place.zone) for place in PLACES]

    def weights(self, hour_ms: int) -> NDArray[np.float32]:
        """The weight of every cohort in the hour that begins at `hour_ms`."""
        hours = [self._local_hour_of_week(zone, hour_ms) for zone in self._zones]
        return np.array([RHYTHMS[kind.rhythm][hour] for hour in hours for kind in TYPES], np.float32)

    @staticmethod
    def _local_hour_of_week(zone: ZoneInfo, hour_ms: int) -> int:
        local = datetime.fromtimestamp((hour_ms + HOUR_MS // 2) / 1000, UTC).astimezone(zone)
        return local.weekday() * 24 + local.hour
