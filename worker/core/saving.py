"""An engine as bytes, and back.

MessagePack with a format number: rows with the layout they are under, names behind the numbers, clocks and counters. A
layout is stored with the rows, so a release that lays rows out otherwise reads its predecessor's. What a
version has yet to evaluate stays so: rows carry the number of the version that they were last evaluated under.
"""

import msgspec
import numpy as np

from schemas.models import Snapshot
from worker.core.layout import Layout
from worker.core.retired import Retired
from worker.core.state import Rows, empty_hours
from worker.language.definitions import Checked

__all__ = ["FORMAT", "Saved", "StateError", "read", "restored_rows"]

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
    clock: str
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


def restored_rows(saved: Saved, layout: Layout, version: int, campaigns: list[str]) -> Rows:
    """Return the saved rows under `layout`, moved column by column where they lay otherwise."""
    old = Layout.from_list(saved.layout, saved.words)
    rows = Rows(old, version, 0)
    rows.restore(np.frombuffer(saved.rows, np.int64).reshape(-1, saved.words))
    if layout.hash != old.hash:
        rows.change_layout(layout, version)
        rows.carried_over(np.arange(rows.count, dtype=np.int64))
    rows.restore_due(np.frombuffer(saved.due, np.int64))
    rows.hours = empty_hours(len(campaigns))
    for place, campaign in enumerate(campaigns):
        if campaign in saved.hours:
            rows.hours[place] = np.frombuffer(saved.hours[campaign], np.int64).reshape(rows.hours[place].shape)
    return rows
