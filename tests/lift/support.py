"""Records for a ledger, told by hand: times are offsets in ms from Monday 2026-03-02T00:00Z."""

from typing import Any

from tests.support.pair import checked_of
from worker.core.effects import iso
from worker.core.pseudonyms import Pseudonyms
from worker.lift.accounts import Account
from worker.lift.designs import programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.people import Part
from worker.lift.records import Converted, Decided, Observed, Told
from worker.lift.results import results_of
from worker.lift.runs import Run

__all__ = ["DAY", "HOUR", "START_MS", "Book", "campaign", "definitions"]

START_MS = 1_772_409_600_000
HOUR, DAY = 3_600_000, 86_400_000


def campaign(**options: Any) -> dict[str, Any]:
    """A campaign with a holdout of its own and a conversion within a day."""
    conversion = {"event": "order", "within": "1d"}
    return {"id": "reminder", "trigger": {"entered": "cart"}, "holdout": 0.5, "conversion": conversion, **options}


def definitions(*campaigns: dict[str, Any], version: int = 1, **rest: Any) -> dict[str, Any]:
    """Definitions with these campaigns."""
    segments = [{"id": "cart", "enter": "cart_items > 0"}]
    return {"version": version, "segments": segments, "campaigns": list(campaigns), **rest}


class Book:
    """A ledger, and records for it."""

    def __init__(self, *campaigns: dict[str, Any], partitions: int = 1, **rest: Any) -> None:
        self.ledger = Ledger(partitions)
        self.stored: dict[str, dict[bytes, bytes]] = {}
        self.publish(*(campaigns or (campaign(),)), **rest)

    def publish(self, *campaigns: dict[str, Any], **rest: Any) -> None:
        """Have the next decisions come under these definitions."""
        checked = checked_of(definitions(*campaigns, **rest))
        self.label = f"{checked.definitions.version}/{checked.hash}"
        self.ledger.know(self.label, terms_of(checked), programme_of(checked.definitions))

    def decide(self, user: str, outcome: str, at: int = 0, *, blocked_by: str | None = None, variant: str | None = None,
               name: str = "reminder", partition: int = 0, decision: str = "") -> str:  # fmt: skip
        """A decision; what became of it."""
        blocked_by = "holdout" if outcome == "held_out" else blocked_by
        said = iso(START_MS + at)
        record = Decided(decision or f"{at:032x}", user, name, outcome, blocked_by, variant, said, self.label)
        return self.ledger.take(record, partition)

    def convert(self, user: str, at: int, amount: float = 10.0, name: str = "reminder", decided: int = 0) -> str:
        """A conversion; what became of it."""
        return self.ledger.take(
            Converted(f"{user}-{at}", user, name, amount, iso(START_MS + decided), iso(START_MS + at))
        )

    def tell(self, user: str, event: str, decision: str) -> str:
        """A message; what became of it."""
        return self.ledger.take(Told(decision, user, event, iso(START_MS)))

    def observe(self, user: str, at: int, since_seconds: float | None, partition: int = 0) -> str:
        """An observation; what became of it."""
        features = {"time_since_activity": since_seconds}
        return self.ledger.take(Observed(user, iso(START_MS + at), features), partition)

    def until(self, at: int) -> None:
        """Time passes."""
        self.ledger.pass_time(START_MS + at)

    def account(self, arm: int, name: str = "reminder") -> Account:
        """The account of an arm of the campaign's present run."""
        return self.ledger.accounts()[self.run(name).number, arm]

    def run(self, name: str = "reminder") -> Run:
        """The campaign's present run."""
        return dict(self.ledger.campaigns())[name][-1]

    def part(self, user: str, name: str = "reminder") -> Part:
        """A user's part in the campaign's present run."""
        person = self.ledger.people.get(user)
        part = person.part(self.run(name).number) if person is not None else None
        assert part is not None
        return part

    def result(self, name: str = "reminder") -> dict[str, Any]:
        """The campaign's result."""
        return next(result for result in results_of(self.ledger, "EUR") if result["campaign"] == name)

    def store(self) -> None:
        """Store what has changed, as a commit does."""
        for key, value in self.ledger.changes():
            kind, _, name = key.partition(b"/")
            entries = self.stored.setdefault(kind.decode(), {})
            if value is None:
                entries.pop(name, None)
            else:
                entries[name] = value

    def restart(self, pseudonyms: Pseudonyms | None = None) -> None:
        """Go on with a ledger made from what was stored, now and earlier."""
        self.store()
        assert self.ledger.counts() == {kind: len(self.stored.get(kind, ())) for kind in self.ledger.counts()}
        stored = {kind: dict(entries) for kind, entries in self.stored.items()}
        fresh = Ledger(self.ledger.partitions, stored, self.ledger.clocks, pseudonyms=pseudonyms or Pseudonyms())
        fresh._terms, fresh._programmes = self.ledger._terms, self.ledger._programmes
        self.ledger = fresh
