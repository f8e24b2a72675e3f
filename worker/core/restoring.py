"""From the records of a changelog to the engine that wrote them.

The rule: nothing is guessed. A record that is damaged, a gap in what the checkpoint counts, a row without a layout,
definitions that mean something else to this release: each is a StateRecordError with its reason, and no engine.
Rows are read straight to where they stay; those under an older layout are carried over at the end.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.models import RefusedSnapshot, Snapshot
from worker.core import changelog
from worker.core.changelog import (
    CHECKPOINT,
    FORMAT,
    NUMBER,
    ROW,
    ZONES,
    Changelog,
    Checkpoint,
    LayoutRecord,
    OtherReleaseError,
    Point,
    StateRecordError,
    opened,
)
from worker.core.engine import Engine
from worker.core.erasures import Erased, Erasures
from worker.core.funnel import migrate
from worker.core.interning import Strings, Users
from worker.core.layout import FOREVER, NEVER, VERSION, Layout
from worker.core.program import Version
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError
from worker.core.records import Effects
from worker.core.retired import Retired, retired_by
from worker.core.room import Room
from worker.core.saving import Past
from worker.core.snapshots import usable_snapshot
from worker.core.state import Rows, width_of
from worker.core.zones import Zones
from worker.language import definitions
from worker.language.definitions import Checked, DefinitionsError
from worker.language.mapping import Mapping

__all__ = ["Restorer", "VersionInForce", "erased_at", "take_effect", "versions_of"]

Integers = npt.NDArray[np.int64]
T = TypeVar("T")
ROWS_MIN = 4096
NOBODY = b""


class _Rows:
    """Rows of one layout as they are read, each at its slot; memory for slots nobody wrote to is never touched."""

    def __init__(self, words: int) -> None:
        self.words = words
        self.room = Room(ROWS_MIN, width_of(words))

    def put(self, slot: int, row: memoryview) -> None:
        if slot >= len(self.room.rows):
            larger = Room(max(slot + 1, 2 * len(self.room.rows)), self.room.rows.shape[1])
            self.room.move_to(larger, len(self.room.rows))
            self.room = larger
        self.room.rows[slot, : self.words] = np.frombuffer(row, np.int64)


class Restorer:
    """Takes the records of a partition's changelog in order, then gives the engine."""

    def __init__(self, pseudonyms: Pseudonyms | None = None) -> None:
        self.checkpoint: Checkpoint | None = None
        self._pseudonyms = pseudonyms or Pseudonyms()
        self._erased: dict[bytes, Erased] = {}
        self._slots: dict[bytes, int] | None = None
        self.points: dict[int, Point] = {}
        self.records = 0
        self._ids: list[bytes] = []
        self._layout_of: list[bytes] = []
        self._due: list[int] = []
        self._rows: dict[bytes, _Rows] = {}
        self._layouts: dict[bytes, Layout] = {}
        self._texts: dict[int, list[str]] = {}
        self._zones: list[str] = []
        self._hours: dict[str, bytes] = {}

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Take the next record; of one key the latest counts. Raises StateRecordError."""
        self.records += 1
        if not key:
            raise StateRecordError("a record has no key, and was not written by Shoal")
        if value is None:
            self._take_away(key)
            return
        body = opened(key, value)
        try:
            self._place(key, body)
        except StateRecordError:
            raise
        except (msgspec.MsgspecError, struct.error, ValueError) as error:
            raise StateRecordError(f"a record of type {key[:1]!r} can't be read: {error}") from error

    def _take_away(self, key: bytes) -> None:
        """Take a tombstone: of a user who was forgotten, or of an erasure that need not be remembered any more."""
        match key[:1]:
            case changelog.USER:
                if self._slots is None:  # most states have no tombstones
                    self._slots = {known: slot for slot, known in enumerate(self._ids)}
                slot = self._slots.pop(key, None)
                if slot is not None and self._ids[slot] == key:
                    self._ids[slot], self._layout_of[slot], self._due[slot] = NOBODY, NOBODY, FOREVER
            case changelog.ERASED:
                self._erased.pop(key, None)
            case _:
                raise StateRecordError(f"a record of type {key[:1]!r} was deleted, which Shoal never does")

    def _place(self, key: bytes, body: memoryview) -> None:
        match key[:1]:
            case changelog.USER:
                self._row(key, body)
            case changelog.CHECKPOINT if key == CHECKPOINT:
                self.checkpoint = _unpacked(body, Checkpoint)
            case changelog.TEXTS:
                self._texts[NUMBER.unpack(key[1:])[0]] = _unpacked(body, list[str])
            case changelog.ZONES if key == ZONES:
                self._zones = _unpacked(body, list[str])
            case changelog.LAYOUT:
                stored = _unpacked(body, LayoutRecord)
                self._layouts[key[1:]] = Layout.from_list(stored.columns, stored.words)
            case changelog.HOURS:
                self._hours[key[1:].decode()] = bytes(body)
            case changelog.POINT:
                self.points[NUMBER.unpack(key[1:])[0]] = _unpacked(body, Point)
            case changelog.ERASED:
                self._erased[key] = _unpacked(body, Erased)
            case _:
                raise StateRecordError(
                    f"a record has the unknown type {key[:1]!r}: it is a later release's, or foreign"
                )

    def _row(self, key: bytes, body: memoryview) -> None:
        name, slot, due = ROW.unpack_from(body)
        more = slot + 1 - len(self._ids)
        if more > 0:
            self._ids += [NOBODY] * more
            self._layout_of += [NOBODY] * more
            self._due += [FOREVER] * more
        self._ids[slot], self._layout_of[slot], self._due[slot] = key, name, due
        if self._slots is not None:
            self._slots[key] = slot
        row = body[ROW.size :]
        if name not in self._rows:
            self._rows[name] = _Rows(len(row) // 8)
        self._rows[name].put(slot, row)

    # The end.

    def finish(self) -> tuple[Engine, Changelog] | None:
        """Return the engine and its changelog; None if nothing was ever stored. Raises StateRecordError."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            if self.records:
                raise StateRecordError("its checkpoint is missing")
            return None
        if checkpoint.format != FORMAT:
            raise OtherReleaseError(f"its format is {checkpoint.format}, and this release reads {FORMAT}")
        engine = Engine.resumed(self._past(checkpoint), partial(self._rows_under, checkpoint))
        log = Changelog(engine, checkpoint.points)
        log.restored({name.hex() for name in self._layouts}, self._hours, sorted(self._texts))
        return engine, log

    def _past(self, checkpoint: Checkpoint) -> Past:
        points = [self.points[number] for number in _complete(self.points, checkpoint.points)]
        versions = [point for point in points if point.kind == "version"]
        latest = _in_force(versions, left_over=checkpoint.taken < checkpoint.users)
        return Past(
            checked=latest.checked, mapping=latest.mapping, model=latest.model, topic=checkpoint.topic,
            partition=checkpoint.partition, partitions=checkpoint.partitions, grace_ms=checkpoint.grace_ms,
            clock=checkpoint.clock, clock_ms=checkpoint.clock_ms, users=Users(self._users(checkpoint)),
            strings=Strings(self._all_texts(checkpoint)), zones=Zones(tuple(self._zones[: checkpoint.zones])),
            hashes=_hashes(versions), version_clock_ms=latest.clock_ms,
            version_cause=latest.cause, retired=latest.retired, braked=frozenset(checkpoint.braked),
            taken=checkpoint.taken, passed_ms=checkpoint.passed_ms, erasures=self._erasures(checkpoint),
        )  # fmt: skip

    def _users(self, checkpoint: Checkpoint) -> Iterator[str]:
        last = checkpoint.users - len(self._ids)  # who were the last may have been forgotten, and compacted away
        self._ids += [NOBODY] * last
        self._layout_of += [NOBODY] * last
        self._due += [FOREVER] * last
        known = sum(key != NOBODY for key in self._ids)
        if last < 0 or known != checkpoint.users - checkpoint.free:
            counted = checkpoint.users - checkpoint.free
            raise StateRecordError(f"its checkpoint counts {counted:,} users, and there are {known:,}")
        return (key[1:].decode() for key in self._ids)

    def _erasures(self, checkpoint: Checkpoint) -> Erasures:
        if len(self._erased) != checkpoint.erased:
            raise StateRecordError(
                f"its checkpoint counts {checkpoint.erased:,} erased users, and there are {len(self._erased):,}"
            )
        try:
            return Erasures(self._pseudonyms, self._erased.values())
        except UnknownKeyError as error:
            raise OtherReleaseError(str(error)) from error

    def _all_texts(self, checkpoint: Checkpoint) -> list[str]:
        texts: list[str] = []
        for first in sorted(self._texts):
            if first != len(texts):
                raise StateRecordError(f"its texts from number {len(texts)} on are missing")
            texts += self._texts[first]
        if len(texts) != checkpoint.texts:
            raise StateRecordError(f"its checkpoint counts {checkpoint.texts:,} texts, and there are {len(texts):,}")
        return texts

    def _rows_under(self, checkpoint: Checkpoint, version: Version) -> Rows:
        """The rows under the version's layout: those of older layouts are carried over."""
        rows = Rows(version.layout, version.number, 0)
        rows.take_over(self._room(bytes.fromhex(version.layout.hash), version, checkpoint.users), checkpoint.users)
        lain = np.array(self._layout_of, "S8")
        for name in set(self._layout_of) - {bytes.fromhex(version.layout.hash), NOBODY}:
            self._carry_over(rows, name, np.flatnonzero(lain == name))
        due = np.array(self._due, np.int64)
        # Since a version began, nobody is due before it has looked at her.
        due[rows.rows.view(np.int32)[: rows.count, VERSION] != version.number] = FOREVER
        rows.restore_due(due)
        rows.restore_hours([campaign.id for campaign in version.campaigns], self._hours)
        return rows

    def _room(self, name: bytes, version: Version, users: int) -> Room:
        read = self._rows.pop(name, None)
        if read is None:
            return Room(users, width_of(version.layout.words))
        if read.words != version.layout.words:
            raise StateRecordError(f"its rows of {read.words} words are under a layout of {version.layout.words}")
        if len(read.room.rows) >= users:
            return read.room
        room = Room(users, width_of(read.words))
        read.room.move_to(room, len(read.room.rows))
        return room

    def _carry_over(self, rows: Rows, name: bytes, slots: Integers) -> None:
        if name not in self._layouts or self._layouts[name].words != self._rows[name].words:
            raise StateRecordError(f"its layout {name.hex()} of {len(slots):,} rows is missing")
        read = self._rows.pop(name)
        old = read.room.rows.view(np.int32)
        moves = rows.layout.moves_from(self._layouts[name])
        blank = rows.layout.blank().view(np.int32)
        migrate(old, rows.rows.view(np.int32), moves, blank, np.empty(old.shape[1], np.int32), slots)


@dataclass(frozen=True)
class VersionInForce:
    """What was in force after a point."""

    checked: Checked
    mapping: Mapping
    model: Snapshot | None
    clock_ms: int
    cause: str
    retired: Retired


def versions_of(points: Iterable[Point]) -> Iterator[VersionInForce]:
    """Yield what was in force after each point of a version. Raises StateRecordError."""
    before: VersionInForce | None = None
    for point in points:
        if point.kind == "version":
            before = _version_after(point, before)
            if point.model is not None and before.model is None:
                raise OtherReleaseError("this release can't use a model that was in force")
            yield before


def _in_force(versions: list[Point], *, left_over: bool) -> VersionInForce:
    """Return what is in force after the last of the versions.

    Of the others only the one before it is looked at, for what it left behind: a release need not take what isn't in
    force any more. If it doesn't take that one either, it can only go on where nothing is left over from it.
    """
    defining = [version for version in versions if version.definitions is not None]
    if not defining:
        raise StateRecordError("its points have no version of the definitions")
    before = _version_before(defining[:-1], left_over=left_over)
    latest = _version_after(defining[-1], before)
    if defining[-1] is not versions[-1]:
        latest = _version_after(versions[-1], latest)
    models = [version.model for version in versions if version.model is not None]
    return replace(latest, model=_model_of(models[-1]) if models else None)


def _model_of(snapshot: str) -> Snapshot | None:
    """Return a model that was in force; None if this release can't use it, and scores nobody until there is another."""
    try:
        return usable_snapshot(snapshot.encode(), None)
    except RefusedSnapshot:
        return None


def _version_before(defining: list[Point], *, left_over: bool) -> VersionInForce | None:
    try:
        return _version_after(defining[-1], None) if defining else None
    except OtherReleaseError:
        if left_over:
            raise
        return None


def _hashes(versions: list[Point]) -> list[str]:
    """Return the definitions' hash of every version; one that brought a model only has that of the one before."""
    hashes: list[str] = []
    for version in versions:
        hashes.append(version.hash if version.hash is not None else hashes[-1])
    return hashes


def _version_after(point: Point, before: VersionInForce | None) -> VersionInForce:
    model = before.model if before else None
    if point.model is not None:
        model = _model_of(point.model)
    clock_ms = NEVER if point.clock_ms is None else point.clock_ms
    if point.definitions is None or point.mapping is None:
        if before is None:
            raise StateRecordError("its first version has no definitions")
        return VersionInForce(before.checked, before.mapping, model, clock_ms, "model", Retired())
    try:
        mapping, checked = _understood(point.definitions, point.mapping)
    except DefinitionsError as error:
        raise OtherReleaseError(f"this release refuses the definitions in force: {error}") from error
    if checked.hash != point.hash:
        raise OtherReleaseError(f"the definitions in force ({point.hash}) mean something else to this release")
    retired = retired_by(checked.definitions, before.checked.definitions) if before else Retired()
    return VersionInForce(checked, mapping, model, clock_ms, "definition", retired)


@lru_cache(maxsize=8)  # all partitions of a worker are under the same few, and reading YAML takes a while
def _understood(text: str, mapping_text: str) -> tuple[Mapping, Checked]:
    mapping = Mapping.parse(mapping_text)
    return mapping, definitions.load(text, mapping)


def _complete(found: Iterable[int], count: int) -> range:
    if sorted(found) != list(range(count)):
        raise StateRecordError(f"its checkpoint counts {count:,} points, and some are missing or too many")
    return range(count)


def _unpacked(body: memoryview, shape: type[T]) -> T:
    return msgspec.msgpack.decode(body, type=shape)


def erased_at(point: Point) -> Erased:
    """Return what is to be remembered from a point of an erasure on."""
    assert point.subject is not None, "an erasure says of whom"
    assert point.until_ms is not None, "an erasure says up to when"
    return Erased(point.subject, point.key_version, point.until_ms, point.suppress)


def take_effect(engine: Engine, point: Point, version: VersionInForce | None, wall_ms: int) -> Effects:
    """Do to an engine what happened at a point; `version` is what was in force after it, of a version's."""
    match point.kind:
        case "version":
            assert version is not None, "a version's point has one"
            checked = version.checked if version.cause == "definition" else None
            model = version.model if point.model is not None else None
            return engine.publish(checked, model, wall_ms=wall_ms, mapping=version.mapping)
        case "tick":
            assert point.until_ms is not None, "a tick says until when"
            return engine.tick(point.until_ms, wall_ms=wall_ms)
        case "pause" | "resume":
            assert point.campaign is not None, "a brake says which campaign"
            engine.brake(point.campaign, paused=point.kind == "pause")
        case "erase":
            return engine.erase(erased_at(point), wall_ms=wall_ms)
    return Effects()
