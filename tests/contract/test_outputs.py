"""Records we write: the contract's examples validate, and what it rules out doesn't."""

import re
from copy import deepcopy
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas import control, outputs
from schemas.examples import EXAMPLES
from schemas.outputs import BLOCKED_BY, TIMESTAMP_PATTERN, CampaignDecision, SegmentChange

NAMES = sorted(EXAMPLES)
AT = "2026-11-22T10:15:00.250Z"
ID = "0123456789abcdef0123456789abcdef"
VERSION = "7/" + "3fa9bc01" * 8

# The records of the contract's section 5, with what it abbreviates (…) written out.
CONTRACT_RECORDS: dict[str, dict[str, Any]] = {
    "SegmentChange": {
        "id": ID, "user_id": "u-7", "segment": "value_tier:high", "direction": "entered", "seq": 12,
        "occurred_at": AT, "emitted_at": AT, "cause": "event", "origin": "live",
        "reason": [{"clause": "cart_items > 0", "value": 2}], "definition": VERSION, "model": None,
        "source": {"topic": "shoal.events", "partition": 0, "offset": 12},
    },
    "Membership": {"user_id": "u-7", "segments": [{"id": "vip", "since": AT}], "seq": 12, "as_of": AT},
    "CampaignTrigger": {
        "id": ID, "decision_id": ID, "transition_id": ID, "user_id": "u-7", "anonymous": False,
        "campaign": "cart_reminder", "variant": "discount", "channel": "email", "segment": "cart_abandoner",
        "direction": "entered", "occurred_at": AT, "due_at": AT, "expires_at": AT, "timezone": "Europe/Berlin",
        "send": {"template": "cart-3", "coupon": "BACK10"}, "traits": {"language": "de"},
        "cart": {"items": 2, "value": 99.5, "currency": "EUR",
                 "products": [{"product_id": "p-1", "quantity": 2}], "truncated": False},
        "recent_products": ["p-9"], "top_categories": ["shoes"], "reason": [], "definition": VERSION, "model": None,
    },
    "TrainingSample": {
        "id": ID, "user_id": "u-7", "target": "purchase_7d", "sampled_at": AT, "resolved_at": AT, "label": 0,
        "features": {"spend_365d": 1.5, "age": None}, "probability": None, "model": None, "exposed": [], "traits": {},
    },
    "DeadLetter": {"reason": "not_json", "topic": "shoal.events", "partition": 0, "offset": 3, "payload": "{"},
}  # fmt: skip


def model(name: str) -> type[BaseModel]:
    """Return a record's model by name."""
    found: type[BaseModel] = getattr(outputs, name, None) or getattr(control, name)
    return found


def accepted(name: str, record: dict[str, Any]) -> bool:
    """Say whether a record's model accepts it."""
    try:
        model(name).model_validate(record)
    except ValidationError:
        return False
    return True


def changed(name: str, **members: object) -> dict[str, Any]:
    """Return a record's example with some members changed."""
    return {**deepcopy(EXAMPLES[name]), **members}


@pytest.mark.parametrize("name", CONTRACT_RECORDS)
def test_a_record_of_the_contract_validates_and_comes_back_as_it_was(name: str) -> None:
    """The models accept the contract's records and write the same members, in the same order, with the same values."""
    record = CONTRACT_RECORDS[name]
    written = model(name).model_validate(record).model_dump(mode="json")
    assert list(record) == list(written)
    assert record == written


@pytest.mark.parametrize("name", NAMES)
def test_an_example_validates_and_comes_back_as_it_was(name: str) -> None:
    """The example of each record obeys its model."""
    assert EXAMPLES[name] == model(name).model_validate(EXAMPLES[name]).model_dump(mode="json")


@pytest.mark.parametrize("name", NAMES)
def test_no_member_may_be_missing_or_added(name: str) -> None:
    """All members of our own records are required, and there are no others."""
    assert not accepted(name, changed(name, surprise=1))
    for member in EXAMPLES[name]:
        assert not accepted(name, {key: value for key, value in EXAMPLES[name].items() if key != member})


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T10:15:00Z", "2026-11-22T10:15:00.25Z", "2026-11-22T10:15:00.250+00:00", "2026-11-22 10:15:00.250Z",
     "2026-11-22T10:15:00.250000Z", "2026-13-22T10:15:00.250Z", "2026-11-22T24:00:00.000Z",
     "2026-11-22T10:15:00.250Z\n"],
)  # fmt: skip
def test_an_instant_has_three_decimals_and_a_z(text: str) -> None:
    """Any other spelling of an instant is refused."""
    assert accepted("SegmentChange", changed("SegmentChange", occurred_at="2026-11-22T10:15:00.250Z"))
    assert not accepted("SegmentChange", changed("SegmentChange", occurred_at=text))
    assert re.fullmatch(TIMESTAMP_PATTERN, text) is None


@pytest.mark.parametrize(
    "members",
    [{"seq": 0}, {"seq": "12"}, {"seq": 12.5}, {"seq": True}, {"user_id": ""}, {"direction": "left"}, {"id": "AB"},
     {"definition": "7"}, {"reason": [{"clause": "x > 0", "value": float("inf")}]}, {"reason": None},
     {"cause": "timer"}, {"cause": "model", "source": None}, {"source": None}, {"origin": "backfill"}],
)  # fmt: skip
def test_a_segment_change_that_contradicts_itself_is_refused(members: dict[str, Any]) -> None:
    """Types are strict; source and origin follow from the cause."""
    assert not accepted("SegmentChange", changed("SegmentChange", **members))


@pytest.mark.parametrize(
    ("cause", "origin"),
    [("timer", "live"), ("model", "backfill"), ("definition", "backfill"), ("erasure", "backfill")],
)
def test_a_segment_change_without_an_event_has_no_source(cause: str, origin: str) -> None:
    """Every cause but the event stands without a source."""
    change = SegmentChange.model_validate(changed("SegmentChange", cause=cause, origin=origin, source=None))
    assert change.source is None


@pytest.mark.parametrize("outcome", BLOCKED_BY)
def test_an_outcome_names_only_a_check_that_leads_to_it(outcome: str) -> None:
    """Of all checks and none, each outcome accepts exactly its own."""
    checks: list[str | None] = [None, "paused", "exited", "stale", "consent", "cooldown", "delay", "quiet_hours",
                                "holdout", "rate_limit", "cap"]  # fmt: skip
    fitting = [
        check
        for check in checks
        if accepted("CampaignDecision", changed("CampaignDecision", outcome=outcome, blocked_by=check))
    ]
    assert (
        set(fitting)
        == {
            "fired": {None},
            "shadow": {None},
            "held_out": {"holdout"},
            "deferred": {"delay", "quiet_hours"},
            "cancelled": {"exited", None},
            "suppressed": set(checks) - {None, "exited", "delay", "holdout"},
        }[outcome]
    )


def test_only_what_is_sent_or_would_be_has_a_variant() -> None:
    """A fired decision may have a variant, a deferred one may not."""
    fired = changed("CampaignDecision", outcome="fired", blocked_by=None, variant="plain")
    assert CampaignDecision.model_validate(fired).variant == "plain"
    assert not accepted("CampaignDecision", changed("CampaignDecision", variant="plain"))


def test_a_trigger_says_truly_whether_its_user_is_anonymous() -> None:
    """`anonymous` and the prefix of the user id go together."""
    assert accepted("CampaignTrigger", changed("CampaignTrigger", user_id="anon:a-1", anonymous=True))
    assert not accepted("CampaignTrigger", changed("CampaignTrigger", anonymous=True))
    assert not accepted("CampaignTrigger", changed("CampaignTrigger", user_id="anon:a-1"))


def test_a_training_label_is_zero_or_one() -> None:
    """Neither 2 nor true nor 0.5 is a label; a probability stays within 0 and 1."""
    assert [
        label for label in (0, 1, 2, 0.5, "1") if accepted("TrainingSample", changed("TrainingSample", label=label))
    ] == [0, 1]
    assert not accepted("TrainingSample", changed("TrainingSample", probability=1.01))


def test_the_body_of_an_answer_is_an_object_of_json() -> None:
    """Whatever JSON can hold is an answer, but neither a list nor nothing."""
    assert accepted("Answer", changed("Answer", found=False, body={}))
    assert accepted("Answer", changed("Answer", body={"members": {"buyer": 2}, "paused": ["cart_reminder"]}))
    assert not accepted("Answer", changed("Answer", body=[]))
    assert not accepted("Answer", changed("Answer", body=None))


@pytest.mark.parametrize(
    "members",
    [{"command": "pause"}, {"command": "tick", "until": AT}, {"command": "erase", "user_id": "u-7", "suppress": True},
     {"command": "export", "user_id": "u-7"}, {"command": "explain", "user_id": "u-7"}, {"command": "status"}],
)  # fmt: skip
def test_a_command_carries_what_it_needs_and_nothing_else(members: dict[str, Any]) -> None:
    """Each command is accepted with its own members only."""
    record = {"id": ID, "requested_at": AT, "requested_by": None, **members}
    record |= {"campaign": "cart_reminder"} if members["command"] == "pause" else {}
    assert accepted("Command", record)
    assert not accepted("Command", {**record, "version": 3})
