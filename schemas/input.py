"""The JSON Schema of the input, composed of the models of `events.py`: what a shop may check its events with.

It says what is read without a repair or a dead letter, for Segment's own names of events. What a record must have in
common stands at the top, what its kind asks for is chosen by its type and name.
"""

from collections import defaultdict
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.events import EVENTS, REVOKING, SEGMENT_KINDS, TEXT_BYTES_MAX, ConsentEvent, PlainEvent
from schemas.examples import EVENT_EXAMPLES

__all__ = ["event_schema"]

COMMON: dict[str, Any] = {
    "type": {"enum": ["track", "identify", "page", "screen"]},
    "event": {"type": ["string", "null"], "description": "The name; required of `track`."},
    "userId": {"type": ["string", "null"], "minLength": 1, "maxLength": TEXT_BYTES_MAX, "pattern": "^(?!anon:)"},
    "anonymousId": {"type": ["string", "null"], "description": "Read without a `userId`."},
    "timestamp": {"type": ["string", "number", "null"], "description": "RFC 3339 with offset, or epoch milliseconds."},
    "originalTimestamp": {"type": ["string", "number", "null"], "description": "Read without a `timestamp`."},
    "properties": {"type": ["object", "null"]},
}


def event_schema() -> dict[str, Any]:
    """Return the schema of a record of the input, without its dialect."""
    models: list[type[BaseModel]] = [ConsentEvent, *EVENTS.values()]
    _, definitions = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    return {
        "title": "Event",
        "description": "An event of the shop in the Segment spec; members that aren't named are let through unread.",
        "type": "object",
        "required": ["type"],
        "properties": COMMON,
        "anyOf": [_has("userId"), _has("anonymousId")],
        "allOf": [
            _choice({"type": {"const": "track"}}, {"required": ["event"], **_text("event")}),
            _choice({"type": {"const": "identify"}}, _reference(EVENTS["identify"])),
            *(_choice({"type": {"const": "track"}, "event": {"enum": names}}, part) for names, part in _by_name()),
        ],
        **definitions,
        "examples": EVENT_EXAMPLES,
    }


def _by_name() -> list[tuple[list[str], dict[str, Any]]]:
    """Return (names of events, what is asked of them) for each model that asks for more than the common members."""
    names: dict[type[BaseModel], list[str]] = defaultdict(list)
    for name, kind in SEGMENT_KINDS.items():
        names[EVENTS[kind]].append(name)
    names[ConsentEvent] = list(REVOKING)
    return [(found, _reference(model)) for model, found in names.items() if model is not PlainEvent]


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    """Return a reference to a model's definition."""
    return {"$ref": f"#/$defs/{model.__name__}"}


def _choice(members: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that asks for `then` where the members are as given."""
    return {"if": {"required": list(members), "properties": members}, "then": then}


def _has(member: str) -> dict[str, Any]:
    """Return a schema that asks for a text member."""
    return {"required": [member], **_text(member)}


def _text(member: str) -> dict[str, Any]:
    """Return a schema in which a member, if there, is text that isn't empty."""
    return {"properties": {member: {"type": "string", "minLength": 1}}}
