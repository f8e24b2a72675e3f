"""The ledger against lift written straight: random streams, everything that may happen in them, and restarts."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.lift.naive import Naive
from tests.lift.support import DAY, HOUR, START_MS, Book, campaign
from worker.core.effects import iso
from worker.core.timestamps import instant_ms
from worker.lift.designs import GLOBAL, HELD_OUT
from worker.lift.records import Converted, Decided, Observed, Record, Told

USERS = [f"u-{number}" for number in range(14)]
REFUSED = [("suppressed", "paused"), ("suppressed", "cooldown"), ("deferred", "quiet_hours"), ("cancelled", "exited")]
STOPPED = [("suppressed", "cap"), ("suppressed", "rate_limit")]
OPTIONS: dict[str, Any] = {"channel": "email", "cost_per_trigger": 0.12, "max_per_hour": 4,
                           "variants": {"a": 0.5, "b": 0.5}}  # fmt: skip
CHANGES: list[dict[str, Any]] = [{}, {}, {"cost_per_trigger": 0.5}, {"max_per_hour": 2}, {"delay": "1h"},
                                 {"holdout": 0.3}, {"status": "shadow"}]  # fmt: skip


class Stream:
    """Records and commands as a shop makes them, each given to both sides."""

    def __init__(self, seed: int, restarts: float) -> None:
        self.rng, self.restarts = random.Random(seed), restarts
        self.book, self.naive = Book(campaign(), partitions=2), Naive(2)
        self.now_ms, self.number, self.version = START_MS, 0, 0
        self.decisions: list[Decided] = []
        self.coming: list[Decided] = []  # made, and yet to be read
        self.publish()

    def run(self, steps: int) -> None:
        """Have things happen, the two sides being compared now and then."""
        happenings: list[Callable[[], None]] = [self.decide, self.convert, self.tell, self.observe]
        seldom = [self.publish, self.erase, self.wait, self.wait_long, self.forget, self.compare]
        for _ in range(steps):
            self.now_ms += self.rng.choice([0, 1_000, 600_000, HOUR])
            self.rng.choices([*happenings, *seldom], [20, 8, 8, 4, 1, 1, 1, 0.1, 1, 1])[0]()
            if self.rng.random() < self.restarts:
                self.book.restart()
        self.compare()

    def publish(self) -> None:
        """Definitions: of the same design, of another, of one that was there before, in shadow."""
        self.version += 1
        change = self.rng.choice(CHANGES)
        caps = [{"channel": "email", "limit": self.rng.choice([1, 2]), "per": "1d"}]
        holdout = self.rng.choice([{"share": 0.2, "salt": "s"}, {"share": 0.3, "salt": "t"}])
        sometimes = self.rng.choice([{}, {"conversion": None}])
        others = [campaign(id="other", holdout=0, **sometimes), campaign(id="third", channel="push")]
        first = campaign(**OPTIONS | change)
        self.book.publish(first, *others, version=self.version, caps=caps, holdout=holdout)
        ledger, label = self.book.ledger, self.book.label
        self.naive.terms[label] = (ledger._terms[label], ledger._programmes[label])

    def take(self, record: Record) -> None:
        """Give a record to both; they say the same of it."""
        partition = int(record.user_id.removeprefix("u-")) % 2
        assert self.book.ledger.take(record, partition) == self.naive.take(record, partition), record

    def decide(self) -> None:
        """A decision as chance and the checks have it; now and then an earlier instant than the one before."""
        if self.coming and self.rng.random() < 0.3:
            self.take(self.coming.pop())
            return
        decided = self.decision(self.now_ms - self.rng.choice([0, 0, 0, 5_000]))
        self.decisions.append(decided)
        self.take(decided)

    def decision(self, at_ms: int) -> Decided:
        """A decision about somebody."""
        user, name = self.rng.choice(USERS), self.rng.choice(["reminder", "reminder", "other", "third"])
        terms = self.book.ledger._terms[self.book.label][name]
        arm = terms.arm_of(user)
        outcome, blocked_by = ("held_out", "holdout") if arm in (HELD_OUT, GLOBAL) else ("fired", None)
        if self.rng.random() < 0.3:
            outcome, blocked_by = self.rng.choice(REFUSED if arm < 0 else REFUSED + STOPPED)
        self.number += 1
        variant = terms.design.variants[arm] if outcome == "fired" else None
        return Decided(f"{self.number:032x}", user, name, outcome, blocked_by, variant, iso(at_ms), self.book.label)

    def about(self) -> Decided:
        """The decision that something follows from: mostly one that was made, now and then one yet to be read."""
        if not self.decisions or self.rng.random() < 0.1:
            self.coming.append(self.decision(self.now_ms + 1))
            self.decisions.append(self.coming[-1])
        return self.rng.choice(self.decisions[-30:])

    def convert(self) -> None:
        """An order, soon or late, also one of a decision that wasn't read yet."""
        about, after = self.about(), self.rng.choice([1, HOUR, DAY, DAY + 1, 3 * DAY])
        amount = self.rng.choice([0.0, 9.99, 120.5, 1e9])
        at_ms = instant_ms(about.decided_at) + after
        self.take(Converted("x", about.user_id, about.campaign, amount, about.decided_at, iso(at_ms)))

    def tell(self) -> None:
        """A message of a decision, or of none."""
        about, event = self.about(), self.rng.choice(["message_sent", "message_clicked"])
        self.take(Told(about.decision_id, about.user_id, event, iso(self.now_ms)))

    def observe(self) -> None:
        """A weekly observation, some of them four weeks on."""
        user, days = self.rng.choice(USERS), self.rng.choice([0, 28, 31, 36])
        since = self.rng.choice([None, 0.0, 14 * 86_400.0, 14 * 86_400.5])
        at_ms = self.now_ms + days * DAY * (self.rng.random() < 0.1)
        self.take(Observed(user, iso(at_ms), {"time_since_activity": since}))

    def erase(self) -> None:
        """Somebody asks to be forgotten."""
        user = self.rng.choice(USERS)
        self.book.ledger.erase(user, self.now_ms)
        self.naive.erase(user, self.now_ms)

    def wait(self) -> None:
        """Hours pass."""
        self.now_ms += self.rng.choice([HOUR, DAY, 8 * DAY])
        self.book.ledger.pass_time(self.now_ms)
        self.naive.pass_time(self.now_ms)

    def wait_long(self) -> None:
        """More than a year passes."""
        self.now_ms += 401 * DAY
        self.wait()

    def forget(self) -> None:
        """What nothing can change any more goes."""
        self.book.ledger.forget()
        self.naive.forget()

    def compare(self) -> None:
        """Both come to the same."""
        ledger = self.book.ledger
        named = {run.number: (name, run.design.run) for name, run in ledger.runs()}
        found = {
            (*named[number], arm): +Counter(msgspec.structs.asdict(account))
            for (number, arm), account in ledger.accounts().items()
            if number in named
        }
        assert found == {key: +account for key, account in self.naive.accounts().items()}
        for of, truth in (("fired", self.naive.fired), ("cost_micros", self.naive.cost_micros)):
            counts = {
                (*named[run.number], arm): count for _, run in ledger.runs() for arm, count in getattr(run, of).items()
            }
            assert counts == truth


@pytest.mark.parametrize("restarts", [0.05, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_ledger_is_lift_written_straight(seed: int, restarts: float) -> None:
    """Whatever comes, every record is judged alike and every account is the same, to the bit."""
    Stream(seed, restarts).run(1_200)
