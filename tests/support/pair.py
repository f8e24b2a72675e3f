"""Engine and twin side by side: the same log, cut into batches at will, must give the same records in order."""

import json
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from ruamel.yaml import YAML

from schemas.models import Snapshot
from tests.support.random_definitions import text_of
from tests.support.streams import Record
from worker.core.engine import Engine
from worker.core.erasures import Erased
from worker.core.records import Effects
from worker.language.definitions import Checked, load
from worker.language.mapping import Mapping
from worker.naive.twin import Twin

__all__ = ["BY_USER", "MAPPING", "Pair", "checked_of", "cuts", "on_the_wire"]

MAPPING = Mapping.load()
WALL_MS = 1_800_000_000_000
BY_USER = ("transitions", "decisions", "triggers", "conversions", "messages", "samples", "observations")


def checked_of(definitions: dict[str, Any], mapping: Mapping = MAPPING) -> Checked:
    """Return definitions as the engine takes them."""
    return load(text_of(definitions), mapping)


def cuts(rng: random.Random, total: int, size: int) -> list[int]:
    """Return where batches end: every `size` records, or anywhere for size 0."""
    if size > 0:
        return [*range(size, total, size), total]
    return [*sorted(rng.sample(range(1, total), min(total - 1, 12))), total]


def on_the_wire(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Return records as consumers read them."""
    read: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(records))
    return read


def without_wall(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records without the one field that is the wall clock's."""
    return [{key: value for key, value in record.items() if key != "emitted_at"} for record in records]


def alike(ours: Any, theirs: Any) -> bool:
    """Compare records; numbers (the values that reasons show) may differ in the last bits."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=1e-9)
    return bool(ours == theirs)


class Pair:
    """An engine and a twin under the same definitions; `engine` may be replaced, as a restart does.

    With a mapping (YAML) both read by it; without one the engine does by the shipped one, the twin by Segment's names.
    """

    def __init__(self, definitions: dict[str, Any], model: dict[str, Any] | None = None, mapping: str | None = None,
                 **options: Any) -> None:  # fmt: skip
        engines = MAPPING if mapping is None else Mapping.parse(mapping)
        twins = None if mapping is None else YAML(typ="safe").load(mapping)
        checked = checked_of(definitions, engines)
        self.checked, self.model = checked, Snapshot.model_validate(model) if model else None
        self.engine = Engine(checked, engines, model=self.model, **options)
        options.pop("pseudonyms", None)
        self.twin = Twin(definitions, checked.hash, model=model, mapping=twins, **options)
        self.wall = options.get("clock") == "wall"
        self.effects: list[Effects] = []
        self.offset = 0

    def step(self, records: Sequence[Record], wall_ms: int = WALL_MS) -> None:
        """Give both the next records of the log: the engine in one batch, the twin one by one."""
        keys = [record.key for record in records] if self.wall else None
        arrivals = [record.arrival_ms for record in records] if self.wall else None
        payloads = [record.payload for record in records]
        self.effects.append(self.engine.step(payloads, self.offset, keys, arrivals, wall_ms=wall_ms))
        for place, record in enumerate(records):
            key, arrival = (record.key, record.arrival_ms) if self.wall else (None, None)
            self.twin.record(self.offset + place, record.payload, key=key, arrival_ms=arrival, wall_ms=wall_ms)
        self.offset += len(records)

    def tick(self, until_ms: int) -> None:
        """Let time pass in both."""
        self.effects.append(self.engine.tick(until_ms, wall_ms=WALL_MS))
        self.twin.tick(until_ms, wall_ms=WALL_MS)

    def publish(self, definitions: dict[str, Any] | None = None, model: dict[str, Any] | None = None) -> None:
        """Put a version in force in both."""
        checked = checked_of(definitions) if definitions else None
        snapshot = Snapshot.model_validate(model) if model else None
        self.checked, self.model = checked or self.checked, snapshot or self.model
        self.effects.append(self.engine.publish(checked, snapshot, wall_ms=WALL_MS))
        self.twin.publish(definitions, checked.hash if checked else None, model, wall_ms=WALL_MS)

    def erase(self, user_id: str, until_ms: int, *, suppress: bool = False) -> None:
        """Erase a user in both."""
        pseudonyms = self.engine.erasures.pseudonyms
        erased = Erased(pseudonyms.of(user_id), pseudonyms.version, until_ms, suppress)
        self.effects.append(self.engine.erase(erased, user_id, wall_ms=WALL_MS))
        self.twin.erase(user_id, until_ms, suppress=suppress, wall_ms=WALL_MS)

    def restart(self) -> None:
        """Save the engine to bytes and go on with one made from them."""
        pseudonyms = self.engine.erasures.pseudonyms
        self.engine = Engine.from_bytes(self.engine.to_bytes(), self.checked, MAPPING, self.model, pseudonyms)

    def assert_equal(self) -> None:
        """Hold every record, membership and count of the engine to the twin's."""
        for topic in BY_USER:
            ours = without_wall(on_the_wire([r for effects in self.effects for r in getattr(effects, topic)]))
            theirs = getattr(self.twin, topic)
            for place, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
                assert alike(mine, other), f"{topic}[{place}]:\n{json.dumps(mine)}\n{json.dumps(other)}"
            assert len(ours) == len(theirs), f"{topic}: {(ours + theirs)[min(len(ours), len(theirs)) :][:1]}"
        assert list(self.engine.memberships()) == self.twin.memberships()
        self.assert_conserved()

    def assert_conserved(self) -> None:
        """Read = applied + duplicates + dead letters, in both, and the same in both."""
        counts = self.twin.counts
        dead = [letter for effects in self.effects for letter in effects.dead_letters]
        totals = {
            name: sum(getattr(effects, name) for effects in self.effects)
            for name in ("read", "applied", "duplicates", "repaired")
        }
        assert totals == {name: counts[name] for name in totals}
        assert [(letter.reason, letter.offset) for letter in dead] == [
            (d["reason"], d["offset"]) for d in self.twin.dead_letters
        ]
        assert totals["read"] == totals["applied"] + totals["duplicates"] + len(dead)
