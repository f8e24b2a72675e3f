"""The alerts' rules in a hurry: a minute becomes a second, so that a real fault makes a real alert fire in seconds.

The rule: windows, waits and limits that are times shrink alike, but for one of days; all else is as it is shipped.
"""

import re

from deploy.alerts import rules

__all__ = ["hurried"]

UNITS_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
HURRY = 60
# Limits in seconds, and one that counts minutes. Of eight days hours would be left: they are seconds, too.
LIMITS = {
    "(shoal_lag_seconds) > 60": "(shoal_lag_seconds) > 1",
    "_timestamp_seconds) > 900": "_timestamp_seconds) > 15",
    "(shoal_sink_lag_seconds) > 600": "(shoal_sink_lag_seconds) > 10",
    "> 720": "> 12",
    "(shoal_verify_timestamp_seconds) > 691200": "(shoal_verify_timestamp_seconds) > 20",
}


def hurried() -> str:
    """Return the file of rules with every time a sixtieth of what it is."""
    text = rules()
    for limit, shorter in LIMITS.items():
        assert limit in text, limit
        text = text.replace(limit, shorter)
    text = re.sub(r"(?<=[\[:])(\d+)([smhd])(?=[\]:])|(?<=offset )(\d+)([smhd])\b", _shorter, text)
    return re.sub(r"(?<=for: )(\d+)([smhd])\b|(?<=interval: )(\d+)([smhd])\b", _shorter, text)


def _shorter(found: re.Match[str]) -> str:
    number, unit = (part for part in found.groups() if part)
    return f"{int(number) * UNITS_SECONDS[unit] * 1_000 // HURRY}ms"
