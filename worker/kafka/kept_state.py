"""What a role that works alone knows, as records of a compacted topic of its own.

    part/NAME   bytes of one part; a part that is gone has a tombstone
    PREFIX/…    bytes of one entry among many, such as a user's; gone: a tombstone
    progress    JSON: how far each input is read, the digest of every part, how many entries there are, and more

The rule: progress names every part by its digest and counts the entries, so what is read back is whole or it is not
used; and what hasn't changed isn't written again. All of it is written in the transaction that moves the offsets.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

__all__ = ["PART", "DamagedError", "KeptState", "changes"]

PROGRESS = b"progress"
PART = b"part/"


class _Progress(Protocol):
    """What a role's progress has at least."""

    format: int
    parts: dict[str, str]  # digests by name


P = TypeVar("P", bound=_Progress)


class DamagedError(Exception):
    """What the topic holds is not the whole of a state of this release's."""


class KeptState(Generic[P]):
    """Takes the records of the topic, in order; the defaults of the `progress` type are a beginning."""

    def __init__(self, progress: type[P]) -> None:
        self._type = progress
        self._latest: dict[bytes, bytes] = {}

    def take(self, key: bytes | None, value: bytes | None, /) -> None:
        """Take a record; of one key the latest counts."""
        if value is None:
            self._latest.pop(key or b"", None)
        else:
            self._latest[key or b""] = value

    def finish(self) -> tuple[P, dict[str, bytes]]:
        """Return progress and parts; both empty if there is no progress yet. Raises DamagedError."""
        fresh = self._type()
        if PROGRESS not in self._latest:
            return fresh, {}
        try:
            progress = msgspec.json.decode(self._latest[PROGRESS], type=self._type)
        except msgspec.DecodeError as error:
            raise DamagedError("its progress can't be read") from error
        if progress.format != fresh.format:
            raise DamagedError(f"it has format {progress.format}, and this release reads {fresh.format}")
        parts = {name: self._latest.get(PART + name.encode(), b"") for name in progress.parts}
        wrong = [name for name, part in parts.items() if _digest(part) != progress.parts[name]]
        if wrong:
            raise DamagedError(f"these parts aren't those that its progress names: {', '.join(wrong)}")
        return progress, parts

    def entries(self, prefix: bytes, count: int) -> dict[str, bytes]:
        """Return the entries under a prefix, by what is behind it. Raises DamagedError unless there are so many."""
        found = {name: self._latest[prefix + name.encode()] for name in self.names(prefix)}
        if len(found) != count:
            raise DamagedError(f"it has {len(found):,} entries, and its progress counts {count:,}")
        return found

    def names(self, prefix: bytes) -> list[str]:
        """Return what the entries under a prefix are of."""
        return [key[len(prefix) :].decode() for key in self._latest if key.startswith(prefix)]


def changes(progress: _Progress, parts: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the records that turn the state `progress` tells of into `parts`, and have it tell of these."""
    digests = {name: _digest(part) for name, part in sorted(parts.items())}
    yield from ((PART + name.encode(), None) for name in sorted(progress.parts.keys() - digests.keys()))
    changed = [name for name, digest in digests.items() if progress.parts.get(name) != digest]
    yield from ((PART + name.encode(), parts[name]) for name in changed)
    progress.parts = digests
    yield PROGRESS, msgspec.json.encode(progress)


def _digest(part: bytes) -> str:
    return hashlib.blake2b(part, digest_size=16).hexdigest()
