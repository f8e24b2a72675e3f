"""The tests in definitions files: what passes, and what is said when it doesn't."""

from pathlib import Path

from tests.files.support import DEFINITIONS
from worker.files import configuration, stories
from worker.files.stories import Verdict
from worker.language.mapping import SHIPPED

HEAD = DEFINITIONS.partition("tests:")[0]


def verdict(test: str, head: str = HEAD) -> Verdict:
    """How a single test ends."""
    under = configuration.checked(f"{head}tests:\n  - {test}\n", SHIPPED.read_text(encoding="utf-8"))
    (only,) = stories.run(under.checked, under.mapping)
    return only


def test_a_story_that_ends_as_expected_passes() -> None:
    """The order makes a buyer, who is thanked."""
    given = "{at: 0m, event: Order Completed, properties: {total: 5}}"
    assert verdict(f"{{given: [{given}], expect: {{at: 1m, in: [buyer], triggers: [thanks]}}}}").failures == []


def test_a_wrong_membership_is_told_with_the_clauses_and_their_values() -> None:
    """The failure names what was expected, when, and why it isn't so."""
    found = verdict("{given: [{at: 0m, event: Product Added}], expect: {at: 29m, in: [cart_abandoner]}}")
    (failure,) = found.failures
    head, *clauses = failure.split("; ")
    assert head == "expected in cart_abandoner at 29m: cart_abandoner enter: cart_items > 0 is true (1)"
    assert clauses == [
        "cart_abandoner enter: time_since_cart_add >= 30m is false (1740)",
        "cart_abandoner exit: cart_items == 0 is false (1)",
    ]


def test_a_missing_trigger_is_told_with_the_decisions() -> None:
    """A trigger that didn't go out: the decisions about it and what blocked them."""
    paused = HEAD.replace("{id: thanks,", "{id: thanks, status: paused,")
    found = verdict("{given: [{at: 0m, event: Order Completed}], expect: {at: 1m, triggers: [thanks]}}", paused)
    assert found.failures == [
        "expected a trigger of thanks by 1m: suppressed at 2026-01-05T12:00:00.000Z (blocked by paused)"
    ]


def test_an_unwanted_trigger_fails() -> None:
    """`not_triggers` names campaigns that must not have fired."""
    found = verdict("{given: [{at: 0m, event: Order Completed}], expect: {at: 1m, not_triggers: [thanks]}}")
    assert found.failures == ["expected no trigger of thanks by 1m: fired at 2026-01-05T12:00:00.000Z"]


def test_chance_and_the_calendar_stay_out_of_stories() -> None:
    """With everybody held out and the campaign over for years, the story still ends with a trigger."""
    head = f"holdout: {{share: 1}}{HEAD}".replace(
        "{id: thanks,", "{id: thanks, holdout: 1, ends: 2020-01-01T00:00:00Z,"
    )
    found = verdict("{given: [{at: 0m, event: Order Completed}], expect: {at: 1m, triggers: [thanks]}}", head)
    assert found.failures == []


def test_a_record_that_cannot_be_read_fails_the_story() -> None:
    """A price that is text is no price: the test says which record, and why."""
    found = verdict("{given: [{at: 0m, event: Product Added, properties: {price: x}}], expect: {at: 1m}}")
    assert found.failures == ["what is given as number 1 can't be read: bad_field."]


def test_the_demo_definitions_keep_their_promises() -> None:
    """Every story in the shipped definitions ends as it says."""
    path = Path(configuration.SHIPPED_DEFINITIONS)
    under = configuration.load(path)
    verdicts = list(stories.run(under.checked, under.mapping))
    assert len(verdicts) == len(under.checked.definitions.tests) > 5
    assert {verdict.name: verdict.failures for verdict in verdicts if not verdict.passed} == {}
