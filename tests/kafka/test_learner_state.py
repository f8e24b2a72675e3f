"""The trainer's state as records: written as little as needed, read back whole or not at all."""

from collections.abc import Iterable

import pytest

from worker.kafka.kept_state import DamagedError, KeptState, changes
from worker.kafka.learner_state import Progress

Records = list[tuple[bytes, bytes | None]]


def restored(records: Iterable[tuple[bytes, bytes | None]]) -> tuple[Progress, dict[str, bytes]]:
    """What comes of reading records."""
    state = KeptState(Progress)
    for key, value in records:
        state.take(key, value)
    progress = state.progress() or Progress()
    return progress, state.parts(progress.parts)


def test_what_was_written_is_read_back() -> None:
    """Parts and progress; only what changed is written again, and what is gone is taken away."""
    progress = Progress(offsets={"observations": {0: 12, 1: 7}}, samples=3, version=2, frozen=True)
    first: Records = list(changes(progress, {"a": b"1", "b": b"2", "c": b"3"}))
    assert [key for key, _ in first] == [b"part/a", b"part/b", b"part/c", b"progress"]
    second: Records = list(changes(progress, {"a": b"1", "b": b"5"}))
    assert [(key, value) for key, value in second[:-1]] == [(b"part/c", None), (b"part/b", b"5")]
    assert restored([*first, *second]) == (progress, {"a": b"1", "b": b"5"})


def test_nothing_is_the_beginning() -> None:
    """Without a progress there is no state, whatever else is there."""
    assert restored([]) == restored([(b"part/a", b"1")]) == (Progress(), {})


@pytest.mark.parametrize(
    "harm",
    [(b"part/a", b"2"), (b"part/a", None), (b"progress", b"{"), (b"progress", b'{"format": 2}'),
     (b"progress", b'{"surprise": 1}'), (b"progress", b'{"samples": "many"}')],
)  # fmt: skip
def test_a_state_that_is_not_whole_is_not_used(harm: tuple[bytes, bytes | None]) -> None:
    """A part that is another or gone, a progress that is none or of another format."""
    written: Records = list(changes(Progress(), {"a": b"1"}))
    assert restored(written)[1] == {"a": b"1"}
    with pytest.raises(DamagedError):
        restored([*written, harm])
