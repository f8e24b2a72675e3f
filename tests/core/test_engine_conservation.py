"""Nothing that comes in can break the engine or get lost: read = applied + duplicates + dead letters, always.

Records are cut, flipped, spliced and given values of the wrong type; what remains of them goes to engine and twin
between good ones.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.core.support import Log, Scenario
from tests.support.pair import MAPPING, WALL_MS, Pair, checked_of
from tests.support.streams import Record, Settings
from worker.core.engine import Engine
from worker.core.records import DeadLetterRecord

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, -1e308, 10**400, 0.1, "", "x", "é" * 300, "\ud800", "\x00", [], {}, [[]], [None],
    {"a": 1}, "2026-03-28T00:00:00Z", "NaN", 2**63, -(2**63) - 1,
)  # fmt: skip


def flipped(rng: random.Random, payload: bytes) -> bytes:
    """Some bytes changed to any others."""
    changed = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def spliced(rng: random.Random, payload: bytes) -> bytes:
    """A piece left out, or put in once more."""
    first, last = sorted(rng.randrange(len(payload) + 1) for _ in range(2))
    return payload[:first] + payload[last:] if rng.random() < 0.5 else payload[:last] + payload[first:]


def noise(rng: random.Random, payload: bytes) -> bytes:
    """Any bytes at all."""
    return rng.randbytes(rng.randrange(len(payload)))


def mistyped(rng: random.Random, payload: bytes) -> bytes:
    """A value somewhere in the record replaced by one of another type."""
    try:
        record = json.loads(payload)
    except ValueError:
        return payload
    places: list[tuple[Any, Any]] = []
    stack = [record]
    while stack:
        inner = stack.pop()
        if isinstance(inner, dict | list):
            places += [(inner, key) for key in (inner if isinstance(inner, dict) else range(len(inner)))]
            stack += inner.values() if isinstance(inner, dict) else inner
    if places:
        inner, key = rng.choice(places)
        inner[key] = rng.choice(WRONG)
    return json.dumps(record).encode()


def broken(seed: int, spoil: Callable[[random.Random, bytes], bytes]) -> list[Record]:
    """A log of which every other record is spoilt."""
    rng = random.Random(seed)
    log = Log(rng, Settings(users=4, malformed=0.02)).make(400)
    return [
        Record(spoil(rng, each.payload), each.key, each.arrival_ms) if each.payload and rng.random() < 0.5 else each
        for each in log
    ]


@pytest.mark.parametrize("clock", ["event", "wall"])
@pytest.mark.parametrize("spoil", [flipped, spliced, noise, mistyped])
@pytest.mark.parametrize("seed", range(3))
def test_spoilt_records_break_nothing_and_are_all_accounted_for(
    seed: int, spoil: Callable[[random.Random, bytes], bytes], clock: str
) -> None:
    """Never an exception; the same dead letters for the same reasons as the twin; the rest as if nothing had been."""
    scenario = Scenario(seed, clock, events=400)
    scenario.records = broken(seed, spoil)
    pair = scenario.drive(scenario.pair(), 50)
    assert sum(len(effects.dead_letters) for effects in pair.effects) >= 10
    pair.assert_equal()


@pytest.mark.parametrize("seed", range(4))
def test_counts_by_reason_add_up_batch_by_batch(seed: int) -> None:
    """In every single batch read = applied + duplicates + dead letters, these by reason; repairs as in the twin."""
    pair = Scenario(seed).pair()
    log = broken(seed, mistyped)
    for place in range(0, len(log), 7):
        pair.step(log[place : place + 7])
        effects = pair.effects[-1]
        assert effects.read == effects.applied + effects.duplicates + len(effects.dead_letters)
        assert sum(effects.dead_letter_counts.values()) == len(effects.dead_letters)
    repaired: dict[str, int] = {}
    for effects in pair.effects:
        for reason, count in effects.repaired_counts.items():
            repaired[reason] = repaired.get(reason, 0) + count
    assert repaired == pair.twin.counts["repaired_reasons"]
    pair.assert_equal()


def test_a_batch_of_nothing_but_noise_leaves_the_engine_as_it_was() -> None:
    """All dead letters: no clock, no user, no effect; and an empty batch is none at all."""
    scenario = Scenario(1)
    engine = Engine(checked_of(scenario.definitions), MAPPING, model=scenario.pair().model)
    before = engine.to_bytes()
    effects = engine.step([b"\xff" * n for n in range(100)], 0, wall_ms=WALL_MS)
    assert (effects.read, effects.applied, len(effects.dead_letters)) == (100, 0, 100)
    assert engine.step([], 100, wall_ms=WALL_MS).read == 0
    assert engine.to_bytes() == before


def test_a_dead_letter_names_its_place_and_keeps_its_payload_cut() -> None:
    """Reason, topic, partition, offset; a payload that is no text is made readable, a long one cut."""
    engine = Engine(checked_of(Scenario(1).definitions), MAPPING, topic="t", partition=3, partitions=4)
    effects = engine.step([b"\xffno", b"x" * 70_000], [7, 99], wall_ms=WALL_MS)
    first, second = effects.dead_letters
    assert first == DeadLetterRecord("not_json", "t", 3, 7, "\ufffdno")
    assert (second.reason, second.offset) == ("too_large", 99)
    assert len(second.payload) < 10_000
    assert effects.dead_letter_counts == {"not_json": 1, "too_large": 1}


def test_outputs_that_fill_up_lose_nothing() -> None:
    """One batch with more transitions than the outputs have room for: written out in between, none lost."""
    segments = [{"id": f"s{n}", "enter": f"cart_items > {n}", "exit": f"cart_items <= {n}"} for n in range(20)]
    pair = Pair({"version": 1, "segments": segments})
    base = {"type": "track", "userId": "u", "messageId": None}
    payloads = [
        json.dumps(
            {**base, "event": event, "timestamp": 1_774_641_600_000 + n, "properties": {"quantity": 20}}
        ).encode()
        for n, event in enumerate(["Product Added", "Product Removed"] * 500)
    ]
    pair.step([Record(payload, b"u", 0) for payload in payloads])
    assert len(pair.twin.transitions) == 20_000 > len(pair.engine._pass.outputs.transitions)
    pair.assert_equal()


def test_offsets_may_have_gaps() -> None:
    """Compaction and transactions leave gaps: the offsets given are the offsets told."""
    scenario = Scenario(2)
    engine = Engine(checked_of(scenario.definitions), MAPPING, model=scenario.pair().model)
    payloads = [record.payload for record in scenario.records]
    offsets = [3 * place + 5 for place in range(len(payloads))]
    effects = engine.step(payloads, offsets, wall_ms=WALL_MS)
    sources = {t.source.offset for t in effects.transitions if t.source}
    sources |= {letter.offset for letter in effects.dead_letters}
    assert len(sources) > 10
    assert sources <= set(offsets)
    assert max(sources) > len(payloads)
