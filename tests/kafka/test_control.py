"""What the control topics say of models: the last good one stays, and a refused one is told with its reason."""

import io
import json
import random
from collections import Counter

import pytest

from schemas.models import Snapshot, sealed
from tests.observe.support import logging_to
from tests.support import random_definitions
from worker.kafka.control import Control
from worker.observe.metrics import Metrics


def snapshot(version: int) -> Snapshot:
    """A published model."""
    return Snapshot.model_validate(random_definitions.snapshot(random.Random(version), version))


def value_of(model: Snapshot) -> bytes:
    """Its record's value."""
    return model.model_dump_json().encode()


def test_a_refused_model_leaves_the_last_good_one_and_is_counted_and_logged() -> None:
    """Damaged, older, of other features, reading what nobody knows; the next good one is taken."""
    metrics = Metrics()
    control = Control(metrics.model_refused)
    control.take("models", 0, value_of(snapshot(4)))
    unknown = {**snapshot(5).model_dump(mode="json", exclude={"version", "hash"}), "features": [{"name": "unheard"}]}
    hostile = [
        value_of(snapshot(5))[:-1],
        value_of(snapshot(3)),
        value_of(sealed(5, {})),
        value_of(sealed(5, {**unknown, "targets": {}, "clusters": None})),
    ]
    stream = io.StringIO()
    with logging_to(stream):
        for offset, value in enumerate(hostile, 1):
            control.take("models", offset, value)
            assert control.model == snapshot(4)
    control.take("models", len(hostile) + 1, value_of(snapshot(5)))
    assert control.model == snapshot(5)
    reasons = Counter({"malformed": 1, "older": 1, "other_schema": 2})
    for reason, count in reasons.items():
        assert metrics.registry.get_sample_value("shoal_models_refused_total", {"reason": reason}) == count
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["event"] for line in told} == {"A model is refused; the last good one stays."}
    assert Counter(line["reason"] for line in told) == reasons
    assert all(line["error"] for line in told)


@pytest.mark.parametrize("version", [1, 4])
def test_versions_begin_anew_with_a_topic_that_was_made_anew(version: int) -> None:
    """Somebody has deleted the topic; what comes then counts, whatever its version."""
    control = Control()
    control.take("models", 0, value_of(snapshot(4)))
    control.made_anew("models")
    control.take("models", 0, value_of(snapshot(version)))
    assert control.model is not None
    assert control.model.version == version
