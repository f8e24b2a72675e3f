r"""An engine as records of a compacted changelog: what changed since the last commit, each under a key of its own.

    c               the checkpoint: where the partition stands; it is the truth, and says how much of the rest there is
    u <user id>     a user's row, with its layout, her slot and when she is due
    s <first>       texts from this number on, uint32 big-endian
    z               all time zones
    l <layout>      the columns of a layout, by its 8-byte hash
    h <campaign>    a campaign's fired decisions by hour
    p <number>      a point: what, besides records, took effect before which record; uint32 big-endian
    e <pseudonym>   a user who was erased, and up to when; 32 bytes

Of who is forgotten the row gets a tombstone, and texts that nobody has any more are taken out of their records.

The rule: every key begins with a type byte, so that no user id can pose as something else, and every value with
a checksum over key and value, so that a record that was damaged, or put under another key, is never taken for state.
All records of one commit go into one transaction. `restoring.py` reads them back.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Literal

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from worker.core.engine import Engine

__all__ = [
    "CHECKPOINT", "ERASED", "FORMAT", "HOURS", "LAYOUT", "NUMBER", "POINT", "ROW", "TEXTS", "USER", "ZONES",
    "Changelog", "Checkpoint", "LayoutRecord", "OtherReleaseError", "Point", "Record", "StateRecordError", "opened",
    "sealed",
]  # fmt: skip

FORMAT = 1
CHECKPOINT, USER, TEXTS, ZONES, LAYOUT, HOURS, POINT, ERASED = b"c", b"u", b"s", b"z", b"l", b"h", b"p", b"e"
CHECKSUM = Struct(">Q")
NUMBER = Struct(">I")
ROW = Struct("<8sIq")  # layout, slot, due; the row's words follow
TEXTS_PER_RECORD = 1_000  # of 256 bytes at most: a record has to fit into a broker's message

Record = tuple[bytes, bytes | None]  # None: a tombstone


class StateRecordError(ValueError):
    """A record of the changelog is damaged, foreign, or of another release; the message says which and why."""


class OtherReleaseError(StateRecordError):
    """The state is whole, but this release can't go on from it: its format, or the definitions in force, aren't its."""


class Checkpoint(msgspec.Struct, frozen=True):
    """Where a partition stands, and how much state belongs to it."""

    format: int
    topic: str
    partition: int
    partitions: int
    next_offset: int
    commands_offset: int
    clock: Literal["event", "wall"]
    grace_ms: int
    clock_ms: int | None
    passed_ms: int
    taken: int
    braked: list[str]
    users: int
    texts: int
    zones: int
    points: int
    free: int = 0  # of the users' slots, those that nobody has
    erased: int = 0


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """What took effect before the record at `offset`, the partition clock being `clock_ms`.

    `definitions` and `mapping` are texts, `model` a snapshot as JSON: a state can be read without any other topic.
    """

    kind: Literal["version", "tick", "pause", "resume", "erase", "day"]  # day: the wall let one begin, and users left
    offset: int
    clock_ms: int | None
    definitions: str | None = None
    mapping: str | None = None
    hash: str | None = None
    model: str | None = None
    campaign: str | None = None
    until_ms: int | None = None
    subject: str | None = None  # of an erasure, a pseudonym
    key_version: int = 0
    suppress: bool = False


class LayoutRecord(msgspec.Struct, frozen=True):
    """The columns of a layout."""

    words: int
    columns: list[tuple[str, str, int, int, float]]


def sealed(key: bytes, body: bytes) -> bytes:
    """Return the value of a record: checksum and body."""
    return CHECKSUM.pack(xxh3_64_intdigest(body, xxh3_64_intdigest(key))) + body


def opened(key: bytes, value: bytes | None) -> memoryview:
    """Return the body of a record. Raises StateRecordError if it isn't what was sealed under this key."""
    value = value or b""
    body = memoryview(value)[CHECKSUM.size :]
    if len(value) < CHECKSUM.size or CHECKSUM.unpack_from(value)[0] != xxh3_64_intdigest(body, xxh3_64_intdigest(key)):
        raise StateRecordError(f"a record of type {key[:1]!r} is damaged, or was not written by Shoal")
    return body


class Changelog:
    """Tells what has changed in an engine since it was last asked; begins with everything, or after a restore."""

    def __init__(self, engine: Engine, points: int = 0) -> None:
        self.engine = engine
        self.points = points
        self._new_points: list[Point] = []
        self._texts = self._zones = 0
        self._firsts: list[int] = []
        self._layouts: set[str] = set()
        self._hours: dict[str, bytes] = {}

    def restored(self, layouts: set[str], hours: dict[str, bytes], firsts: Sequence[int]) -> None:
        """Take it that everything is stored: the engine was just read from its changelog.

        `firsts` are the first numbers of the records of texts, ascending.
        """
        self._firsts = list(firsts)
        self._texts, self._zones = len(self.engine.strings), len(self.engine.zones.names)
        self._layouts, self._hours = layouts, hours

    def point(self, point: Point) -> None:
        """Note a point that took effect: it goes with the next records."""
        self._new_points.append(point)

    def records(self, next_offset: int, commands_offset: int) -> list[Record]:
        """Return what has to be stored so that the engine can go on from here, the checkpoint last."""
        records = [*self._points(), *self._erased(), *self._names(), *self._rows(), *self._hour_counts()]
        checkpoint = self._checkpoint(next_offset, commands_offset)
        records.append((CHECKPOINT, sealed(CHECKPOINT, msgspec.msgpack.encode(checkpoint))))
        return records

    def _points(self) -> Iterator[Record]:
        for point in self._new_points:
            yield _packed(POINT + NUMBER.pack(self.points), point)
            self.points += 1
        self._new_points.clear()

    def _erased(self) -> Iterator[Record]:
        for subject, erased in self.engine.erasures.take_changed():
            key = ERASED + bytes.fromhex(subject)
            yield (key, None) if erased is None else _packed(key, erased)
        for user_id in self.engine.users.take_forgotten():
            yield USER + user_id.encode(), None

    def _names(self) -> Iterator[Record]:
        texts, zones = self.engine.strings.texts, self.engine.zones.names
        yield from self._without_dropped(texts)
        while len(texts) > self._texts:
            several = texts[self._texts : self._texts + TEXTS_PER_RECORD]
            yield _packed(TEXTS + NUMBER.pack(self._texts), several)
            self._firsts.append(self._texts)
            self._texts += len(several)
        if len(zones) > self._zones:
            yield _packed(ZONES, zones)
            self._zones = len(zones)

    def _without_dropped(self, texts: list[str]) -> Iterator[Record]:
        """The records of texts of which some were dropped, once more."""
        stored = [number for number in self.engine.strings.take_dropped() if number < self._texts]
        for place in sorted({bisect_right(self._firsts, number) for number in stored}):
            first, last = self._firsts[place - 1], [*self._firsts, self._texts][place]
            yield _packed(TEXTS + NUMBER.pack(first), texts[first:last])

    def _rows(self) -> Iterator[Record]:
        """The rows of those who were evaluated; one that waits to be carried over hasn't been."""
        rows, ids = self.engine.rows, self.engine.users.ids
        slots = rows.take_changed()
        if not len(slots):
            return
        layout, words = rows.layout, rows.layout.words
        if layout.hash not in self._layouts:
            self._layouts.add(layout.hash)
            yield _packed(LAYOUT + bytes.fromhex(layout.hash), LayoutRecord(words, layout.as_list()))
        data, width, name = rows.rows[slots, :words].tobytes(), 8 * words, bytes.fromhex(layout.hash)
        for place, (slot, due) in enumerate(zip(slots.tolist(), rows.due[slots].tolist(), strict=True)):
            key = USER + ids[slot].encode()
            yield key, sealed(key, ROW.pack(name, slot, due) + data[place * width : (place + 1) * width])

    def _hour_counts(self) -> Iterator[Record]:
        for place, campaign in enumerate(self.engine.version.campaigns):
            counted: bytes = self.engine.rows.hours[place].tobytes()
            if self._hours.get(campaign.id) != counted:
                self._hours[campaign.id] = counted
                key = HOURS + campaign.id.encode()
                yield key, sealed(key, counted)

    def _checkpoint(self, next_offset: int, commands_offset: int) -> Checkpoint:
        engine = self.engine
        return Checkpoint(
            format=FORMAT, topic=engine.topic, partition=engine.partition, partitions=engine.partitions,
            next_offset=next_offset, commands_offset=commands_offset, clock=engine.clock, grace_ms=engine.grace_ms,
            clock_ms=engine.clock_ms, passed_ms=engine.passed_ms, taken=engine.taken, braked=sorted(engine.braked),
            users=engine.rows.count, texts=self._texts, zones=self._zones, points=self.points,
            free=engine.rows.count - len(engine.users), erased=len(engine.erasures),
        )  # fmt: skip


def _packed(key: bytes, body: object) -> Record:
    return key, sealed(key, msgspec.msgpack.encode(body))


assert np.little_endian, "rows are stored as they lie in memory, little-endian"
