"""The published JSON Schema of the input agrees with how events are read."""

import json
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.events import Terms, read_event
from schemas.examples import EVENT_EXAMPLES
from schemas.input import event_schema

VALIDATOR = Draft202012Validator(event_schema())
TERMS = Terms(is_zone=lambda name: name == "Europe/Berlin")


def changed(example: int, **members: object) -> dict[str, Any]:
    """Return an example with some members changed."""
    return {**deepcopy(EVENT_EXAMPLES[example]), **members}


def read_whole(event: dict[str, Any]) -> bool:
    """Say whether an event is accepted without a repair."""
    return read_event(json.dumps(event).encode(), TERMS).outcome == "accepted"


@pytest.mark.parametrize(
    "event",
    [*EVENT_EXAMPLES, changed(0, event="Anything Else", properties=None), changed(0, userId=None, anonymousId="a-3"),
     changed(0, event="Product Added", properties={"product_id": "p-1", "price": 3, "quantity": 2}),
     changed(0, event="Product Reviewed", properties={"rating": 4}), changed(1, traits=None)],
)  # fmt: skip
def test_what_is_read_whole_the_schema_accepts(event: dict[str, Any]) -> None:
    """Segment's events of all shapes pass both."""
    assert read_whole(event)
    assert [error.message for error in VALIDATOR.iter_errors(event)] == []


@pytest.mark.parametrize(
    "event",
    [changed(0, type="alias"), changed(0, userId=None), changed(0, userId="anon:7"), changed(0, userId=7),
     changed(0, event=None), changed(0, event=""), changed(0, properties=[]), changed(0, context="Berlin"),
     changed(0, messageId=81), changed(0, timestamp=True), changed(0, properties={"order_id": 5}),
     changed(0, event="Product Added", properties={"quantity": "2"}),
     changed(0, event="Product Viewed", properties={"products": {}}),
     changed(0, event="Product Reviewed", properties={"rating": "good"}),
     changed(0, event="Email Sent", properties={"decision_id": 1}), changed(1, traits={"consent": {"email": "yes"}})],
)  # fmt: skip
def test_what_is_refused_or_repaired_for_its_types_the_schema_refuses(event: dict[str, Any]) -> None:
    """A member of the wrong type is told apart by both."""
    assert not read_whole(event)
    assert not VALIDATOR.is_valid(event)
