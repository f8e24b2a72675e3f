"""What a job did, counted while it runs: the object that `--json` prints, and the table for people.

Counts come from the effects and from nothing else, so that what is said at the end is what was written.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from worker.core.records import Effects

__all__ = ["Summary", "Tally"]


@dataclass
class Tally:
    """Running counts of a job. `read` = `applied` + `duplicates` + dead letters, always."""

    read: int = 0
    applied: int = 0
    duplicates: int = 0
    repaired: int = 0
    triggers: int = 0
    conversions: int = 0
    transitions: Counter[str] = field(default_factory=Counter)  # by cause
    decisions: Counter[str] = field(default_factory=Counter)  # by outcome
    blocked: Counter[str] = field(default_factory=Counter)  # decisions that a check blocked or put off, by the check
    dead_letters: Counter[str] = field(default_factory=Counter)  # by reason
    repairs: Counter[str] = field(default_factory=Counter)  # by reason; a record may be repaired for several

    def take(self, effects: Effects) -> None:
        """Count what an Effects holds."""
        self.read += effects.read
        self.applied += effects.applied
        self.duplicates += effects.duplicates
        self.repaired += effects.repaired
        self.triggers += len(effects.triggers)
        self.conversions += len(effects.conversions)
        self.transitions.update(transition.cause for transition in effects.transitions)
        self.decisions.update(decision.outcome for decision in effects.decisions)
        self.blocked.update(decision.blocked_by for decision in effects.decisions if decision.blocked_by)
        self.dead_letters.update(effects.dead_letter_counts)
        self.repairs.update(effects.repaired_counts)


@dataclass(frozen=True)
class Summary:
    """A finished job: its counts, and who is where at the end."""

    tally: Tally
    users: int
    members: dict[str, int]
    seconds: float
    cpu_seconds: float
    lines: int  # read from files
    left_out: Counter[str] = field(default_factory=Counter)  # lines that are no event, by reason

    @property
    def events_per_second(self) -> float:
        """Of the wall clock."""
        return self.tally.read / self.seconds if self.seconds > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        tally = self.tally
        return {
            "read": tally.read,
            "applied": tally.applied,
            "duplicates": tally.duplicates,
            "dead_letters": tally.dead_letters.total(),
            "repaired": tally.repaired,
            "users": self.users,
            "transitions": tally.transitions.total(),
            "triggers": tally.triggers,
            "conversions": tally.conversions,
            "lines": self.lines,
            "left_out": self.left_out.total(),
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.events_per_second, 1),
            "cpu_us_per_event": round(1e6 * self.cpu_seconds / max(tally.read, 1), 3),
            "members": self.members,
            "decisions": dict(tally.decisions),
            "decisions_blocked_by": dict(tally.blocked),
            "transitions_by_cause": dict(tally.transitions),
            "dead_letters_by_reason": dict(tally.dead_letters),
            "repaired_by_reason": dict(tally.repairs),
            "left_out_by_reason": dict(self.left_out),
        }

    def as_table(self) -> Table:
        """The same for people: counts at the top, then a block per breakdown that isn't empty."""
        said = self.as_json()
        table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        table.add_column(overflow="fold")
        table.add_column(justify="right")
        for name in ("read", "applied", "duplicates", "dead_letters", "repaired", "users", "transitions", "triggers"):
            table.add_row(name.replace("_", " "), f"{said[name]:,}")
        table.add_row("conversions", f"{said['conversions']:,}")
        table.add_row("seconds", f"{self.seconds:,.1f}")
        table.add_row("events per second", f"{self.events_per_second:,.0f}")
        table.add_row("CPU per event", f"{said['cpu_us_per_event']:,.1f} µs")
        for title, counts in self._breakdowns():
            _block(table, title, counts)
        return table

    def _breakdowns(self) -> Iterable[tuple[str, dict[str, int]]]:
        yield "Members of segments", self.members
        yield "Transitions by cause", dict(self.tally.transitions.most_common())
        yield "Decisions by outcome", dict(self.tally.decisions.most_common())
        yield "Blocked or put off, by check", dict(self.tally.blocked.most_common())
        yield "Repaired, by reason", dict(self.tally.repairs.most_common())
        yield "Dead letters by reason", dict(self.tally.dead_letters.most_common())
        yield "Lines left out, by reason", dict(self.left_out.most_common())


def _block(table: Table, title: str, counts: dict[str, int]) -> None:
    if counts:
        table.add_section()
        table.add_row(f"[bold]{escape(title)}[/bold]", "")
        for name, count in counts.items():
            table.add_row(f"  {escape(name)}", f"{count:,}")
