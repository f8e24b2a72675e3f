"""The mapping: which events are which kind, and where their fields are.

A mapping is a file of rules, the first that matches wins; what no rule matches is of the kind `other`. Where an event
is not in the Segment spec's own form, an envelope says how to recognise it and where its user, time and name are. The
decoder reads one form only, Segment's: whatever lies elsewhere is brought there first (`Rule.properties`,
`Envelope.open`), so a mapping decides where a value is and never what it means.

A path is member names joined by dots; a number in it is a place in an array: `contexts.0.revenue`. A path that leads
nowhere finds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from schemas.events import KIND_NUMBERS
from worker.language.mapping_file import EnvelopeSpec, EventField, MappingSpec, ProductField, RuleSpec, Scalar, read
from worker.language.mistakes import MappingError, Mistake

__all__ = ["SHIPPED", "Mapping", "MappingError", "Rule"]

SHIPPED: Final = Path(__file__).parents[2] / "schemas" / "mapping.yaml"
QUIET_KINDS: Final = ("refund", "message_sent")  # kinds that are no activity

PRODUCT_FIELDS: Final[tuple[ProductField, ...]] = ("product_id", "category", "price", "quantity")
_BROWSED_FIELDS: Final[tuple[EventField, ...]] = ("products", "product_id", "category")
_CART_FIELDS: Final[tuple[EventField, ...]] = (*_BROWSED_FIELDS, "price", "quantity")
_ORDER_FIELDS: Final[tuple[EventField, ...]] = (
    "products", "category", "order_id", "total", "revenue", "value", "currency",
)  # fmt: skip
FIELDS: Final[dict[str, tuple[EventField, ...]]] = {  # what each kind is read for
    "view": _BROWSED_FIELDS,
    "wishlist": _BROWSED_FIELDS,
    "cart_add": _CART_FIELDS,
    "cart_remove": _CART_FIELDS,
    "order": _ORDER_FIELDS,
    "refund": _ORDER_FIELDS,
    "review": ("rating",),
    "message_sent": ("decision_id",),
    "message_clicked": ("decision_id",),
    "other": ("channel",),
}
Json = Any
Getter = Callable[[Json], Json]


def getter(paths: str | Sequence[str]) -> Getter:
    """Return a function that finds the first present value of one or several paths; None if there is none."""
    ways = [tuple(path.split(".")) for path in ([paths] if isinstance(paths, str) else paths)]

    def find(source: Json) -> Json:
        for way in ways:
            value = _follow(source, way)
            if value is not None:
                return value
        return None

    return find


def _follow(value: Json, way: tuple[str, ...]) -> Json:
    for name in way:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return None
    return value


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule.

    `kind` is a number of `KINDS`. `conditions` are what must hold beside the name. `properties` builds Segment's
    properties from the source event, or is None where they are already in that form.
    """

    kind: int
    activity: bool
    revokes_consent: bool
    conditions: tuple[tuple[Getter, tuple[Scalar, ...]], ...]
    properties: Getter | None

    def matches(self, source: Json) -> bool:
        """Return whether every condition holds for the source event; values are equal only if their JSON types are."""
        for find, allowed in self.conditions:
            value = find(source)
            if not any(_same(value, wanted) for wanted in allowed):
                return False
        return True


def _same(value: Json, wanted: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return isinstance(value, (int, float)) and value == wanted


@dataclass(frozen=True, slots=True)
class Envelope:
    """A compiled envelope: `open` gives the event in Segment's form, or None if it isn't in this one's."""

    name: str
    detect: tuple[Getter, ...]
    constants: Dictionary[str, str]
    fields: tuple[tuple[str, Getter], ...]

    def open(self, source: Json) -> dict[str, Json] | None:
        """Return the source event in Segment's form, or None if it is not in this envelope."""
        if any(find(source) is None for find in self.detect):
            return None
        event: dict[str, Json] = dict(self.constants)
        for name, find in self.fields:
            value = find(source)
            if value is not None:
                event[name] = value
        if "timezone" in event:
            event["context"] = {"timezone": event.pop("timezone")}
        return event


class Mapping:
    """A mapping ready for use.

    `rules[name]` are the rules that can match an event of that name, in the order of the file, `general_rules` those
    that can match any other. `hash` is 64 hex digits over the meaning: comments don't change it.
    """

    def __init__(self, spec: MappingSpec) -> None:
        self.spec = spec
        self.envelopes: tuple[Envelope, ...] = tuple(_compile_envelope(envelope) for envelope in spec.envelopes)
        names = {name for rule in spec.rules for name in _names(rule)}
        self.general_rules: tuple[Rule, ...] = _rules_for(spec, None)
        self.rules: dict[str, tuple[Rule, ...]] = {name: _rules_for(spec, name) for name in sorted(names)}

    @classmethod
    def load(cls, path: str | Path | None = None) -> Mapping:
        """Read a mapping file, the shipped one without a path. Raises MappingError."""
        file = SHIPPED if path is None else Path(path)
        try:
            return cls.parse(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise MappingError([Mistake(1, 1, "", f"give a readable file: {file} is none ({error})")]) from error

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """Read a mapping from YAML text. Raises MappingError."""
        return cls(read(text))

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 of the mapping's canonical form."""
        rules = [_canonical_rule(rule) for rule in self.spec.rules]
        envelopes = [envelope.model_dump(mode="json", exclude={"name"}) for envelope in self.spec.envelopes]
        text = json.dumps({"envelopes": envelopes, "rules": rules}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def rule(self, name: str | None, source: Json) -> Rule | None:
        """Return the first rule that matches an event of this name, or None: then its kind is `other`."""
        rules = self.general_rules if name is None else self.rules.get(name, self.general_rules)
        return next((rule for rule in rules if rule.matches(source)), None)

    def segment_form(self, source: Json) -> dict[str, Json] | None:
        """Return the event in Segment's form by the first envelope that fits, or None if none does."""
        opened = (envelope.open(source) for envelope in self.envelopes)
        return next((event for event in opened if event is not None), None)


def _names(rule: RuleSpec) -> list[str]:
    wanted = rule.match.get("event", [])
    return [name for name in (wanted if isinstance(wanted, list) else [wanted]) if isinstance(name, str)]


def _rules_for(spec: MappingSpec, name: str | None) -> tuple[Rule, ...]:
    wanted = (rule for rule in spec.rules if "event" not in rule.match or (name is not None and name in _names(rule)))
    return tuple(_compile_rule(rule) for rule in wanted)


def _compile_rule(rule: RuleSpec) -> Rule:
    conditions = tuple(
        (getter(path), tuple(value) if isinstance(value, list) else (value,))
        for path, value in rule.match.items()
        if path != "event"
    )
    activity = rule.kind not in QUIET_KINDS if rule.activity is None else rule.activity
    properties = _properties_getter(rule) if rule.fields or rule.product else None
    return Rule(KIND_NUMBERS[rule.kind], activity, rule.revokes_consent, conditions, properties)


def _properties_getter(rule: RuleSpec) -> Getter:
    """Builds Segment's properties: each field from its own path, or from where Segment has it."""
    paths = {name: rule.fields.get(name, f"properties.{name}") for name in FIELDS.get(rule.kind, ())}
    products = getter(paths.pop("products", []))
    fields = [(str(name), getter(path)) for name, path in paths.items()]
    product_fields = [(name, getter(rule.product.get(name, name))) for name in PRODUCT_FIELDS]

    def build(source: Json) -> dict[str, Json]:
        properties = _present(source, fields)
        listed = products(source)
        if isinstance(listed, list) and rule.product:
            listed = [_present(product, product_fields) if isinstance(product, dict) else product for product in listed]
        if listed is not None:
            properties["products"] = listed
        return properties

    return build


def _present(source: Json, fields: Iterable[tuple[str, Getter]]) -> dict[str, Json]:
    return {name: value for name, find in fields if (value := find(source)) is not None}


def _compile_envelope(envelope: EnvelopeSpec) -> Envelope:
    return Envelope(
        envelope.name,
        tuple(getter(path) for path in envelope.detect),
        {str(name): value for name, value in envelope.constants.items()},
        tuple((name, getter(paths)) for name, paths in envelope.fields.items()),
    )


def _canonical_rule(rule: RuleSpec) -> dict[str, Json]:
    canonical: dict[str, Json] = rule.model_dump(mode="json")
    canonical["match"] = {path: value if isinstance(value, list) else [value] for path, value in rule.match.items()}
    for part in ("fields", "product"):
        canonical[part] = {name: [path] if isinstance(path, str) else path for name, path in canonical[part].items()}
    if rule.activity is None:
        canonical["activity"] = rule.kind not in QUIET_KINDS
    return canonical
