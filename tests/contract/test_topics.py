"""The table of topics, CloudEvents headers and the AsyncAPI document."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from schemas import asyncapi, cloudevents, generate
from schemas.examples import EXAMPLES
from schemas.topics import BY_NAME, TOPICS, Topic

CONTRACT_TOPICS = {
    "events", "segment-changes", "memberships", "campaign-decisions", "campaign-triggers", "conversions",
    "messages", "training-samples", "observations", "dead-letters", "audience-events", "sink-dead-letters", "receipts",
    "campaign-results", "models", "definitions", "commands", "answers", "state", "learner-state", "lift-state",
}  # fmt: skip
WITH_EXAMPLE = [topic for topic in TOPICS if topic.event_type is not None and topic.record in EXAMPLES]


def test_the_table_has_each_topic_of_the_contract_once() -> None:
    """No topic is missing, none is made up."""
    assert sorted(CONTRACT_TOPICS) == sorted(topic.name for topic in TOPICS)


def test_the_topics_the_contract_calls_compacted_are() -> None:
    """Memberships, campaign results and state keep the latest record of each key; changes and triggers keep all."""
    compacted = {topic.name for topic in TOPICS if topic.configuration["cleanup.policy"] == "compact"}
    assert compacted == {
        "memberships",
        "campaign-results",
        "state",
        "learner-state",
        "lift-state",
        "models",
        "definitions",
    }


def test_topics_keyed_by_the_user_have_as_many_partitions_as_the_input() -> None:
    """So that a user's records stay together; the state too."""
    assert {topic.partitions_for(12) for topic in TOPICS if topic.key == "user id" or topic.name == "state"} == {12}
    assert BY_NAME["commands"].partitions_for(12) == 1


def test_personal_data_is_deleted_in_time_or_has_a_key_to_delete_it_by() -> None:
    """A topic with personal data either has a retention or is compacted."""
    assert all(topic.retention_ms > 0 or topic.cleanup == "compact" for topic in TOPICS if topic.personal)
    assert all(topic.personal for topic in TOPICS if topic.key == "user id")


@pytest.mark.parametrize("topic", WITH_EXAMPLE, ids=lambda topic: topic.name)
def test_headers_name_id_source_type_and_time(topic: Topic) -> None:
    """The headers of each example are bytes, under the names of the Kafka binding."""
    found = cloudevents.headers(topic, EXAMPLES[topic.value.__name__ if topic.value else ""], "eu.")
    names = [name for name, _ in found]
    assert names[:4] == ["ce_specversion", "ce_id", "ce_source", "ce_type"]
    assert dict(found)["ce_specversion"] == b"1.0"
    assert dict(found)["ce_source"] == b"/shoal/eu."
    assert dict(found)["content-type"] == b"application/json"
    assert dict(found)["ce_type"].decode() in asyncapi.event_types(topic)


def test_the_headers_of_a_segment_change_are_these() -> None:
    """One set of headers, letter by letter."""
    assert cloudevents.headers(BY_NAME["segment-changes"], EXAMPLES["SegmentChange"]) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"5d41402abc4b2a76b9719d911017c592"),
        ("ce_source", b"/shoal/shoal."),
        ("ce_type", b"shoal.segment.entered.v1"),
        ("ce_time", b"2026-11-22T10:45:00.250Z"),
        ("content-type", b"application/json"),
    ]


@pytest.mark.parametrize(
    ("name", "record", "types"),
    [
        ("segment-changes", "SegmentChange", ["shoal.segment.entered.v1", "shoal.segment.exited.v1"]),
        ("campaign-decisions", "CampaignDecision", ["shoal.campaign.decided.v1"]),
        ("campaign-triggers", "CampaignTrigger", ["shoal.campaign.triggered.v1"]),
    ],
)
def test_the_types_are_those_of_the_contract(name: str, record: str, types: list[str]) -> None:
    """CloudEvents types are promised by name, the direction taken from the record."""
    assert asyncapi.event_types(BY_NAME[name]) == types
    assert cloudevents.event_type(BY_NAME[name], EXAMPLES[record] | {"direction": "exited"}) == types[-1]


def test_state_carries_no_cloudevents() -> None:
    """Asking for the headers of the workers' own bytes is a mistake."""
    with pytest.raises(ValueError, match="state are no CloudEvents"):
        cloudevents.headers(BY_NAME["state"], {})


def test_the_asyncapi_document_obeys_the_official_schema() -> None:
    """The file, read back as YAML, is valid AsyncAPI 3.0; a document without channels' addresses' type isn't."""
    official = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text("utf-8"))
    document = YAML(typ="safe").load((generate.ROOT / "schemas" / "json" / "asyncapi.yaml").read_text("utf-8"))
    validator = Draft7Validator(official)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid({**document, "channels": {"events": {"address": 7}}})


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """References inside lead to a part of the document, those outside to a generated file."""
    document = asyncapi.document()
    written = {path.name for path in generate.files()}
    pending: list[object] = [document]
    references = []
    while pending:
        part = pending.pop()
        pending += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
        if isinstance(part, dict) and "$ref" in part:
            references.append(part["$ref"])
    for reference in references:
        target: object = document
        for step in reference.removeprefix("#/").split("/") if reference.startswith("#/") else []:
            target = target[step] if isinstance(target, dict) else None
        assert target is not None
        assert reference.startswith("#/") or reference.removeprefix("./") in written
    assert len(references) > 3 * len(TOPICS)
