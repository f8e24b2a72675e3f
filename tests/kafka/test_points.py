"""What takes effect between records waits until nothing is left over, so that a replay with points does the same."""

import pytest

from schemas.control import CampaignCommand, EraseCommand
from tests.core.support import CART, HOUR, START_MS, WALL_MS, Story, reminder
from tests.support.pair import checked_of
from worker.core.changelog import Changelog
from worker.core.effects import iso
from worker.core.records import Effects
from worker.kafka.control import COMMANDS, Control
from worker.kafka.points import Points, Turn
from worker.settings import Settings

USERS = [f"u-{number}" for number in range(5)]


def left_over(kind: str) -> Story:
    """A story that ends with everybody left over: by a version that has yet to judge them, or by time."""
    story = Story(CART, campaigns=[reminder()])
    for user in USERS:
        story.tell(0, "Product Added", user, product_id="p-1", price=1.0)
    if kind == "version":
        story.engine.publish(checked_of({**story.definitions, "version": 8}), wall_ms=WALL_MS, at_once=False)
    else:
        story.engine.tick(START_MS + HOUR, wall_ms=WALL_MS, due_rows_max=0)
    return story


@pytest.mark.parametrize("kind", ["version", "time"])
def test_a_pause_waits_until_nothing_is_left_over(kind: str) -> None:
    """Who is left over is judged as if it had been done at once: before the pause."""
    engine = left_over(kind).engine
    control = Control()
    pause = CampaignCommand(
        id="0" * 32, requested_at=iso(WALL_MS), requested_by=None, command="pause", campaign="reminder"
    )
    control.take(COMMANDS, 0, pause.model_dump_json().encode())
    points, turn = Points(Settings(), control, engine, Changelog(engine), 0), Turn(Effects(), [])
    for left in (True, False):
        points.apply(turn, 5, 100, wall_ms=WALL_MS, read_up_to_ms=None)
        assert bool(engine.backlog or engine.overdue) == left
        assert engine.braked == frozenset([] if left else ["reminder"])
        turn.effects.add(engine.work(100, wall_ms=WALL_MS))
        while engine.overdue:
            turn.effects.add(engine.catch_up(100, wall_ms=WALL_MS))
    assert points.commands_offset == 1
    assert {decision.outcome for decision in turn.effects.decisions} <= {"fired"}


@pytest.mark.parametrize("kind", ["version", "time"])
def test_a_pause_waits_for_a_storm_two_seconds_at_most(kind: str) -> None:
    """Then it is paused, whatever else waits before it, and whoever is left over is refused; the point follows."""
    engine, at_ms = left_over(kind).engine, WALL_MS
    control = Control()
    erase = EraseCommand(id="1" * 32, requested_at=iso(at_ms), requested_by=None, command="erase", user_id="u-9")
    pause = CampaignCommand(
        id="0" * 32, requested_at=iso(at_ms), requested_by=None, command="pause", campaign="reminder"
    )
    for offset, command in enumerate((erase, pause)):
        control.take(COMMANDS, offset, command.model_dump_json().encode())
    points, turn = Points(Settings(), control, engine, Changelog(engine), 0), Turn(Effects(), [])
    for waited_ms, braked in ((2_000, frozenset()), (2_001, frozenset(["reminder"]))):
        points.apply(turn, 5, 100, wall_ms=at_ms + waited_ms, read_up_to_ms=None)
        assert (engine.braked, points.commands_offset) == (braked, 0)
    turn.effects.add(engine.work(100, wall_ms=WALL_MS))
    while engine.overdue:
        turn.effects.add(engine.catch_up(100, wall_ms=WALL_MS))
    assert {decision.blocked_by for decision in turn.effects.decisions} <= {"paused"}
    points.apply(turn, 5, 100, wall_ms=at_ms + 2_001, read_up_to_ms=None)
    assert (engine.braked, points.commands_offset) == (frozenset(["reminder"]), 2)
