"""The naive twin's calendar: durations, time zones, RFC 3339 and the hashes of docs/semantics.md ("Ids", "Campaigns").

Times are epoch milliseconds (int), durations milliseconds. Zones come from the `tzdata` package, whatever the host has.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

__all__ = [
    "DAY_MS",
    "blake64",
    "daily_ms",
    "duration_ms",
    "first_outside",
    "hexdigits",
    "instant_ms",
    "is_evening",
    "is_quiet",
    "is_weekend",
    "known_zone",
    "minutes_of",
    "random_number",
    "splitmix64",
    "written",
]

DAY_MS = 86_400_000
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MASK = 2**64 - 1


def duration_ms(text: Any) -> int:
    """Milliseconds of `90s`, `30m`, `2h`, `7d`, `4w`; absent is 0.

    >>> duration_ms("30m")
    1800000
    """
    if text is None:
        return 0
    found = re.fullmatch(r"(\d+)([smhdw])", str(text))
    assert found, text
    return int(found[1]) * UNITS_MS[found[2]]


def instant_ms(moment: datetime | str) -> int:
    """Milliseconds of an aware datetime, or of its text."""
    parsed = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return (parsed - EPOCH) // timedelta(milliseconds=1)


def written(time_ms: int) -> str:
    """A time as the outputs write it.

    >>> written(1_250)
    '1970-01-01T00:00:01.250Z'
    """
    moment = EPOCH + timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z".zfill(24)


@lru_cache
def zone_names() -> frozenset[str]:
    """All names that the time zone database knows."""
    return frozenset((resources.files("tzdata") / "zones").read_text().split())


def known_zone(name: str) -> bool:
    """Whether the time zone database knows the name."""
    return name in zone_names()


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of that name, from the tzdata package."""
    with (resources.files("tzdata") / "zoneinfo" / name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_ms(time_ms: int, zone: str) -> int:
    """What a wall clock in the zone shows, as milliseconds since 1970-01-01T00:00 there."""
    inside = min(
        max(EPOCH + timedelta(milliseconds=time_ms), datetime(2, 1, 1, tzinfo=UTC)), datetime(9998, 1, 1, tzinfo=UTC)
    )
    offset = inside.astimezone(zone_of(zone)).utcoffset()
    assert offset is not None
    return time_ms + offset // timedelta(milliseconds=1)


def is_evening(time_ms: int, zone: str) -> bool:
    """18:00 to 24:00 in the zone."""
    return local_ms(time_ms, zone) % DAY_MS >= 18 * UNITS_MS["h"]


def is_weekend(time_ms: int, zone: str) -> bool:
    """Saturday or Sunday in the zone (1970-01-01 was a Thursday)."""
    return (local_ms(time_ms, zone) // DAY_MS + 3) % 7 >= 5


def minutes_of(text: str) -> int:
    """Minutes since midnight of `HH:MM`."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def is_quiet(time_ms: int, zone: str, start: int, end: int) -> bool:
    """Whether the zone's wall clock is in [start, end), minutes since midnight, over midnight if start > end."""
    minute = local_ms(time_ms, zone) % DAY_MS // UNITS_MS["m"]
    return start <= minute < end if start <= end else minute >= start or minute < end


@cache
def first_outside(time_ms: int, zone: str, start: int, end: int) -> int:
    """The first instant outside quiet hours from a time inside on, found by looking at every second.

    At whole minutes only where the zone's offset is one of whole minutes, which is everywhere since 1972.
    """
    step = UNITS_MS["m"] if local_ms(time_ms, zone) % UNITS_MS["m"] == time_ms % UNITS_MS["m"] else UNITS_MS["s"]
    while is_quiet(time_ms, zone, start, end):
        time_ms = (time_ms // step + 1) * step
    return time_ms


def hexdigits(*parts: object) -> str:
    """The first 32 hex digits of SHA-256 over the parts joined by the unit separator."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode("utf-8")).hexdigest()[:32]


def blake64(text: str) -> int:
    """The 8-byte BLAKE2b digest as a big-endian number."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def splitmix64(x: int) -> int:
    """The splitmix64 step of docs/semantics.md."""
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def random_number(user: str, salt: str, campaign: str, purpose: str) -> float:
    """A user's number in [0, 1) for a purpose; the same in every version."""
    return splitmix64(blake64(user) ^ blake64(f"{salt}\x1f{campaign}\x1f{purpose}")) / 2**64


def daily_ms(user: str) -> int:
    """The user's millisecond of the UTC day at which sampled values are computed."""
    return blake64(user) % DAY_MS
