"""Shelves: what lift knows, as entries by name that are stored one by one.

The rule: a shelf remembers what has changed on it since it was last asked, so that storing costs what has changed and
not what there is; an entry is small, however many there are. Users stay as they are stored, and are unpacked while
something happens to them.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from worker.lift.people import Person, packed, unpacked

__all__ = ["Entries", "People", "Shelf"]

Entries = dict[bytes, bytes]
"""Values by name (UTF-8)."""

V = TypeVar("V")


class Shelf(Generic[V]):
    """Values by name, of whatever msgspec makes of the `kind` of type. One that is changed in place is put again."""

    def __init__(self, kind: type[V], entries: Entries | None = None) -> None:
        """`entries` are stored ones. Raises ValueError for one that isn't of the kind."""
        self._values = {name.decode(): _read(value, kind) for name, value in (entries or {}).items()}
        self.changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str) -> V | None:
        """Return the value of a name."""
        return self._values.get(name)

    def items(self) -> Iterable[tuple[str, V]]:
        """Return (name, value), all of them."""
        return self._values.items()

    def put(self, name: str, value: V) -> None:
        """Keep a value."""
        self._values[name] = value
        self.changed.add(name.encode())

    def drop(self, name: str) -> V | None:
        """Keep it no longer; return what it was."""
        self.changed.add(name.encode())
        return self._values.pop(name, None)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (name, value or None) of what has changed, by name, and forget that it has."""
        changed, self.changed = self.changed, set()
        for name in sorted(changed):
            value = self._values.get(name.decode())
            yield name, None if value is None else _written(value)


def _read(value: bytes, kind: type[V]) -> V:
    try:
        return msgspec.convert(json.loads(value), kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(f"no entry of its kind: {error}") from error


def _written(value: object) -> bytes:
    """JSON of the standard library's: sums of squares outgrow what msgspec writes, 64 bits."""
    return json.dumps(msgspec.to_builtins(value, str_keys=True), separators=(",", ":")).encode()


class People:
    """Users by id, as entries (see `people.py`)."""

    def __init__(self, entries: Entries | None = None) -> None:
        """`entries` are stored ones, which it takes over. Raises ValueError for one that is no user's."""
        self._entries = {} if entries is None else entries
        for entry in self._entries.values():
            unpacked(entry)
        self._open: dict[str, Person] = {}  # touched, and yet to be packed
        self.changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, user_id: str) -> bool:
        return user_id.encode() in self._entries

    @property
    def changes_waiting(self) -> int:
        """How many users have yet to be stored, about."""
        return len(self._open) + len(self.changed)

    def get(self, user_id: str) -> Person | None:
        """Return a user; what is changed of her counts when she is put again."""
        if (person := self._open.get(user_id)) is not None:
            return person
        entry = self._entries.get(user_id.encode())
        return None if entry is None else unpacked(entry)

    def put(self, user_id: str, person: Person) -> None:
        """Keep a user as she is now."""
        if user_id not in self._open:
            self._open[user_id] = person
            self._entries.setdefault(user_id.encode(), b"")

    def drop(self, user_id: str) -> bytes | None:
        """Keep a user no longer; return her entry."""
        self._pack()
        self.changed.add(user_id.encode())
        return self._entries.pop(user_id.encode(), None)

    def entries(self) -> Entries:
        """Return everybody's entry by id, as of now."""
        self._pack()
        return self._entries

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (id, entry or None) of what has changed, by id, and forget that it has."""
        self._pack()
        changed, self.changed = self.changed, set()
        return ((name, self._entries.get(name)) for name in sorted(changed))

    def _pack(self) -> None:
        for user_id, person in self._open.items():
            name = user_id.encode()
            self._entries[name] = packed(person)
            self.changed.add(name)
        self._open.clear()
