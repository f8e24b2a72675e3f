"""An engine as bytes, and back.

MessagePack with a format number: rows with the layout they are under, names behind the numbers, clocks and counters. A
layout is stored with the rows, so a release that lays rows out otherwise reads its predecessor's. What a
version has yet to evaluate stays so: rows carry the number of the version that they were last evaluated under.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from schemas.models import Snapshot
from worker.core.erasures import Erased, Erasures
from worker.core.interning import Strings, Users
from worker.core.layout import Layout
from worker.core.program import Version
from worker.core.pseudonyms import Pseudonyms
from worker.core.retired import Retired
from worker.core.segments import CAUSES
from worker.core.state import Rows
from worker.core.zones import Zones
from worker.language.definitions import Checked
from worker.language.mapping import Mapping

__all__ = ["FORMAT", "Past", "Saved", "StateError", "past_of", "read", "restored_rows"]

FORMAT = 1


class StateError(ValueError):
    """These bytes are no saved state, or not one of this version of the definitions; the message says which."""


class Saved(msgspec.Struct, frozen=True):
    """The stored form of an engine."""

    format: int
    topic: str
    partition: int
    partitions: int
    grace_ms: int
    clock: Literal["event", "wall"]
    clock_ms: int | None
    users: list[str]
    texts: list[str]
    zones: list[str]
    hashes: list[str]
    model: str | None
    version_clock: int
    version_cause: int
    retired: Retired
    braked: list[str]
    layout: list[tuple[str, str, int, int, float]]
    words: int
    rows: bytes
    due: bytes
    hours: dict[str, bytes]
    taken: int
    passed_ms: int
    erased: list[Erased]


@dataclass(frozen=True)
class Past:
    """What an engine has to be told, besides its rows, to go on where another one was."""

    checked: Checked
    mapping: Mapping
    model: Snapshot | None
    topic: str
    partition: int
    partitions: int
    grace_ms: int
    clock: Literal["event", "wall"]
    clock_ms: int | None
    users: Users
    strings: Strings
    zones: Zones
    hashes: list[str]
    version_clock_ms: int
    version_cause: str
    retired: Retired
    braked: frozenset[str]
    taken: int
    passed_ms: int
    erasures: Erasures


def past_of(saved: Saved, checked: Checked, mapping: Mapping, model: Snapshot | None, pseudonyms: Pseudonyms) -> Past:
    """Return what was saved, without the rows. Raises UnknownKeyError."""
    return Past(
        checked=checked, mapping=mapping, model=model, topic=saved.topic, partition=saved.partition,
        partitions=saved.partitions, grace_ms=saved.grace_ms, clock=saved.clock, clock_ms=saved.clock_ms,
        users=Users(saved.users), strings=Strings(saved.texts), zones=Zones(tuple(saved.zones)), hashes=saved.hashes,
        version_clock_ms=saved.version_clock, version_cause=CAUSES[saved.version_cause], retired=saved.retired,
        braked=frozenset(saved.braked), taken=saved.taken, passed_ms=saved.passed_ms,
        erasures=Erasures(pseudonyms, saved.erased),
    )  # fmt: skip


def read(data: bytes, checked: Checked, model: Snapshot | None) -> Saved:
    """Return what was saved, if it is of this release, these definitions and this model; raises StateError."""
    try:
        saved = msgspec.msgpack.decode(data, type=Saved)
    except msgspec.MsgspecError as error:
        raise StateError(f"this is not a saved state: {error}") from None
    if saved.format != FORMAT:
        raise StateError(f"this state has format {saved.format}; this release reads {FORMAT}")
    if saved.hashes[-1] != checked.hash or saved.model != (model.hash if model else None):
        raise StateError(
            "this state was saved under other definitions, another mapping or another model; give the ones it knows"
        )
    return saved


def restored_rows(saved: Saved, version: Version) -> Rows:
    """Return the saved rows under a version's layout, moved column by column where they lay otherwise."""
    old = Layout.from_list(saved.layout, saved.words)
    rows = Rows(old, version.number, 0)
    rows.restore(np.frombuffer(saved.rows, np.int64).reshape(-1, saved.words))
    if version.layout.hash != old.hash:
        rows.change_layout(version.layout, version.number)
        rows.carried_over(np.arange(rows.count, dtype=np.int64))
    rows.restore_due(np.frombuffer(saved.due, np.int64))
    rows.restore_hours([campaign.id for campaign in version.campaigns], saved.hours)
    return rows
