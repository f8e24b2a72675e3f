"""The AsyncAPI 3.0 document, built from the table of topics.

Channels are topics, messages their records, operations what the workers do with them. Payloads refer to the JSON
Schemas that lie beside the document.
"""

from io import StringIO
from typing import Any, get_args

from ruamel.yaml import YAML

from schemas.cloudevents import CONTENT_TYPE, SPEC_VERSION
from schemas.outputs import TIMESTAMP_PATTERN, Direction
from schemas.topics import PREFIX_DEFAULT, TOPICS, Topic

__all__ = ["document", "event_types", "text"]

INTERFACE_VERSION = "1.0.0"
SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
BINDING_VERSION = "0.5.0"
ACTIONS = {"read": ("receive",), "written": ("send",), "both": ("send", "receive")}


def text() -> str:
    """Return the document as YAML."""
    yaml = YAML()
    yaml.width = 120
    stream = StringIO()
    yaml.dump(document(), stream)
    return stream.getvalue()


def document() -> dict[str, Any]:
    """Return the document as plain objects."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Shoal",
            "version": INTERFACE_VERSION,
            "description": "A shop's events in, segment changes and campaign decisions out. Generated from the code.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            f"{action}-{topic.name}": _operation(topic, action)
            for topic in TOPICS
            for action in ACTIONS[topic.direction]
        },
        "components": {"messages": {topic.record: _message(topic) for topic in TOPICS}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    """Return a topic as a channel."""
    return {
        "address": f"{{prefix}}{topic.name}",
        "description": topic.summary,
        "messages": {topic.record: {"$ref": f"#/components/messages/{topic.record}"}},
        "parameters": {"prefix": {"description": "Before the name of every topic.", "default": PREFIX_DEFAULT}},
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup],
                    "retention.ms": topic.retention_ms,
                    **topic.settings,
                },
                "bindingVersion": BINDING_VERSION,
            }
        },
        "x-partitions": topic.partitions,
        "x-personal-data": topic.personal,
    }


def _operation(topic: Topic, action: str) -> dict[str, Any]:
    """Return what the workers do with a topic."""
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{topic.record}"}],
    }


def _message(topic: Topic) -> dict[str, Any]:
    """Return a topic's record as a message."""
    message: dict[str, Any] = {
        "name": topic.record,
        "summary": topic.summary,
        "contentType": CONTENT_TYPE if topic.schema_file else "application/octet-stream",
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": BINDING_VERSION}},
    }
    if topic.event_type is not None:
        message["headers"] = _headers(topic)
    if topic.schema_file is not None:
        message["payload"] = {"schemaFormat": SCHEMA_FORMAT, "schema": {"$ref": f"./{topic.schema_file}"}}
    return message


def _headers(topic: Topic) -> dict[str, Any]:
    """Return the schema of a topic's CloudEvents headers."""
    properties: dict[str, Any] = {
        "ce_specversion": {"const": SPEC_VERSION},
        "ce_id": {"type": "string", "description": f"Made of {', '.join(topic.event_id)}."},
        "ce_source": {"type": "string", "pattern": "^/shoal/", "examples": [f"/shoal/{PREFIX_DEFAULT}"]},
        "ce_type": {"enum": event_types(topic)},
        "content-type": {"const": CONTENT_TYPE},
    }
    if topic.event_time is not None:
        described = f"The record's {topic.event_time}."
        properties["ce_time"] = {"type": "string", "pattern": TIMESTAMP_PATTERN, "description": described}
    return {"type": "object", "required": list(properties), "properties": properties}


def event_types(topic: Topic) -> list[str]:
    """Return all CloudEvents types a topic's records may have.

    >>> event_types(TOPICS[1])
    ['shoal.segment.entered.v1', 'shoal.segment.exited.v1']
    """
    template = topic.event_type or ""
    if "{direction}" in template:
        return [template.replace("{direction}", direction) for direction in get_args(Direction)]
    return [template]
