"""What is counted, in which arm, and when: one story for each rule of docs/lift.md."""

import random

import pytest

from schemas.control import CampaignResult
from tests.lift.support import DAY, HOUR, Book, campaign
from worker.core.pseudonyms import Pseudonyms
from worker.lift.designs import ALL_CAMPAIGNS, GLOBAL, HELD_OUT
from worker.lift.ledger import FORGOTTEN_MS

TREATED = 0


def outcome(book: Book, arm: int) -> tuple[int, int, int]:
    """Users judged, of these converted, and what they spent in hundredths."""
    account = book.account(arm)
    return account.users, account.users_converted, account.users_amount


def test_a_user_is_one_however_often_she_is_reached() -> None:
    """Five decisions, one user; orders after the first one's window aren't counted, later decisions bring none in."""
    book = Book()
    for day in range(5):
        book.decide("u", "fired", day * 2 * DAY)
        book.convert("u", day * 2 * DAY + HOUR)
    book.until(30 * DAY)
    assert outcome(book, TREATED) == (1, 1, 1000)
    assert book.result()["groups"][0]["decisions_fired"] == 5


@pytest.mark.parametrize("arm", [TREATED, HELD_OUT])
def test_nobody_is_judged_before_her_window_is_over(arm: int) -> None:
    """Neither who converted nor who didn't, in either arm: an hour after the day, both."""
    book = Book()
    for user in ("buys", "doesn't"):
        book.decide(user, "fired" if arm == TREATED else "held_out")
    book.convert("buys", HOUR)
    book.until(DAY + HOUR - 1)
    assert outcome(book, arm) == (0, 0, 0)
    assert book.account(arm).converted == 1
    book.until(DAY + HOUR)
    assert outcome(book, arm) == (2, 1, 1000)


@pytest.mark.parametrize(("at", "counted"), [(0, 0), (1, 1), (DAY, 1), (DAY + 1, 0)])
def test_the_window_is_the_conversions(at: int, counted: int) -> None:
    """After the decision, and up to and including `within`, by the event's own time."""
    book = Book()
    book.decide("u", "held_out")
    book.convert("u", at)
    book.until(2 * DAY)
    assert outcome(book, HELD_OUT)[1] == counted


def test_a_late_conversion_corrects_what_was_counted() -> None:
    """It comes a week after the window, with a time inside it."""
    book = Book()
    book.decide("u", "fired")
    book.until(7 * DAY)
    assert outcome(book, TREATED) == (1, 0, 0)
    assert book.convert("u", HOUR, 25.5) == "taken"
    assert outcome(book, TREATED) == (1, 1, 2550)


@pytest.mark.parametrize(
    ("verdict", "blocked_by"),
    [("deferred", "delay"), ("deferred", "quiet_hours"), ("cancelled", "exited"), ("cancelled", None),
     ("suppressed", "paused"), ("suppressed", "consent"), ("suppressed", "cooldown"), ("suppressed", "stale"),
     ("suppressed", "quiet_hours")],
)  # fmt: skip
def test_what_is_refused_before_the_holdout_assigns_nobody(verdict: str, blocked_by: str | None) -> None:
    """A deferred trigger counts from its final decision on, and one that is cancelled never."""
    book = Book()
    assert book.decide("u", verdict, blocked_by=blocked_by) == "not_assigned"
    assert len(book.ledger.people) == 0
    book.decide("u", "fired", 3 * HOUR)
    assert book.part("u").decided_ms % DAY == 3 * HOUR


def test_a_rehearsal_counts_nobody() -> None:
    """In shadow neither who would have been sent to nor who would have been held out; live, both from then on."""
    book = Book(campaign(status="shadow"))
    assert book.decide("u", "shadow") == "not_assigned"
    assert book.decide("v", "held_out") == "rehearsed"
    book.publish(campaign(), version=2)
    assert book.decide("v", "held_out", HOUR) == "taken"
    assert book.account(HELD_OUT).assigned == 1


def test_a_cap_leaves_users_out_of_both_arms_by_the_same_rule() -> None:
    """Reached by another campaign within the day: the treated user is stopped, the held-out one would have been."""
    caps = [{"channel": "email", "limit": 1, "per": "1d"}]
    other = campaign(id="other", channel="email", holdout=0)
    book = Book(campaign(channel="email"), other, caps=caps)
    for user in ("t", "c", "late"):
        book.decide(user, "fired", name="other")
    book.decide("t", "suppressed", HOUR, blocked_by="cap")
    book.decide("c", "held_out", HOUR)
    book.decide("late", "held_out", DAY)
    arm = book.part("t").arm
    assert (book.account(arm).assigned, book.account(arm).limited) == ((1, 1) if arm >= 0 else (3, 2))
    assert [book.part(user).limited for user in ("t", "c", "late")] == [True, True, False]


def test_the_hours_limit_leaves_users_out_of_both_arms_by_the_same_rule() -> None:
    """Two an hour over two partitions is one in each: after it, the held-out users of that hour and partition."""
    book = Book(campaign(max_per_hour=2), partitions=2)
    book.decide("before", "held_out", 1)
    book.decide("first", "fired", 2)
    book.decide("stopped", "suppressed", 3, blocked_by="rate_limit")
    book.decide("held", "held_out", 4)
    book.decide("elsewhere", "held_out", 5, partition=1)
    book.decide("next", "held_out", HOUR)
    users = ("before", "first", "stopped", "held", "elsewhere", "next")
    assert [user for user in users if book.part(user).limited] == ["stopped", "held"]
    book.until(3 * DAY)
    account = book.account(HELD_OUT)
    assert account.assigned - account.limited == account.users > 0


def test_versions_of_the_same_design_are_one_run() -> None:
    """Costs, names, limits and conditions may change; users are added up, and each fired decision costs what it did."""
    book = Book(campaign(cost_per_trigger=0.1))
    book.decide("u", "fired")
    book.publish(campaign(cost_per_trigger=0.2, name="Reminder", priority=3, max_per_hour=9), version=2)
    book.decide("v", "fired", HOUR)
    result = book.result()
    assert (result["groups"][0]["users"], result["groups"][0]["cost"], result["earlier"]) == (2, 0.3, [])
    assert [label.partition("/")[0] for label in result["definitions"]] == ["1", "2"]


@pytest.mark.parametrize("change", [{"holdout": 0.4}, {"variants": {"a": 0.5, "b": 0.5}}, {"send": {"template": "x"}},
                                    {"conversion": {"event": "order", "within": "2d"}}, {"delay": "1h"}])  # fmt: skip
def test_another_design_begins_a_run_of_its_own(change: dict[str, object]) -> None:
    """Users are counted anew, the earlier run stays and still takes conversions; an old design is taken up again."""
    book = Book()
    book.decide("u", "held_out")
    book.publish(campaign(**change), version=2)
    book.decide("u", "held_out", HOUR)
    book.decide("v", "held_out", HOUR)
    book.convert("u", 2 * HOUR)
    result = book.result()
    assert (result["groups"][-1]["users"], result["earlier"][0]["groups"][-1]["users"]) == (2, 1)
    assert (result["groups"][-1]["converted"], result["earlier"][0]["groups"][-1]["converted"]) == (1, 1)
    book.publish(campaign(), version=3)
    book.decide("w", "held_out", 3 * HOUR)
    assert book.result()["groups"][-1]["users"] == 2


def test_an_erased_users_numbers_stay_and_her_entry_goes() -> None:
    """Judged before: she counts on. Not yet: she is in neither arm. What she did before she asked counts no more."""
    book = Book()
    for user, at in (("judged", 0), ("open", 2 * DAY)):
        book.decide(user, "fired", at)
        book.convert(user, at + HOUR)
    book.until(2 * DAY + HOUR)
    for user in ("judged", "open"):
        book.ledger.erase(user, book.ledger.clocks[0])
    assert outcome(book, TREATED) == (1, 1, 1000)
    assert book.account(TREATED).assigned == 2
    assert book.convert("judged", 3 * HOUR) == book.tell("open", "message_sent", f"{0:032x}") == "erased"
    assert book.decide("open", "fired", 2 * DAY) == "erased"
    book.restart()
    assert book.decide("open", "fired", 2 * DAY) == "erased"
    assert book.decide("open", "fired", 2 * DAY + HOUR + 1) == "taken"
    book.store()
    assert "judged" not in repr(book.stored)


def test_who_was_erased_stays_so_under_another_key() -> None:
    """What she did before comes again after the key was changed; the old one is among those before."""
    book = Book()
    book.restart(Pseudonyms({1: b"the old one"}))
    book.decide("u-1", "fired", 0)
    book.ledger.erase("u-1", book.ledger.clocks[0])
    book.restart(Pseudonyms({1: b"the old one", 2: b"the new one"}))
    assert book.decide("u-1", "fired", 0) == "erased"
    assert book.decide("u-1", "fired", HOUR) == "taken"


def test_messages_are_counted_for_the_decision_that_they_name() -> None:
    """Sent and clicked once per user; others' decisions and other users' messages count for nobody."""
    book = Book()
    first, second = "a" * 32, "b" * 32
    book.decide("u", "fired", decision=first)
    book.decide("u", "fired", 2 * DAY, decision=second)
    book.decide("v", "fired", decision="c" * 32)
    assert [book.tell("u", "message_sent", first), book.tell("u", "message_sent", second)] == ["taken"] * 2
    assert book.tell("v", "message_clicked", "c" * 32) == "taken"
    assert book.tell("v", "message_sent", second) == book.tell("nobody", "message_sent", first) == "early"
    account = book.account(TREATED)
    assert (account.fired, account.sent, account.clicked) == (2, 2, 1)


@pytest.mark.parametrize(("day", "since_days", "expected"), [(28, 14, (1, 1)), (28, 15, (1, 0)), (35.9, 0, (1, 1)),
                                                             (27.9, 0, (0, 0)), (36, 0, (0, 0))])  # fmt: skip
def test_retention_is_judged_at_the_first_observation_after_four_weeks(
    day: float, since_days: float, expected: tuple[int, int]
) -> None:
    """Active within its last two weeks; who isn't observed counts in neither way."""
    book = Book()
    book.decide("u", "held_out")
    book.observe("u", int(day * DAY), since_days * DAY / 1000)
    account = book.account(HELD_OUT)
    assert (account.observed, account.active) == expected


def test_global_holdouts_are_no_control_of_a_campaign_with_its_own() -> None:
    """They are counted apart; all campaigns together are compared with them, at the first decision of any."""
    other = campaign(id="other", holdout=0)
    book = Book(campaign(), other, holdout={"share": 0.5, "salt": "s"})
    terms = book.ledger._terms[book.label]["reminder"]
    users = [f"u-{number}" for number in range(40)]
    out = [user for user in users if terms.arm_of(user) == GLOBAL]
    assert 5 < len(out) < 35
    for user in users:
        book.decide(user, "held_out", name="reminder")
        book.decide(user, "held_out" if user in out else "fired", HOUR, name="other")
        book.convert(user, 2 * HOUR, name="other")
    book.until(3 * DAY)
    assert (book.account(HELD_OUT).assigned, book.account(GLOBAL).assigned) == (40 - len(out), len(out))
    assert book.result("other")["control"] == "global_holdout"
    everybody = book.result(ALL_CAMPAIGNS)["groups"]
    assert [(group["arm"], group["users"], group["converted"]) for group in everybody] == [
        ("variant", 40 - len(out), 0), ("global_holdout", len(out), 0)
    ]  # fmt: skip


def followed(book: Book, kind: str, number: int) -> None:
    """One thing that follows from the decision about a user."""
    if kind == "convert" and number % 5 == 0:
        book.convert(f"u-{number}", number * HOUR + 1, number / 4)
    if kind == "tell" and number % 5 == 1:
        book.tell(f"u-{number}", "message_clicked", f"{number:032x}")
    if kind == "observe":
        book.observe(f"u-{number}", number * HOUR + 30 * DAY, number * 1e5)


def shuffled(seed: int) -> dict[str, object]:
    """The result of one set of records, what follows from decisions in an order of its own, with a restart."""
    rng, book = random.Random(seed), Book(campaign(variants={"a": 0.5, "b": 0.5}))
    for number in range(60):
        verdict, variant = ("held_out", None) if number % 3 == 0 else ("fired", "ab"[number % 2])
        book.decide(f"u-{number}", verdict, number * HOUR, variant=variant, decision=f"{number:032x}")
    after = [(kind, number) for kind in ("convert", "tell", "observe") for number in range(60)]
    rng.shuffle(after)
    for at, (kind, number) in enumerate(after):
        followed(book, kind, number)
        if at == 20 * seed:
            book.restart()
    book.until(40 * DAY)
    return book.result()


def test_a_restart_and_the_order_of_what_follows_show_nowhere() -> None:
    """Conversions, messages, observations in any order, a restart anywhere: the same result, and one by the model."""
    found = [shuffled(seed) for seed in range(6)]
    assert found.count(found[0]) == 6
    result = CampaignResult.model_validate(found[0])
    assert [(group.users, group.clicked) for group in result.groups] == [(20, 4), (20, 4), (20, 0)]


def test_users_are_forgotten_when_nothing_of_them_can_change() -> None:
    """After 400 days without a decision the entry goes, and the numbers stay."""
    book = Book()
    book.decide("u", "fired")
    book.convert("u", HOUR)
    book.store()
    book.until(FORGOTTEN_MS + DAY)
    before = book.result()
    book.ledger.forget()
    assert len(book.ledger.people) == 0
    assert (b"user/u", None) in list(book.ledger.changes())
    assert book.result() == before


def test_what_comes_before_its_decision_waits_for_it() -> None:
    """Topics are read side by side: what follows from a decision is counted when that comes, restart or not."""
    book, later = Book(), 5 * DAY
    assert book.convert("u", later + 5, decided=later) == book.tell("u", "message_sent", "a" * 32) == "early"
    book.restart()
    book.decide("u", "fired", later, decision="a" * 32)
    assert (book.account(TREATED).converted, book.account(TREATED).sent, len(book.ledger.waiting)) == (1, 1, 0)
    book.tell("u", "message_clicked", "b" * 32)
    book.until(later + 7 * DAY)
    book.ledger.forget()
    assert len(book.ledger.waiting) == 1
    book.until(later + 7 * DAY + 1)
    book.ledger.forget()
    assert len(book.ledger.waiting) == 0


def test_a_version_that_nobody_knows_is_told() -> None:
    """Nothing is dropped uncounted."""
    book = Book()
    book.label = "9/" + "0" * 64
    assert book.decide("u", "fired") == "unknown_version"


def test_a_run_begins_with_its_earliest_decision() -> None:
    """Whichever is read first: those of different users come in any order."""
    book = Book()
    book.decide("late", "fired", DAY)
    book.decide("early", "held_out", HOUR)
    assert book.result()["since"] == "2026-03-02T01:00:00.000Z"


def test_of_a_campaign_four_runs_are_kept() -> None:
    """The fifth last is given up: nothing counts for it any more, and its design would begin anew."""
    book = Book(campaign(delay="1h"))
    for user in ("u", "v"):
        book.decide(user, "held_out")
    for number in range(2, 6):
        book.publish(campaign(delay=f"{number}h"), version=number)
        book.decide("u", "held_out", number)
    assert (book.convert("v", HOUR), book.convert("u", HOUR)) == ("outside", "taken")
    assert len(book.result()["earlier"]) == 3
    book.publish(campaign(delay="1h"), version=6)
    book.decide("u", "held_out", HOUR)
    assert [group["users"] for group in book.result()["groups"]] == [0, 1]
    person = book.ledger.people.get("u")
    assert person is not None
    assert len(person.parts) == 4


@pytest.mark.parametrize("what", ["decision", "variant", "amount"])
def test_what_no_worker_writes_is_refused_and_changes_nothing(what: str) -> None:
    """A decision's id that is none, a variant that there isn't, an amount beyond any order's."""
    book = Book()
    book.decide("u", "held_out")
    book.store()
    with pytest.raises(ValueError, match=r"decision|index|literal|amount"):
        {
            "decision": lambda: book.decide("u", "fired", HOUR, decision="nothing"),
            "variant": lambda: book.decide("u", "fired", HOUR, variant="other"),
            "amount": lambda: book.convert("u", HOUR, 1e300),
        }[what]()
    assert list(book.ledger.changes()) == []


def test_what_is_stored_is_what_has_changed_in_small_pieces() -> None:
    """A message is its user's entry; thousands that wait for their decision are many records, of one user few."""
    book = Book()
    for number in range(200):
        book.decide(f"u-{number}", "fired", number, decision=f"{number:032x}")
    book.store()
    book.tell("u-7", "message_sent", f"{7:032x}")
    assert [key for key, _ in book.ledger.changes()] == [b"user/u-7"]
    assert {book.tell(f"w-{number % 90}", "message_sent", "a" * 32) for number in range(9_001)} == {"early", "outside"}
    changes = dict(book.ledger.changes())
    assert len(changes) == 90
    assert max(len(value or b"") for value in changes.values()) < 50_000
