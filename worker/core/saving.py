"""An engine as bytes, and back.

MessagePack with a format number: rows with the layout they are under, names behind the numbers, clocks and counters. A
layout is stored with the rows, so a release that lays rows out otherwise reads its predecessor's. What a
version has yet to evaluate stays so: rows carry the number of the version that they were last evaluated under.
"""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from schemas.models import Snapshot
from worker.core.definitions import Checked
from worker.core.layout import Layout
from worker.core.mapping import Mapping
from worker.core.retired import Retired
from worker.core.state import Rows, empty_hours

if TYPE_CHECKING:
    from worker.core.engine import Engine

__all__ = ["FORMAT", "Saved", "StateError", "from_bytes", "restored_rows", "to_bytes"]

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


def to_bytes(engine: "Engine") -> bytes:
    """Return the engine as bytes; rows that still wait for their layout are carried over first."""
    rows, version = engine.rows, engine.version
    rows.carried_over(np.arange(rows.count, dtype=np.int64))
    settings = version.program.settings[0]
    saved = Saved(
        format=FORMAT, topic=engine.topic, partition=engine.partition, partitions=engine.partitions,
        grace_ms=engine.grace_ms, clock=engine.clock, clock_ms=engine.clock_ms, users=engine.users.ids[: rows.count],
        texts=engine.strings.texts, zones=engine.zones.names, hashes=engine.hashes,
        model=version.model.hash if version.model else None, version_clock=int(settings["version_clock"]),
        version_cause=int(settings["version_cause"]), retired=version.retired,
        braked=sorted(engine.braked), layout=rows.layout.as_list(), words=rows.layout.words,
        rows=rows.rows[: rows.count, : rows.layout.words].tobytes(), due=rows.due[: rows.count].tobytes(),
        hours={campaign.id: rows.hours[place].tobytes() for place, campaign in enumerate(version.campaigns)},
        taken=engine.taken, passed_ms=engine.passed_ms,
    )  # fmt: skip
    return msgspec.msgpack.encode(saved)


def from_bytes(
    kind: type["Engine"], data: bytes, checked: Checked, mapping: Mapping, model: Snapshot | None
) -> "Engine":
    """Return the engine that `to_bytes` saved; raises StateError."""
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
    engine = kind.__new__(kind)
    engine.resume(saved, checked, mapping, model)
    return engine


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
