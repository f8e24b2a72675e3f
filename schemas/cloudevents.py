"""CloudEvents headers of a record, as the Kafka protocol binding wants them in binary mode.

The value is the record itself, the attributes are headers named `ce_…`, all of them UTF-8.
"""

import re
from collections.abc import Mapping
from typing import Any

from schemas.topics import PREFIX_DEFAULT, Topic

__all__ = ["CONTENT_TYPE", "SPEC_VERSION", "event_type", "headers"]

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
Headers = list[tuple[str, bytes]]


def event_type(topic: Topic, record: Mapping[str, Any]) -> str:
    """Return the CloudEvents type of a record; ValueError where the topic carries no CloudEvents.

    >>> from schemas.topics import BY_NAME
    >>> event_type(BY_NAME["segment-changes"], {"direction": "exited"})
    'shoal.segment.exited.v1'
    """
    if topic.event_type is None:
        raise ValueError(f"records of the topic {topic.name} are no CloudEvents")
    return re.sub(r"\{(\w+)\}", lambda member: str(record[member[1]]), topic.event_type)


def headers(topic: Topic, record: Mapping[str, Any], prefix: str = PREFIX_DEFAULT) -> Headers:
    """Return the headers of a record, as (name, value) pairs for a producer.

    `record` is the object that is written as JSON, `prefix` that of the topics' names. Raises ValueError where the
    topic carries no CloudEvents, KeyError where the record lacks a member the headers are made of.
    """
    record_type = event_type(topic, record)
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": "/".join(str(record[member]) for member in topic.event_id),
        "ce_source": f"/shoal/{prefix}",
        "ce_type": record_type,
    }
    if topic.event_time is not None:
        attributes["ce_time"] = str(record[topic.event_time])
    attributes["content-type"] = CONTENT_TYPE
    return [(name, value.encode()) for name, value in attributes.items()]
