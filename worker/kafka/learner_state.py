"""What the trainer knows, as records of `learner-state`: parts as they are, and one record of progress.

    part/NAME   bytes of one part; a part that is gone has a tombstone
    part/report JSON: what the learning reports to people, who can read it here; nothing goes on from it
    progress    JSON: how far each input is read, what was published last, and the digest of every part

The rule: progress names every part by its digest, so what is read back is whole or it is not used; and a part that
hasn't changed isn't written again. All of it is written in the transaction that moves the offsets.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["REPORT", "DamagedError", "LearnerState", "Progress", "changes", "reported"]

FORMAT = 1
PROGRESS = b"progress"
PART = b"part/"
REPORT = "report"  # the part of that name


class DamagedError(Exception):
    """What the topic holds is not the whole of a state of this release's."""


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How far the trainer is."""

    format: int = FORMAT
    offsets: dict[str, dict[int, int]] = {}  # next to be read: by topic of the table, by partition
    samples: int = 0  # learnt, each id once
    observations: int = 0
    clock_ms: int | None = None  # the newest time of a record that was learnt
    version: int = 0  # the latest model that it has published, or has seen published
    asked_ms: int | None = None  # the clock when it was last asked for a model
    asked_at: int = 0  # and `samples` then
    frozen: bool = False
    commands_offset: int = 0  # the next command
    parts: dict[str, str] = {}  # digests by name


class LearnerState:
    """Takes the records of the topic, in order."""

    def __init__(self) -> None:
        self._latest: dict[bytes, bytes] = {}

    def take(self, key: bytes | None, value: bytes | None, /) -> None:
        """Take a record; of one key the latest counts."""
        if value is None:
            self._latest.pop(key or b"", None)
        else:
            self._latest[key or b""] = value

    def finish(self) -> tuple[Progress, dict[str, bytes]]:
        """Return progress and parts; both empty if there is no progress yet. Raises DamagedError."""
        if PROGRESS not in self._latest:
            return Progress(), {}
        try:
            progress = msgspec.json.decode(self._latest[PROGRESS], type=Progress)
        except msgspec.DecodeError as error:
            raise DamagedError("its progress can't be read") from error
        if progress.format != FORMAT:
            raise DamagedError(f"it has format {progress.format}, and this release reads {FORMAT}")
        parts = {name: self._latest.get(PART + name.encode(), b"") for name in progress.parts}
        wrong = [name for name, part in parts.items() if _digest(part) != progress.parts[name]]
        if wrong:
            raise DamagedError(f"these parts aren't those that its progress names: {', '.join(wrong)}")
        return progress, parts


def changes(progress: Progress, parts: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the records that turn the state `progress` tells of into `parts`, and have it tell of these."""
    digests = {name: _digest(part) for name, part in sorted(parts.items())}
    yield from ((PART + name.encode(), None) for name in sorted(progress.parts.keys() - digests.keys()))
    changed = [name for name, digest in digests.items() if progress.parts.get(name) != digest]
    yield from ((PART + name.encode(), parts[name]) for name in changed)
    progress.parts = digests
    yield PROGRESS, msgspec.json.encode(progress)


def reported(key: bytes | None, value: bytes | None) -> list[dict[str, Any]] | None:
    """Return the report, if that is what the record of this key and value holds."""
    if key != PART + REPORT.encode() or value is None:
        return None
    return msgspec.json.decode(value, type=list[dict[str, Any]])


def _digest(part: bytes) -> str:
    return hashlib.blake2b(part, digest_size=16).hexdigest()
