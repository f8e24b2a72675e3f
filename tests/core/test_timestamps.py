"""Instants in our own records: one form, read in one place."""

import pytest

from worker.core.timestamps import instant_ms


def test_an_instant_is_read_to_the_millisecond() -> None:
    """With any offset; what is finer is cut."""
    wanted = [1_795_344_300_250] * 2
    assert [instant_ms(text) for text in ("2026-11-22T10:45:00.250Z", "2026-11-22T11:45:00.2509+01:00")] == wanted


@pytest.mark.parametrize("text", ["2026-11-22", "2026-11-22T10:45:00", "2026-W47-7", "20261122T104500Z", "", "soon"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """A day, a time without an offset, and other forms of ISO 8601 could mean several instants."""
    with pytest.raises(ValueError, match="no instant"):
        instant_ms(text)
