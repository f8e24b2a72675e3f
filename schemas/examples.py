"""One example of every record, shown in the published schemas and checked against the models by tests."""

from typing import Any

__all__ = ["EVENT_EXAMPLES", "EXAMPLES"]

_AT = "2026-11-22T10:45:00.250Z"
_DECISION = "b1946ac92492d2347c6235b4d2611184"
_TRANSITION = "5d41402abc4b2a76b9719d911017c592"
_DEFINITION = "7/4c4ed1afbfdaa1e4c3bf7bbb82d730cecb7e384da91eea4f3cc093fd545524d6"
_MODEL = "3/9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
_SOURCE = {"topic": "shoal.events", "partition": 0, "offset": 12}

_SEGMENT_CHANGE = {
    "id": _TRANSITION,
    "user_id": "u-7",
    "segment": "value_tier:high",
    "direction": "entered",
    "seq": 12,
    "occurred_at": _AT,
    "emitted_at": "2026-11-22T10:45:00.262Z",
    "cause": "event",
    "origin": "live",
    "reason": [{"clause": 'percentile("spend_365d") >= 0.9', "value": 0.93}],
    "definition": _DEFINITION,
    "model": _MODEL,
    "source": _SOURCE,
}

_MEMBERSHIP = {
    "user_id": "u-7",
    "segments": [{"id": "value_tier:high", "since": _AT}],
    "seq": 12,
    "as_of": _AT,
}

_CAMPAIGN_DECISION = {
    "id": "7d793037a0760186574b0282f2f435e7",
    "decision_id": _DECISION,
    "transition_id": _TRANSITION,
    "user_id": "u-7",
    "campaign": "cart_reminder",
    "segment": "cart_abandoner",
    "direction": "entered",
    "outcome": "deferred",
    "blocked_by": "quiet_hours",
    "variant": None,
    "channel": "email",
    "occurred_at": "2026-11-22T20:45:00.250Z",
    "due_at": "2026-11-22T20:45:00.250Z",
    "decided_at": "2026-11-22T20:45:00.250Z",
    "emitted_at": "2026-11-22T20:45:01.304Z",
    "definition": _DEFINITION,
    "model": None,
}

_CAMPAIGN_TRIGGER = {
    "id": "9e107d9d372bb6826bd81d3542a419d6",
    "decision_id": _DECISION,
    "transition_id": _TRANSITION,
    "user_id": "u-7",
    "anonymous": False,
    "campaign": "cart_reminder",
    "variant": "discount",
    "channel": "email",
    "segment": "cart_abandoner",
    "direction": "entered",
    "occurred_at": _AT,
    "due_at": _AT,
    "expires_at": "2026-11-22T16:45:00.250Z",
    "timezone": "Europe/Berlin",
    "send": {"template": "cart-3", "coupon": "BACK10"},
    "traits": {"language": "de"},
    "cart": {
        "items": 2,
        "value": 99.5,
        "currency": "EUR",
        "products": [{"product_id": "p-1", "quantity": 2}],
        "truncated": False,
    },
    "recent_products": ["p-9"],
    "top_categories": ["shoes"],
    "reason": [{"clause": "cart_items > 0", "value": 2}, {"clause": "time_since_cart_add >= 30m", "value": 1800}],
    "definition": _DEFINITION,
    "model": None,
}

_CONVERSION = {
    "id": "e4d909c290d0fb1ca068ffaddf22cbd0",
    "decision_id": _DECISION,
    "user_id": "u-7",
    "campaign": "cart_reminder",
    "variant": "discount",
    "event": "order",
    "amount": 99.5,
    "currency": "EUR",
    "decided_at": _AT,
    "occurred_at": "2026-11-22T11:20:07.000Z",
    "emitted_at": "2026-11-22T11:20:07.041Z",
    "source": {"topic": "shoal.events", "partition": 0, "offset": 31},
}

_MESSAGE = {
    "id": "45c48cce2e2d7fbdea1afc51c7c6ad26",
    "decision_id": _DECISION,
    "user_id": "u-7",
    "event": "message_sent",
    "occurred_at": "2026-11-22T10:45:04.000Z",
    "emitted_at": "2026-11-22T10:45:04.038Z",
    "source": {"topic": "shoal.events", "partition": 0, "offset": 27},
}

_TRAINING_SAMPLE = {
    "id": "8277e0910d750195b448797616e091ad",
    "user_id": "u-7",
    "target": "purchase_7d",
    "sampled_at": _AT,
    "resolved_at": "2026-11-22T11:20:07.000Z",
    "label": 1,
    "features": {"spend_365d": 412.5, "orders_365d": 3, "average_rating": None},
    "probability": 0.318204,
    "model": _MODEL,
    "exposed": ["cart_reminder"],
    "traits": {"country": "DE", "language": None},
}

_OBSERVATION = {
    "id": "6f1d3e2eba50d61e2f8613303de32aa6",
    "user_id": "u-7",
    "observed_at": _AT,
    "features": {"spend_365d": 412.5, "orders_365d": 3, "average_rating": None},
}

_DEAD_LETTER = {
    "reason": "bad_timestamp",
    "topic": "shoal.events",
    "partition": 0,
    "offset": 15,
    "payload": '{"type": "page", "userId": "u-7", "timestamp": "yesterday"}',
}

_AUDIENCE_EVENT = {
    "type": "track",
    "event": "Audience Entered",
    "messageId": _TRANSITION,
    "userId": "u-7",
    "timestamp": _AT,
    "context": {
        "library": {"name": "shoal", "version": "0.1.0"},
        "personas": {"computation_class": "audience", "computation_key": "value_tier:high"},
    },
    "properties": {"value_tier:high": True, "audience_key": "value_tier:high"},
}

_SINK_DEAD_LETTER = {
    "sink": "webhook",
    "reason": "refused",
    "status": 422,
    "attempts": 1,
    "record_id": _DECISION,
    "topic": "campaign-triggers",
    "partition": 3,
    "offset": 1207,
    "failed_at": "2026-11-22T10:45:00.412Z",
}

_LIFT = {"estimate": 0.05, "low": 0.01, "high": 0.09, "fixed_low": 0.03, "fixed_high": 0.07}
_HOLDOUT: dict[str, Any] = {
    "arm": "holdout",
    "variant": None,
    "share": 0.1,
    "users": 1_040,
    "limited": 0,
    "fired": 0,
    "sent": 0,
    "clicked": 0,
    "converted": 152,
    "decisions_fired": 0,
    "conversions": 160,
    "revenue": 14_050.0,
    "cost": 0.0,
    "judged": 1_000,
    "judged_converted": 150,
    "conversion_rate": 0.15,
    "revenue_per_user": 13.9,
    "click_rate": None,
    "observed": 400,
    "retention": 0.6,
    "lift": None,
}

_CAMPAIGN_RESULT = {
    "campaign": "cart_reminder",
    "definition": _DEFINITION,
    "definitions": [_DEFINITION],
    "currency": "EUR",
    "since": "2026-10-01T00:00:02.250Z",
    "as_of": "2026-11-23T00:00:00.000Z",
    "conversion_event": "order",
    "within_seconds": 259_200.0,
    "control": "holdout",
    "groups": [
        {
            **_HOLDOUT,
            "arm": "variant",
            "variant": "discount",
            "share": 0.9,
            "users": 9_300,
            "limited": 60,
            "fired": 9_240,
            "sent": 9_180,
            "clicked": 1_377,
            "converted": 1_850,
            "decisions_fired": 11_000,
            "conversions": 2_010,
            "revenue": 179_100.5,
            "cost": 1_320.0,
            "judged": 9_000,
            "judged_converted": 1_800,
            "conversion_rate": 0.2,
            "revenue_per_user": 18.9,
            "click_rate": 0.15,
            "lift": {
                "conversion": _LIFT,
                "conversion_relative": {"estimate": 0.33, "low": 0.1, "high": 0.7, "fixed_low": 0.2, "fixed_high": 0.5},
                "revenue": {"estimate": 5.0, "low": 1.5, "high": 8.5, "fixed_low": 3.0, "fixed_high": 7.0},
                "revenue_relative": {"estimate": 0.36, "low": 0.1, "high": 0.7, "fixed_low": 0.2, "fixed_high": 0.54},
                "additional_converted": 450.0,
                "additional_revenue": 45_000.0,
                "cost": 1_200.0,
                "roi": {"estimate": 36.5, "low": 10.25, "high": 62.75, "fixed_low": 21.5, "fixed_high": 51.5},
                "cost_per_acquisition": 2.67,
            },
        },
        _HOLDOUT,
    ],
    "sample_ratio": {"log10_evidence": -1.7, "mismatch": False},
    "history": [{"at": "2026-11-22T00:00:00.000Z", "variant": "discount", "conversion": _LIFT}],
    "earlier": [],
}

_PUBLISHED_DEFINITIONS = {
    "version": 7,
    "hash": "3fa95c1e07d2" + "0" * 52,
    "text": "version: 7\nsegments: []\n",
    "mapping": None,
    "published_at": _AT,
    "published_by": "crm@shop.example",
}

_COMMAND = {
    "id": "1f3870be274f6c49b3e31a0c6728957f",
    "command": "pause",
    "campaign": "cart_reminder",
    "requested_at": _AT,
    "requested_by": "crm@shop.example",
}

_ANSWER = {
    "id": "c81e728d9d4c2f636f067f89cc14862c",
    "command_id": "1f3870be274f6c49b3e31a0c6728957f",
    "role": "worker",
    "partition": 0,
    "partitions": 12,
    "answered_at": _AT,
    "found": True,
    "body": {"user_id": "u-7", "clock": _AT, "transitions": 12, "segments": [], "campaigns": []},
}

_RECEIPT = {
    "id": "0cc175b9c0f1b6a831c399e269772661",
    "command_id": "1f3870be274f6c49b3e31a0c6728957f",
    "command": "erase",
    "subject": "c3c5b1f6" * 8,
    "key_version": 1,
    "suppress": False,
    "role": "worker",
    "partition": 0,
    "partitions": 12,
    "requested_at": _AT,
    "requested_by": "dpo@shop.example",
    "completed_at": "2026-11-22T10:45:03.000Z",
    "found": True,
    "removed": {"segments": 2, "triggers": 1, "samples": 1, "texts": 3, "state_bytes": 2448},
    "kept": [{"topic": "shoal.segment-changes", "until": "2026-12-22T10:45:03.000Z"}],
    "not_unlearned": [],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "SegmentChange": _SEGMENT_CHANGE,
    "Membership": _MEMBERSHIP,
    "CampaignDecision": _CAMPAIGN_DECISION,
    "CampaignTrigger": _CAMPAIGN_TRIGGER,
    "Conversion": _CONVERSION,
    "Message": _MESSAGE,
    "TrainingSample": _TRAINING_SAMPLE,
    "Observation": _OBSERVATION,
    "DeadLetter": _DEAD_LETTER,
    "AudienceEvent": _AUDIENCE_EVENT,
    "SinkDeadLetter": _SINK_DEAD_LETTER,
    "CampaignResult": _CAMPAIGN_RESULT,
    "PublishedDefinitions": _PUBLISHED_DEFINITIONS,
    "Command": _COMMAND,
    "Answer": _ANSWER,
    "Receipt": _RECEIPT,
}

EVENT_EXAMPLES: list[dict[str, Any]] = [
    {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m-81",
        "userId": "u-7",
        "anonymousId": None,
        "timestamp": "2026-11-22T10:15:00.250Z",
        "context": {"timezone": "Europe/Berlin"},
        "properties": {
            "order_id": "o-5",
            "total": 99.5,
            "currency": "EUR",
            "products": [{"product_id": "p-1", "category": "shoes", "price": 49.75, "quantity": 2}],
        },
    },
    {
        "type": "identify",
        "userId": "u-7",
        "timestamp": 1795342500250,
        "traits": {"country": "DE", "timezone": "Europe/Berlin", "consent": {"email": True, "profiling": True}},
    },
    {"type": "page", "anonymousId": "a-3", "timestamp": "2026-11-22T10:15:00.250Z"},
]
