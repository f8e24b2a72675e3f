"""Batches that put out more than there is room for: all of it comes out, in order."""

from typing import Any

import pytest

from tests.core.support import ALL, CART, DAY, HOUR, MINUTE, WALL_MS, Story, at, message, reminder, told_at_once
from tests.support.pair import checked_of
from worker.core.effects import RecordWriter
from worker.core.segments import REASONS
from worker.core.tables import Outputs


@pytest.mark.parametrize(
    ("condition", "campaigns", "pairs"),
    [
        ("cart_items > 0", [], 5_000),  # transitions
        (" and ".join(f"cart_items > -{n}" for n in range(12)), [], 2_000),  # reasons
        ("cart_items > 0", [reminder()], 1_500),  # decisions and triggers
    ],
)
def test_more_than_the_outputs_hold_comes_out_whole(condition: str, campaigns: list[Any], pairs: int) -> None:
    """In and out of the cart thousands of times in one batch: every transition and decision is there, in order."""
    story = Story({"id": "cart", "enter": condition}, campaigns=campaigns)
    told_at_once(story, *[message(0, "Product Added"), message(0, "Product Removed")] * pairs)
    assert [t["seq"] for t in story.transitions] == list(range(1, 2 * pairs + 1))
    assert len(story.triggers) == len(story.decisions) == pairs * len(campaigns)
    assert all(len(t["reason"]) == condition.count(">") for t in story.transitions)


def test_more_conversions_than_the_outputs_hold_come_out_whole() -> None:
    """One decision, 1,500 orders that answer it, in one batch."""
    conversion = {"event": "order", "within": "1d"}
    story = Story({"id": "cart", "enter": "cart_items > 0"}, campaigns=[reminder(conversion=conversion)])
    orders = [message(1 + number, "Order Completed", total=number) for number in range(1_500)]
    told_at_once(story, message(0, "Product Added"), *orders)
    assert [c["amount"] for c in story.conversions] == list(range(1_500))


def test_more_messages_than_the_outputs_hold_come_out_whole() -> None:
    """2,500 messages in one batch, each naming another decision: each is told of once, in order."""
    story = Story({"id": "cart", "enter": "cart_items > 0"})
    named = [f"{number:032x}" for number in range(2_500)]
    told_at_once(story, *[message(0, "Email Sent", decision_id=decision) for decision in named])
    assert [told["decision_id"] for told in story.messages] == named


def test_a_message_joins_the_decision_that_it_names_once() -> None:
    """Sent and clicked are told with the event's own time; a duplicate, another's id and no id at all are not."""
    story = Story({"id": "cart", "enter": "cart_items > 0"})
    decision = "0123456789abcdef" * 2
    told_at_once(
        story,
        message(5, "Email Sent", decision_id=decision, messageId="m-1"),
        message(9, "Email Sent", decision_id=decision, messageId="m-1"),
        message(7, "Email Sent", decision_id=decision.upper()),
        message(8, "Push Notification Sent"),
        message(9, "Email Link Clicked", decision_id=decision),
    )
    told = [(said["event"], said["user_id"], said["decision_id"], at(said["occurred_at"])) for said in story.messages]
    assert told == [("message_sent", "u", decision, 5), ("message_clicked", "u", decision, 9)]
    assert [said["source"]["offset"] for said in story.messages] == [0, 4]
    assert story.duplicates == 1


def test_a_users_records_may_make_her_due_more_often_than_the_heap_holds() -> None:
    """10,000 additions at one instant, then a day: she is due 30 minutes after them, once."""
    story = Story(CART)
    told_at_once(story, *[message(0, "Product Added")] * 10_000, message(DAY, "Product Viewed", user="other"))
    assert story.changes == [("+cart", 30 * MINUTE)]


def test_nobody_is_due_by_the_rules_of_a_version_that_is_gone() -> None:
    """A version whose work is left to later: she is judged at its point first, then due at 0:30 under it."""
    story = Story(CART)
    story.tell(0, "Product Added")
    rules = {"version": 8, "segments": [CART, {"id": "v", "enter": "cart_items > 0"}]}
    story.take(story.engine.publish(checked_of(rules), wall_ms=WALL_MS, at_once=False))
    story.tell(HOUR, "Product Viewed", user="other")
    story.take(story.engine.work(ALL, wall_ms=WALL_MS))
    story.until(HOUR)
    assert story.changes == [("+v", 0), ("+cart", 30 * MINUTE)]
    assert [t["cause"] for t in story.transitions] == ["definition", "timer"]


def test_a_version_evaluates_everyone_once() -> None:
    """At its point; a record after that is one evaluation again, and no new cause."""
    story = Story(CART)
    story.tell(0, "Product Viewed")
    story.publish({"id": "v", "enter": "views_total > 1"})
    effects = story.engine.step([message(1, "Product Viewed")], 1, wall_ms=WALL_MS)
    assert (effects.evaluations, [t.cause for t in effects.transitions]) == (1, ["event"])


def test_a_version_is_worked_off_before_the_next_one_takes_effect() -> None:
    """Two versions, the work of the first left to later: in by the first, out by the second."""
    story = Story(CART)
    story.tell(0, "Product Viewed")
    rules = {"version": 8, "segments": [{"id": "v", "enter": "views_total > 0"}]}
    story.take(story.engine.publish(checked_of(rules), wall_ms=WALL_MS, at_once=False))
    assert story.changes == []
    story.publish({"id": "v", "enter": "views_total > 1"})
    assert story.changes == [("+v", 0), ("-v", 0)]


def test_more_users_than_there_is_room_for_do_not_disturb_those_who_wait() -> None:
    """9,000 come, in batches, and are all due at one instant, more than the heap holds: once each, in order."""
    story = Story(CART)
    names = [f"u{number}" for number in range(9_000)]
    for first in range(0, len(names), 900):
        told_at_once(story, *(message(0, "Product Added", name) for name in names[first : first + 900]))
    story.tell(DAY, "Product Viewed", user="other")
    assert [t["user_id"] for t in story.transitions] == names
    assert {at(t["occurred_at"]) for t in story.transitions} == {30 * MINUTE}


def test_one_evaluation_puts_out_no_more_than_is_kept_free_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the quiet hours she leaves again: three campaigns fire twice each, every time with the reason."""
    quiet = {"quiet_hours": {"from": "21:00", "to": "08:00"}, "on_exit": "continue"}
    campaigns = [{"id": f"c{number}", "trigger": {"exited": "s"}, **quiet} for number in range(3)]
    story = Story({"id": "s", "enter": " and ".join(["views_1h > 0"] * 30)}, campaigns=campaigns)
    put_out, write = [], RecordWriter.write

    def counted(writer: RecordWriter, outputs: Outputs, *rest: Any) -> None:
        put_out.append(int(outputs.counts[REASONS]))
        write(writer, outputs, *rest)

    monkeypatch.setattr(RecordWriter, "write", counted)
    for moment in (HOUR + 56 * MINUTE, 6 * HOUR + 56 * MINUTE):
        story.tell(moment, "Product Viewed")
    story.until(8 * HOUR)
    assert len(story.triggers) == 6
    assert 7 * 30 == max(put_out) <= story.engine.version.program.settings[0]["reasons_most"]
