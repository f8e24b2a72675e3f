"""What an answer over HTTP means: taken, refused for good, or to be asked again, and when. Pure.

Refused for good is what a repetition wouldn't mend: every 4xx but 408, 425 and 429, and every redirect, which isn't
followed. All else is asked again, after a pause that doubles with every failure, with full jitter (M. Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015), and no sooner than a `Retry-After` of 429 or 503 says
(RFC 9110, section 10.2.3).
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["is_final", "is_taken", "pause_seconds", "retry_after_seconds"]

AGAIN_OF_4XX = (408, 425, 429)
TELLS_WHEN = (429, 503)
RETRY_AFTER_SECONDS_MAX = 3_600.0


def is_taken(status: int) -> bool:
    """Whether the receiver has it."""
    return 200 <= status < 300


def is_final(status: int) -> bool:
    """Whether asking again would bring the same.

    >>> [is_final(status) for status in (302, 400, 410, 429, 500, 503)]
    [True, True, True, False, False, False]
    """
    return 300 <= status < 500 and status not in AGAIN_OF_4XX


def pause_seconds(failures: int, least: float, most: float, chance: float) -> float:
    """Return how long to wait after the nth failure in a row; `chance` is a number from 0 to 1.

    >>> [pause_seconds(n, 0.5, 60.0, 1.0) for n in (1, 2, 3, 10)]
    [0.5, 1.0, 2.0, 60.0]
    """
    return min(most, least * 2.0 ** min(failures - 1, 30)) * (0.5 + chance / 2)


def retry_after_seconds(status: int, header: str | None, now: datetime) -> float:
    """Return how long the receiver wants to be left alone, at most an hour; 0 where it doesn't say.

    >>> retry_after_seconds(429, "7", datetime.now(UTC)), retry_after_seconds(500, "7", datetime.now(UTC))
    (7.0, 0.0)
    """
    if header is None or status not in TELLS_WHEN:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        wanted = float(text[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        wanted = (moment - now).total_seconds()
    return min(max(wanted, 0.0), RETRY_AFTER_SECONDS_MAX)
