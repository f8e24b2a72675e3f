"""Writes what is generated from the models and the table of topics: `python -m schemas.generate [--check]`.

A JSON Schema per record and file format, and an AsyncAPI document, in `schemas/json`; `docs/topics.md`. All of it is
a pure function of the code, so that `--check` (and a test) can hold the files to it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas import asyncapi
from schemas.access import GRANTS, ROLES, operations_of
from schemas.definitions import Definitions
from schemas.examples import EXAMPLES
from schemas.input import event_schema
from schemas.topics import FOREVER_MS, TOPICS, Topic, schema_file

__all__ = ["DIALECT", "ROOT", "files", "main", "outdated", "schemas"]

ROOT = Path(__file__).resolve().parent.parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"

DOCS_OPENING = """# Topics

Generated from `schemas/topics.py` by `python -m schemas.generate`; change it there.

Names carry a prefix, `shoal.` by default. Values are JSON, but for `state`, `learner-state` and `lift-state`. Records
that have a CloudEvents type carry its attributes as headers (Kafka binding, binary mode) with the source
`/shoal/<prefix>`; a member's name in braces stands for its value. A compacted topic keeps the latest record of each
key; a tombstone (a record without a value) takes the key away. Topics with as many partitions as the input are
partitioned as it is, so that a user's records stay together and in order. Whoever reads with
`isolation.level=read_committed` gets each record exactly once.
"""

ACCESS_OPENING = """## Who may do what

Where brokers authorise, these are the least that each role needs; `shoal topics acls` prints them as commands for a
deployment's own names. With a transactional id a worker needs no IdempotentWrite, and nobody needs anything of the
cluster. What isn't listed is to be refused, above all writing `state` to all but the workers, `learner-state` to all
but the trainer, `lift-state` to all but `shoal lift`, and their transactional ids: more in [security](security.md).
"""


def schemas() -> dict[str, dict[str, Any]]:
    """Return all published JSON Schemas (draft 2020-12) by the name of their file."""
    models: list[type[BaseModel]] = [Definitions, *(topic.value for topic in TOPICS if topic.value is not None)]
    found = {schema_file(model.__name__): model_schema(model) for model in models}
    return {**found, schema_file("Event"): {"$schema": DIALECT, **event_schema()}}


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema, with its example if there is one."""
    schema: dict[str, Any] = {"$schema": DIALECT, **model.model_json_schema(mode="validation")}
    if model.__name__ in EXAMPLES:
        schema["examples"] = [EXAMPLES[model.__name__]]
    return schema


def retention_text(topic: Topic) -> str:
    """Return how long a topic keeps its records, in words."""
    if topic.retention_ms == FOREVER_MS:
        return "latest of each key"
    days, hours = topic.retention_ms // 86_400_000, topic.retention_ms // 3_600_000
    return f"{days} days" if days else f"{hours} hour{'s' if hours > 1 else ''}"


def topics_page() -> str:
    """Return the page of documentation about topics, in Markdown."""
    head = ("topic", "what it holds", "key", "cleanup", "retention", "partitions", "personal data", "value", "type")
    table = _table(head, [_row(topic) for topic in TOPICS])
    settings = [
        f"- `{topic.name}`: " + ", ".join(f"`{key}={value}`" for key, value in topic.settings.items())
        for topic in TOPICS
        if topic.settings
    ]
    return "\n".join([DOCS_OPENING, table, "", "Further settings:", "", *settings, "", ACCESS_OPENING, access_text()])


def access_text() -> str:
    """Return who may do what, as a list of roles, a table of topics and one of groups and ids, in Markdown."""
    roles = [f"- {role}: {does}" for role, does in ROLES.items()]
    topics = [(f"`{topic.name}`", *(", ".join(operations_of(role, topic.name)) for role in ROLES)) for topic in TOPICS]
    others = [
        (
            grant.role,
            grant.resource,
            ", ".join(f"`{name}`" for name in grant.names),
            "beginning" if grant.prefixed else "whole",
            ", ".join(grant.operations),
        )
        for grant in GRANTS
        if grant.resource != "topic"
    ]
    table = _table(("topic", *ROLES), topics)
    return "\n".join([*roles, "", table, "", _table(("role", "what", "name", "match", "operations"), others), ""])


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows])


def _row(topic: Topic) -> tuple[str, ...]:
    """Return a topic's row of the table."""
    value = f"[{topic.record}](../schemas/json/{topic.schema_file})" if topic.schema_file else "bytes"
    return (
        f"`{topic.name}`",
        topic.summary,
        topic.key,
        topic.cleanup,
        retention_text(topic),
        topic.partitions,
        "yes" if topic.personal else "no",
        value,
        f"`{topic.event_type}`" if topic.event_type else "",
    )


def files() -> dict[Path, str]:
    """Return every generated file's text by its path."""
    folder = ROOT / "schemas" / "json"
    texts = {
        folder / name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas().items()
    }
    texts[folder / "asyncapi.yaml"] = asyncapi.text()
    texts[ROOT / "docs" / "topics.md"] = topics_page()
    return texts


def _json_text(schema: dict[str, Any]) -> str:
    """Return a schema as it is written."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def outdated() -> list[Path]:
    """Return the generated files that aren't what the code says, and schemas that it says nothing of."""
    texts = files()
    wrong = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    return wrong + [path for path in sorted((ROOT / "schemas" / "json").iterdir()) if path not in texts]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` name those that are outdated and return 1."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="Writes schemas/json and docs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is outdated")
    options = parser.parse_args(arguments)
    wrong = outdated()
    texts = files()
    for path in wrong:
        if options.check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is outdated: run python -m schemas.generate\n")
        elif path in texts:
            path.write_text(texts[path], "utf-8")
        else:
            path.unlink()
    return 1 if options.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
