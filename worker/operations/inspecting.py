"""A sample of the input, read as the workers would read it: what they would make of it, and what they could not use.

The rule: nothing is decided here. Reasons, kinds and repairs are the decoder's, asked three times: as it is (what would
be refused), without a look at the keys (what is in it), and by the events' own times (how late they come).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.events import FUTURE_MS_MAX, IDENTIFY, KIND_NUMBERS, KINDS
from worker.core.batch import KIND, MESSAGE, OFFSET, SLOT, TIME, Batch
from worker.core.decode import Decoder
from worker.core.interning import Strings, Users
from worker.core.json_text import parsed
from worker.core.zones import Zones
from worker.files.configuration import Configuration
from worker.kafka.clients import reader
from worker.kafka.following import Records, pieces, spans_of, tails
from worker.language.mapping import Mapping
from worker.operations.keys import opened
from worker.operations.publishing import in_force
from worker.settings import Settings

__all__ = ["inspect"]

NAMES_MAX = 100
TIMESTAMP_TYPES = {0: "CreateTime", 1: "LogAppendTime"}


async def inspect(settings: Settings, records_max: int) -> dict[str, Any]:
    """Return what the last records over all partitions come to, as one object of JSON.

    They are read under the newest published definitions and mapping, else under those that are shipped.
    """
    under, label = await in_force(settings)
    async with reader(settings) as reading:
        spans = tails(await spans_of(reading, settings.events_topic), records_max)
        records = [record async for piece in pieces(reading, spans) for record in piece]
    return {
        "topic": settings.events_topic,
        "partitions": len(spans),
        "definitions": label,
        **_judged(records, under, settings.grace_ms),
    }


@dataclass(frozen=True)
class _Sample:
    """Records as columns."""

    payloads: list[bytes]
    keys: list[bytes | None]
    arrivals_ms: list[int]


def _judged(records: Records, under: Configuration, grace_ms: int) -> dict[str, Any]:
    sample = _Sample(
        [record.value or b"" for record in records],
        [record.key for record in records],
        [record.timestamp for record in records],
    )
    as_it_is = _decoded(under, sample.payloads, sample.keys, sample.arrivals_ms)
    content = _decoded(under, sample.payloads, None, sample.arrivals_ms)
    reasons = Counter(letter.reason for letter in as_it_is.dead_letters)
    mismatched = [records[letter.offset] for letter in as_it_is.dead_letters if letter.reason == "key_mismatch"]
    return {
        "read": len(records),
        "timestamp_types": dict(Counter(TIMESTAMP_TYPES.get(record.timestamp_type, "none") for record in records)),
        "kinds": _kinds(content),
        "unmapped": dict(_unmapped(sample.payloads, content, under.mapping).most_common(NAMES_MAX)),
        "dead_letters": dict(reasons.most_common()),
        "repaired": as_it_is.repaired,
        "key_mismatches": {
            "count": len(mismatched),
            "without_key": sum(record.key is None for record in mismatched),
            "first": f"{mismatched[0].partition}:{mismatched[0].offset}" if mismatched else None,
        },
        "lateness": _lateness(under, sample, grace_ms),
        "duplicates": _duplicates(content),
    }


def _decoded(
    under: Configuration, payloads: Sequence[bytes], keys: list[bytes | None] | None, arrivals_ms: list[int] | None
) -> Batch:
    """Decode everything; a record's offset is its place in the sample."""
    definitions = under.checked.definitions.model_copy(update={"retention": None})  # a sample is read to its end
    decoder = Decoder(under.mapping, definitions, Users(), Strings(), Zones(), event_clock=False)
    return decoder.decode(payloads, range(len(payloads)), keys, arrivals_ms)


def _kinds(content: Batch) -> dict[str, int]:
    counts = np.bincount(content.records[:, KIND], minlength=IDENTIFY + 1).tolist()
    return {name: count for name, count in zip((*KINDS, "identify"), counts, strict=True) if count}


def _unmapped(payloads: Sequence[bytes], content: Batch, mapping: Mapping) -> Counter[str]:
    """Count the names of events that no rule of the mapping knows: they are `other`, and counted as activity."""
    names: Counter[str] = Counter()
    others = content.records[content.records[:, KIND] == KIND_NUMBERS["other"]]
    for place in others[:, OFFSET].tolist():
        event = opened(payloads[place], mapping)
        if event is not None and event.type == "track":
            source, _ = parsed(payloads[place])
            names[event.event] += mapping.rule(event.event, source) is None
    return +names


def _lateness(under: Configuration, sample: _Sample, grace_ms: int) -> dict[str, Any]:
    """Return how long after the events' own times they came, in seconds, and how many beyond what is waited for."""
    records = _decoded(under, sample.payloads, None, None).records
    if not len(records):
        return {"with_time": 0, "late_share": 0.0, "future_share": 0.0, "p50_seconds": None, "p99_seconds": None}
    late_ms = np.array(sample.arrivals_ms, np.int64)[records[:, OFFSET]] - records[:, TIME]
    p50, p99 = np.percentile(late_ms, (50, 99)) / 1000
    return {
        "with_time": len(records),
        "late_share": float((late_ms > grace_ms).mean()),
        "future_share": float((late_ms < -FUTURE_MS_MAX).mean()),
        "p50_seconds": round(float(p50), 3),
        "p99_seconds": round(float(p99), 3),
    }


def _duplicates(content: Batch) -> dict[str, int]:
    """Return how many records repeat a user's message id, and how many have none to tell them by."""
    events = content.records[content.records[:, KIND] != IDENTIFY]
    named = events[events[:, MESSAGE] != 0]
    distinct = np.unique(named[:, [SLOT, MESSAGE]], axis=0)
    return {"by_message_id": len(named) - len(distinct), "without_message_id": len(events) - len(named)}
