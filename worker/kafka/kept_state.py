"""What a role that works alone knows, as records of a compacted topic of its own.

    part/NAME   bytes of one part; a part that is gone has a tombstone
    KIND/NAME   bytes of one entry among many of its kind, such as a user's; gone: a tombstone
    progress    JSON: how far each input is read, the digest of every part or how many entries there are, and more

The rule: progress names every part by its digest or counts the entries, so what is read back is whole or it is not
used; and what hasn't changed isn't written again. All of it is written in the transaction that moves the offsets.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

__all__ = ["PART", "DamagedError", "KeptState", "changes", "written"]

PROGRESS = b"progress"
PART = b"part/"


class _Progress(Protocol):
    """What a role's progress has at least."""

    format: int


class _OfParts(_Progress, Protocol):
    """The progress of a role that knows parts."""

    parts: dict[str, str]  # digests by name


P = TypeVar("P", bound=_Progress)


class DamagedError(Exception):
    """What the topic holds is not the whole of a state of this release's."""


class KeptState(Generic[P]):
    """Takes the records of the topic, in order; the defaults of the `progress` type are a beginning."""

    def __init__(self, progress: type[P]) -> None:
        self._type = progress
        self._progress: bytes | None = None
        self._latest: dict[bytes, dict[bytes, bytes]] = {}  # by kind, by name

    def take(self, key: bytes | None, value: bytes | None, /) -> None:
        """Take a record; of one key the latest counts."""
        kind, slash, name = (key or b"").partition(b"/")
        if not slash:
            self._progress = value if kind == PROGRESS else self._progress
        elif value is None:
            self._latest.get(kind, {}).pop(name, None)
        else:
            self._latest.setdefault(kind, {})[name] = value

    def progress(self) -> P | None:
        """Return how far it was; None if it hasn't begun. Raises DamagedError."""
        if self._progress is None:
            return None
        try:
            progress = msgspec.json.decode(self._progress, type=self._type)
        except msgspec.DecodeError as error:
            raise DamagedError("its progress can't be read") from error
        if progress.format != self._type().format:
            raise DamagedError(f"it has format {progress.format}, and this release reads {self._type().format}")
        return progress

    def parts(self, digests: Mapping[str, str]) -> dict[str, bytes]:
        """Return the parts of these digests by name. Raises DamagedError unless they are there."""
        latest = self._latest.get(PART[:-1], {})
        parts = {name: latest.get(name.encode(), b"") for name in digests}
        wrong = [name for name, part in parts.items() if _digest(part) != digests[name]]
        if wrong:
            raise DamagedError(f"these parts aren't those that its progress names: {', '.join(wrong)}")
        return parts

    def entries(self, counts: Mapping[str, int]) -> dict[str, dict[bytes, bytes]]:
        """Return the entries of these kinds by name. Raises DamagedError unless there are so many of each."""
        found = {kind: self._latest.get(kind.encode(), {}) for kind in counts}
        for kind, count in counts.items():
            if len(found[kind]) != count:
                raise DamagedError(f"it has {len(found[kind]):,} entries of {kind}, and its progress counts {count:,}")
        return found

    def keys(self) -> list[bytes]:
        """Return the keys of all parts and entries there are."""
        return [kind + b"/" + name for kind, names in self._latest.items() for name in names]


def changes(progress: _OfParts, parts: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the records that turn the state `progress` tells of into `parts`, and have it tell of these."""
    digests = {name: _digest(part) for name, part in sorted(parts.items())}
    yield from ((PART + name.encode(), None) for name in sorted(progress.parts.keys() - digests.keys()))
    changed = [name for name, digest in digests.items() if progress.parts.get(name) != digest]
    yield from ((PART + name.encode(), parts[name]) for name in changed)
    progress.parts = digests
    yield written(progress)


def written(progress: _Progress) -> tuple[bytes, bytes]:
    """Return the record of a progress: the last of a transaction."""
    return PROGRESS, msgspec.json.encode(progress)


def _digest(part: bytes) -> str:
    return hashlib.blake2b(part, digest_size=16).hexdigest()
