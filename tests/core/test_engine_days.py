"""A batch taken a UTC day at a time: what is done at a midnight comes between the days, wherever the batch was cut."""

from typing import Any

import pytest

from schemas.models import Snapshot
from tests.core.support import DAY, HOUR, START_MS, Story, message
from tests.support.pair import MAPPING, WALL_MS, checked_of, on_the_wire
from worker.core.engine import Engine

LOW = {"id": "low", "enter": 'percentile("views_total") < 0.5', "exit": 'percentile("views_total") >= 0.5'}
NOTHING_SEEN = {"id": "nothing_seen", "enter": "views_total == 0"}
FOREVER = {"version": 1, "segments": [LOW, NOTHING_SEEN]}
FOR_A_TIME = {**FOREVER, "retention": {"idle": "30d", "users_max": 100}}  # so that batches are decoded by days, too
RETAINED = pytest.mark.parametrize("definitions", [FOREVER, FOR_A_TIME], ids=["forever", "for a time"])
RECORDS = [
    message(DAY - HOUR, "Product Viewed", "a"),
    b"no json",
    message(DAY - 1, "Product Viewed", "b"),
    message(DAY, "Product Viewed", "c"),
    message(DAY - 2, "Product Viewed", "a"),
    message(4 * DAY + HOUR, "Product Viewed", "d"),
    message(5 * DAY, "Product Viewed", "a"),
]


def _model(version: int) -> Snapshot:
    steps = [float(version), float(version + 1)]
    return Snapshot.model_validate({"version": version, "hash": f"{version:064}", "quantiles": {"views_total": steps}})


@RETAINED
def test_the_midnights_that_the_clock_passes_are_told(definitions: dict[str, Any]) -> None:
    """The first midnight after the clock, before the record that passes it; late records and dead letters pass none."""
    engine = Engine(checked_of(definitions), MAPPING)
    days = [(effects.read, midnight) for effects, midnight in engine.by_day(RECORDS, 0, wall_ms=WALL_MS)]
    assert [midnight for _, midnight in days] == [START_MS + DAY, START_MS + 2 * DAY, START_MS + 5 * DAY, None]
    assert sum(read for read, _ in days) == len(RECORDS)


@RETAINED
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, len(RECORDS)])
def test_a_model_published_at_midnight_takes_effect_there_whatever_the_batches(
    size: int, definitions: dict[str, Any]
) -> None:
    """Every midnight brings another model; who first comes later that day isn't judged before she came."""
    engine = Engine(checked_of(definitions), MAPPING)
    story, published = Story(LOW, NOTHING_SEEN), 0
    for first in range(0, len(RECORDS), size):
        for effects, midnight in engine.by_day(RECORDS[first : first + size], first, wall_ms=WALL_MS):
            story.take(effects)
            if midnight is not None:
                published += 1
                story.take(engine.tick(midnight, wall_ms=WALL_MS))
                story.take(engine.publish(model=_model(published), wall_ms=WALL_MS))
    assert published == 3
    assert [(t["user_id"], t["segment"], t["direction"], t["cause"]) for t in story.transitions] == [
        ("a", "low", "entered", "model"),
        ("b", "low", "entered", "model"),
        ("c", "low", "entered", "event"),
        ("a", "low", "exited", "event"),
        ("a", "low", "entered", "model"),
        ("d", "low", "entered", "event"),
    ]
    days = [int(t["occurred_at"][8:10]) for t in story.transitions]
    assert days == [3, 3, 3, 3, 4, 6]


@RETAINED
def test_a_batch_taken_in_days_is_the_batch_taken_at_once(definitions: dict[str, Any]) -> None:
    """Without anything done at the midnights nothing tells the days apart."""
    at_once, in_days = (Engine(checked_of(definitions), MAPPING, model=_model(1)) for _ in range(2))
    whole = at_once.step(RECORDS, 0, wall_ms=WALL_MS)
    parts = [effects for effects, _ in in_days.by_day(RECORDS, 0, wall_ms=WALL_MS)]
    assert on_the_wire(whole.transitions) == on_the_wire([t for part in parts for t in part.transitions])
    assert at_once.to_bytes() == in_days.to_bytes()
