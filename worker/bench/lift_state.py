"""What lift costs by user and by record: `python -m worker.bench.lift_state [--users N] [--campaigns N]`.

Every user is decided on in every campaign; of those who aren't held out every message is told of, and one user in
twenty orders. The rule: records go in as workers write them, and nothing but lift's own work is measured, in CPU time.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from time import process_time
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from worker.bench.meter import resident_bytes
from worker.core.effects import iso, short_hash
from worker.kafka.kept_state import KeptState, written
from worker.kafka.lift_state import LiftProgress
from worker.language.definitions import Checked, load
from worker.language.mapping import Mapping
from worker.lift.designs import programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.records import read
from worker.lift.results import results_of

__all__ = ["costs", "main"]

BEGAN_MS, HOUR_MS = 1_767_225_600_000, 3_600_000  # 2026-01-01
PARTITIONS = 4
USERS_AT_ONCE = 500

Written = list[tuple[str, int, bytes]]  # topic, partition, record


class Shop:
    """Definitions with so many campaigns alike, and what follows under them."""

    def __init__(self, campaigns: int) -> None:
        made = [
            {"id": f"campaign-{number}", "trigger": {"entered": "cart"}, "holdout": 0.1, "cost_per_trigger": 0.12,
             "conversion": {"event": "order", "within": "1d"}}
            for number in range(campaigns)
        ]  # fmt: skip
        said = {"version": 1, "holdout": {"share": 0.05, "salt": "2026"},
                "segments": [{"id": "cart", "enter": "cart_items > 0"}], "campaigns": made}  # fmt: skip
        self.checked: Checked = load(msgspec.json.encode(said).decode(), Mapping.load())
        self.label, self.terms = f"1/{self.checked.hash}", terms_of(self.checked)

    def records(self, users: range) -> Written:
        """Return what workers write of these users: all decisions, all messages, all conversions."""
        found: dict[str, Written] = {"campaign-decisions": [], "messages": [], "conversions": []}
        for user in users:
            for number, campaign in enumerate(self.terms):
                for topic, record in self._of(f"u-{user:07}", campaign, BEGAN_MS + user * 50 + number * HOUR_MS, user):
                    found[topic].append((topic, user % PARTITIONS, msgspec.json.encode(record)))
        return [record for records in found.values() for record in records]

    def _of(self, user: str, campaign: str, at_ms: int, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
        reached = self.terms[campaign].arm_of(user) >= 0
        decision = short_hash(user, campaign)
        about = {"decision_id": decision, "user_id": user, "campaign": campaign, "decided_at": iso(at_ms)}
        yield "campaign-decisions", about | {
            "id": decision, "outcome": "fired" if reached else "held_out", "blocked_by": None if reached else "holdout",
            "variant": None, "due_at": iso(at_ms), "definition": self.label, "model": None,
        }  # fmt: skip
        if reached:
            yield "messages", about | {"id": decision, "event": "message_sent", "occurred_at": iso(at_ms + 1_000)}
        if number % 20 == 0:
            yield "conversions", about | {"id": decision, "event": "order", "amount": number % 20_000 / 100,
                                          "occurred_at": iso(at_ms + 5_000)}  # fmt: skip


def costs(users: int, campaigns: int) -> dict[str, float]:
    """Return what lift costs with so many users in so many campaigns, by name with its unit."""
    shop, ledger, seconds = Shop(campaigns), Ledger(PARTITIONS), {"read": 0.0, "take": 0.0, "store": 0.0}
    others: dict[bytes, bytes | None] = {}
    ledger.know(shop.label, shop.terms, programme_of(shop.checked.definitions))
    before, count = resident_bytes(), 0
    for first in range(0, users, USERS_AT_ONCE):
        records = shop.records(range(first, min(first + USERS_AT_ONCE, users)))
        count += len(records)
        others |= _fed(ledger, records, seconds)
    memory_bytes = resident_bytes() - before
    ledger.pass_time(BEGAN_MS + users * 50 + 100 * HOUR_MS)
    begun = process_time()
    assert sum(1 for _ in results_of(ledger, "EUR"))
    report_seconds = process_time() - begun
    return {
        **{f"{name}_us_per_record": 1e6 * spent / count for name, spent in seconds.items()},
        "memory_bytes_per_user": memory_bytes / users,
        "stored_bytes_per_user": sum(len(entry) for entry in ledger.people.entries().values()) / users,
        "report_us_per_user": 1e6 * report_seconds / users,
        "restore_us_per_user": 1e6 * _restoring(ledger, others) / users,
    }


def _fed(ledger: Ledger, records: Written, seconds: dict[str, float]) -> dict[bytes, bytes | None]:
    """Have a ledger take records; return what is to be stored beside users."""
    begun = process_time()
    understood = [(read(topic, value), partition) for topic, partition, value in records]
    read_at = process_time()
    for record, partition in understood:
        ledger.take(record, partition)
    taken_at = process_time()
    changes = list(ledger.changes())
    for name, spent in (("read", read_at - begun), ("take", taken_at - read_at), ("store", process_time() - taken_at)):
        seconds[name] += spent
    return {key: value for key, value in changes if not key.startswith(b"user/")}


def _restoring(ledger: Ledger, others: dict[bytes, bytes | None]) -> float:
    """Return how many seconds it takes to make the ledger again of its records, once they are here."""
    records = [(b"user/" + name, entry) for name, entry in ledger.people.entries().items()]
    _, progress = written(LiftProgress(entries=ledger.counts()))
    begun, state = process_time(), KeptState(LiftProgress)
    for key, value in [*records, *others.items(), (b"progress", progress)]:
        state.take(key, value)
    found = state.progress()
    assert found is not None
    assert len(Ledger(PARTITIONS, state.entries(found.entries)).people) == len(ledger.people)
    return process_time() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what lift costs; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m worker.bench.lift_state", description=main.__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, metavar="N", help="how many (1,000,000)")
    parser.add_argument("--campaigns", type=int, default=1, metavar="N", help="in how many each of them is (1)")
    given = parser.parse_args(arguments)
    if given.users < 1 or given.campaigns not in range(1, 65):
        sys.stderr.write("Give --users 1 or more, and --campaigns 1 to 64.\n")
        return 2
    table = Table("what", "figure")
    for name, value in costs(given.users, given.campaigns).items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
