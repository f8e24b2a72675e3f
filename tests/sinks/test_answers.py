"""What an answer means, and how long is waited."""

from datetime import UTC, datetime

import pytest

from worker.sinks.answers import is_final, is_taken, pause_seconds, retry_after_seconds

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def test_every_status_means_one_thing() -> None:
    """Taken, final or neither; of 4xx only 408, 425 and 429 are asked again."""
    statuses = range(200, 600)
    assert [status for status in statuses if is_taken(status)] == list(range(200, 300))
    again = [status for status in statuses if not is_taken(status) and not is_final(status)]
    assert again == [408, 425, 429, *range(500, 600)]


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "120", 120.0), (503, " 3 ", 3.0), (500, "120", 0.0), (429, None, 0.0), (429, "soon", 0.0),
        (429, "-5", 0.0), (503, "Sun, 22 Nov 2026 10:00:30 GMT", 30.0), (503, "Sun, 22 Nov 2026 09:00:30 GMT", 0.0),
        (429, "999999999999", 3_600.0), (429, "٣", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_taken_at_its_word_within_bounds(status: int, header: str | None, seconds: float) -> None:
    """Seconds or a date, of 429 and 503; what can't be read, is over or is of another status means nothing."""
    assert retry_after_seconds(status, header, NOW) == seconds


def test_pauses_double_and_are_never_more_than_the_most() -> None:
    """From half of it to all of it, by chance."""
    for failures in range(1, 2_000):
        whole = min(60.0, 0.5 * 2 ** min(failures - 1, 30))
        assert pause_seconds(failures, 0.5, 60.0, 0.0) == whole / 2
        assert pause_seconds(failures, 0.5, 60.0, 1.0) == whole
