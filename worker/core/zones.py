"""Time zones as arrays: when each zone's offset from UTC changes, and to what.

The rule: zone names are numbered once per partition, and their changes are read from the pinned `tzdata` package, never
from the host's files, so that two hosts agree on when the night begins.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from worker.core.compiled import compiled
from worker.core.layout import FOREVER
from worker.core.tables import Integer, Surroundings

__all__ = ["Zones", "defer_quiet", "is_quiet", "offset_at", "zone_exists"]

DAY_MS, MINUTE_MS = 86_400_000, 60_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)


def _open(name: str) -> ZoneInfo | None:
    """Return the zone from the `tzdata` package, or `None` for a name it doesn't have."""
    parts = name.split("/")
    if not all(part and part.replace("_", "a").replace("-", "a").replace("+", "a").isalnum() for part in parts):
        return None
    resource = files("tzdata").joinpath("zoneinfo", *parts)
    try:
        with resource.open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1024)
def zone_exists(name: str) -> bool:
    """Return whether the time zone database has a zone of that name."""
    return _open(name) is not None


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    shift = moment.astimezone(zone).utcoffset()
    return 0 if shift is None else shift // timedelta(milliseconds=1)


def _change_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first second of the offset that holds at `after`, by bisection."""
    offset = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle == before or _offset(zone, middle) != offset:
            after = middle if middle != before else after
            if middle == before:
                break
        else:
            before = middle
    return after


@lru_cache(maxsize=1024)
def _changes(name: str) -> tuple[tuple[int, int], ...]:
    """Return ((from ms, offset ms), …) of a known zone for 1970 to 2100, the first from `-FOREVER`."""
    zone = _open(name)
    if zone is None:
        raise KeyError(name)
    changes = [(-FOREVER, _offset(zone, _FIRST))]
    moment = _FIRST
    while moment < _LAST:
        after = moment + _STEP
        while _offset(zone, after) != changes[-1][1]:
            change = _change_between(zone, moment, after)
            changes.append((_milliseconds(change), _offset(zone, change)))
            moment = change
        moment = after
    return tuple(changes)


class ZoneArrays(NamedTuple):
    """`ends` int64[zones]: where each zone's changes end in `starts` and `offsets`, int64[changes], ms."""

    ends: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


class Zones:
    """The zones of a partition, numbered from 0 in order of first appearance."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._arrays: ZoneArrays | None = None
        for name in names:
            self.number(name)

    def number(self, name: str) -> int:
        """Return the zone's number, or -1 if the database doesn't know the name."""
        known = self._numbers.get(name)
        if known is not None:
            return known
        if not zone_exists(name):
            return -1
        self._numbers[name] = len(self.names)
        self.names.append(name)
        self._arrays = None
        return self._numbers[name]

    def arrays(self) -> ZoneArrays:
        """Return the changes of all zones so far."""
        if self._arrays is None:
            changes = [_changes(name) for name in self.names]
            flat = np.array([change for zone in changes for change in zone], np.int64).reshape(-1, 2)
            ends = np.cumsum([len(zone) for zone in changes], dtype=np.int64)
            self._arrays = ZoneArrays(ends, flat[:, 0].copy(), flat[:, 1].copy())
        return self._arrays


@compiled
def _span(z: Surroundings, zone: Integer, time: Integer) -> Integer:
    """Return the place of the change that holds in `zone` at `time`."""
    low = z.zone_ends[zone - 1] if zone > 0 else 0
    high = z.zone_ends[zone]
    while high - low > 1:
        middle = (low + high) // 2
        if z.zone_starts[middle] <= time:
            low = middle
        else:
            high = middle
    return low


@compiled
def offset_at(z: Surroundings, zone: Integer, time: Integer) -> Integer:
    """Return the zone's offset from UTC, in ms, at `time` (ms)."""
    return z.zone_offsets[_span(z, zone, time)]


@compiled
def is_quiet(z: Surroundings, zone: Integer, time: Integer, first: Integer, last: Integer) -> bool:
    """Return whether the local time of day is in [first, last) minutes, over midnight if `first` is the later."""
    minute = (time + offset_at(z, zone, time)) % DAY_MS // MINUTE_MS
    if first < last:
        return first <= minute < last
    return minute >= first or minute < last


@compiled
def defer_quiet(z: Surroundings, zone: Integer, time: Integer, first: Integer, last: Integer) -> Integer:
    """Return the first instant from `time` on at which it isn't quiet, across changes of the offset."""
    while is_quiet(z, zone, time, first, last):
        place = _span(z, zone, time)
        of_day = (time + z.zone_offsets[place]) % DAY_MS
        wait = (last * MINUTE_MS - of_day) % DAY_MS
        change = z.zone_starts[place + 1] if place + 1 < z.zone_ends[zone] else FOREVER
        time = min(time + wait, change)
    return time
