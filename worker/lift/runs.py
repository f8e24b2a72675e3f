"""Runs: the designs under which a campaign has decided, and what is known of each as a whole.

The rule: a run has a number that no other has, nor ever will: the campaign's and, in the lower 16 bits, which of its
runs it is. The latest few of a campaign are kept; a design that comes back after that begins a run of its own.
"""

import msgspec

from worker.lift.accounts import Account
from worker.lift.designs import Design

__all__ = ["Campaign", "Run"]

RUNS_KEPT = 4
VERSIONS_KEPT = 20


class Run(msgspec.Struct):
    """A design, and what came of it; `closed` are the accounts of users who are gone, by arm."""

    number: int
    design: Design
    definitions: list[str] = []  # labels of the versions under which it ran, the latest last
    began_ms: int = 0
    latest_ms: int = 0
    fired: dict[int, int] = {}  # decisions, not users, by arm
    cost_micros: dict[int, int] = {}
    closed: dict[int, Account] = {}

    def fire(self, arm: int, cost_micros: int) -> None:
        """Count a fired decision."""
        self.fired[arm] = self.fired.get(arm, 0) + 1
        self.cost_micros[arm] = self.cost_micros.get(arm, 0) + cost_micros


class Campaign(msgspec.Struct):
    """A campaign's number and runs, the latest last."""

    number: int
    begun: int = 0  # runs
    runs: list[Run] = []

    def run(self, design: Design, label: str, at_ms: int) -> Run:
        """Return the run of a design, as the latest; a version of the definitions decides at an instant."""
        latest = self.runs[-1] if self.runs else None
        if latest is None or latest.design.run != design.run or latest.definitions[-1] != label:
            latest = self._take_up(design, label, at_ms)
        latest.began_ms, latest.latest_ms = min(latest.began_ms, at_ms), max(latest.latest_ms, at_ms)
        return latest

    def _take_up(self, design: Design, label: str, at_ms: int) -> Run:
        run = next((run for run in self.runs if run.design.run == design.run), None)
        if run is None:
            run = Run(self.number << 16 | self.begun, design, began_ms=at_ms)
            self.begun += 1
        self.runs = [*(other for other in self.runs if other is not run), run][-RUNS_KEPT:]
        if label not in run.definitions:
            run.definitions = [*run.definitions, label][-VERSIONS_KEPT:]
        return run
