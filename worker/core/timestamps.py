"""Points in time as they are written: RFC 3339 with an offset, or epoch milliseconds, to integer milliseconds.

Whatever is finer than a millisecond is cut toward minus infinity. What isn't a time is `None`, never an exception.
Nearly all events say `YYYY-MM-DDTHH:MM:SS.mmmZ`: such a text is three look-ups: hour, second, fraction. The
dictionaries are bounded and what is in them was read by the strict reader, so they change no answer.
"""

from __future__ import annotations

import re
from datetime import date
from math import floor
from typing import Final

from schemas.events import TIME_MS_MAX, TIME_MS_MIN

__all__ = ["FRACTIONS", "HOURS", "SECONDS", "instant_ms", "time_ms"]

HOURS_MAX: Final = 16_384

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_RFC_3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
HOURS: Final[dict[str, int]] = {}  # "2026-11-22T10" -> ms, filled as hours are met
SECONDS: Final = {f":{second // 60:02}:{second % 60:02}": second * 1_000 for second in range(3_600)}
FRACTIONS: Final = {f".{ms:03}Z": ms for ms in range(1_000)}


def time_ms(value: object) -> int | None:
    """Return the milliseconds since 1970 of a JSON value, or None if it isn't a time.

    A number beyond the years 1 to 9999 gives the millisecond before or after them, which is out of range for any clock.
    """
    if type(value) is str:
        try:
            return HOURS[value[:13]] + SECONDS[value[13:19]] + FRACTIONS[value[19:]]
        except KeyError:
            return _strict(value)
    if type(value) is int or type(value) is float:
        return floor(min(max(value, TIME_MS_MIN - 1), TIME_MS_MAX + 1))
    return None


def instant_ms(text: str) -> int:
    """Return an instant as it is written in our own records, in ms since 1970. Raises ValueError if it is none."""
    found_ms = time_ms(text)
    if found_ms is None:
        raise ValueError("no instant")
    return found_ms


def _strict(text: str) -> int | None:
    """Read any RFC 3339 form; the usual one's hour is remembered."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:  # the 31st of a short month, the year 0
        return None
    minute_ms = ((days * 24 + int(hour)) * 60 + int(minute)) * 60_000
    tail_ms = int(second) * 1_000 + (int(fraction[:3].ljust(3, "0")) if fraction else 0)
    if sign is None:
        if len(text) == 24 and text[10] == "T" and text[23] == "Z":
            _remember(text, minute_ms - int(minute) * 60_000)
        return minute_ms + tail_ms
    offset_ms = (int(offset_hours) * 60 + int(offset_minutes)) * 60_000
    result_ms = minute_ms + tail_ms + (offset_ms if sign == "-" else -offset_ms)
    return result_ms if TIME_MS_MIN <= result_ms <= TIME_MS_MAX else None


def _remember(text: str, hour_ms: int) -> None:
    if len(HOURS) >= HOURS_MAX:
        HOURS.clear()
    HOURS[text[:13]] = hour_ms
