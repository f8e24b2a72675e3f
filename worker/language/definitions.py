"""A definitions file -> definitions that are right, with their conditions as trees, or all that is wrong with them.

    YAML text -> plain data with its places -> shape (pydantic) + references (names, conditions, circles) -> Checked

The rule: all mistakes at once, each at its exact spot; and one meaning has one hash, in any process, on any day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from schemas.definitions import Campaign, Definitions, Segment, Target
from worker.language.clauses import Condition, meaning
from worker.language.document import Document
from worker.language.mistakes import DefinitionsError, Mistake
from worker.language.references import References
from worker.language.shape import judged, owner

__all__ = ["Checked", "DefinitionsError", "Mistake", "load", "unix_ms"]


class Hashed(Protocol):
    """What is needed of a mapping here: the hash of its meaning."""

    @property
    def hash(self) -> str:
        """Hex digits."""
        ...


@dataclass(frozen=True)
class Checked:
    """Definitions that are right.

    `enter` and `exit` hold the conditions by segment id or `group:tier`. `order` has the places in
    `definitions.segments` in order of evaluation. `hash` is 64 hex digits over what the definitions mean, so not over
    version, names, descriptions, owners, tests, nor how a condition is written.
    """

    definitions: Definitions
    enter: dict[str, Condition]
    exit: dict[str, Condition]
    order: tuple[int, ...]
    hash: str


def load(text: str, mapping: Hashed) -> Checked:
    """Return the definitions written in `text`, YAML 1.2; DefinitionsError carries every mistake there is."""
    document = Document(text)
    definitions, complaints = judged(document, Definitions, "`version` and `segments`")
    references = References(document)
    mistakes = [Mistake(*spot, owner(place, document.data), message) for place, spot, message in document.mistakes]
    for place, spot, message, near in complaints + references.complaints:
        mistakes.append(Mistake(*spot, owner(place, document.data), message, near))
    if mistakes or definitions is None:
        raise DefinitionsError(mistakes)
    digest = hashlib.sha256(_canonical(definitions, references.enter, references.exit, mapping.hash)).hexdigest()
    return Checked(definitions, references.enter, references.exit, references.order, digest)


# The meaning, as canonical JSON


def _canonical(
    definitions: Definitions, enter: Mapping[str, Condition], leave: Mapping[str, Condition], mapping_hash: str
) -> bytes:
    """Return what is hashed; order stays where it means something: segments, tiers, campaigns, variants."""
    whole = {
        "form": 1,
        "mapping": mapping_hash,
        "timezone": definitions.timezone,
        "currency": definitions.currency,
        "rates": definitions.rates,
        "traits": sorted(definitions.traits),
        "profiling": definitions.profiling,
        "holdout": definitions.holdout.model_dump() if definitions.holdout is not None else None,
        "segments": [_segment(segment, enter, leave) for segment in definitions.segments],
        "targets": sorted(map(_target, definitions.targets)),
        "campaigns": [_campaign(campaign) for campaign in definitions.campaigns],
        "caps": sorted((cap.channel, cap.limit, cap.per) for cap in definitions.caps),
    }
    if definitions.retention is not None:  # what has none hashes as it always did
        whole["retention"] = definitions.retention.model_dump()
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _segment(segment: Segment, enter: Mapping[str, Condition], leave: Mapping[str, Condition]) -> list[Any]:
    tiers = []
    for tier in segment.tiers or ():
        dwell = segment.min_dwell if tier.min_dwell is None else tier.min_dwell
        tiers.append([tier.id, dwell, *_rules(f"{segment.id}:{tier.id}", enter, leave)])
    dwell = 0 if tiers else segment.min_dwell
    return [segment.id, dwell, segment.clusters, *_rules(segment.id, enter, leave), tiers]


def _rules(name: str, enter: Mapping[str, Condition], leave: Mapping[str, Condition]) -> list[Any]:
    return [meaning(rules[name]) if name in rules else None for rules in (enter, leave)]


def _target(target: Target) -> tuple[str | int | float, ...]:
    plain = (target.id, target.positive, target.horizon)
    return plain if target.sample == 1 else (*plain, target.sample)  # what has no share hashes as it always did


def _campaign(campaign: Campaign) -> dict[str, Any]:
    plain = campaign.model_dump(exclude={"name", "description", "owner", "variants"})
    plain = {key: unix_ms(value) if isinstance(value, datetime) else value for key, value in plain.items()}
    plain["include_traits"] = sorted(plain["include_traits"])
    plain["variants"] = [(name, variant.share, variant.send) for name, variant in campaign.variants.items()]
    return plain


def unix_ms(instant: datetime) -> int:
    """Return milliseconds since 1970, exactly: a float's rounding has no say."""
    elapsed = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1000 + elapsed.microseconds // 1000
