"""The worker's metrics: what commits brought about, and how the partitions stand.

The rule: counters move after a commit and only then, so that what was given up and done again counts once. Labels are
names from the definitions and from the contract; a user id is never one. `docs/operating.md` says what each means.
"""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import get_args

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from schemas.models import Refusal
from schemas.outputs import DeadLetter
from worker.core.records import Effects, Transition
from worker.observe.series import Counts, Histogram

__all__ = ["Metrics"]

# Upper bounds in seconds, closest where the targets are: 100 and 250 ms to a commit, 2 s for a timer, 20 s to restore.
TO_COMMIT = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
TRANSACTION = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RESTORE = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(frozen=True)
class _Standing:
    """How a partition stands."""

    lag_records: int
    lag_seconds: float
    users: int
    state_bytes: int
    backfill_users: int
    members: Mapping[str, int]


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        """Begin at zero, with nothing owned."""
        self._count_records()
        self._count_effects()
        self._restarts = Counts("shoal_task_restarts", "Times a partition's task began again, by cause.", ("cause",))
        refusals = [(reason,) for reason in get_args(Refusal)]
        self._refusals = Counts("shoal_models_refused", "Published models refused, by reason.", ("reason",), refusals)
        self._rebalances = Counts("shoal_rebalances", "Assignments taken from the group.", begin=[()])
        self._restore = Histogram("shoal_restore_seconds", "Seconds to restore a partition.", RESTORE)
        self._partitions: dict[int, _Standing] = {}
        self._evaluated: float | None = None  # the wall clock in seconds; an evaluation judges every segment at once
        self._build = {
            "version": version("shoal"), "python": platform.python_version(), "numba": version("numba"),
        }  # fmt: skip
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def _count_records(self) -> None:
        results = [("applied",), ("duplicate",), ("dead_letter",)]
        reasons = [(reason,) for reason in get_args(DeadLetter.model_fields["reason"].annotation)]
        self._records = Counts("shoal_records", "Records, by what became of them.", ("result",), results)
        self._dead_letters = Counts("shoal_dead_letters", "Records refused, by reason.", ("reason",), reasons)
        self._repaired = Counts("shoal_repaired", "Repairs of applied records, by reason.", ("reason",))
        self._transaction = Histogram("shoal_transaction_seconds", "Seconds from begin to committed.", TRANSACTION)
        self._to_commit = Histogram("shoal_event_to_commit_seconds", "Seconds from a record's arrival on.", TO_COMMIT)
        self._lateness = Histogram("shoal_timer_lateness_seconds", "Seconds beyond the grace.", LATENESS)

    def _count_effects(self) -> None:
        self._transitions = Counts(
            "shoal_transitions", "Entries and exits, by segment and cause.", ("segment", "direction", "cause")
        )
        self._decisions = Counts(
            "shoal_decisions", "Decisions, sent or not, and what refused.", ("campaign", "outcome", "blocked_by")
        )
        self._samples = Counts("shoal_samples", "Resolved samples, by target and label.", ("target", "label"))
        self._conversions = Counts(
            "shoal_conversions", "Successes of campaigns, by variant or holdout.", ("campaign", "variant")
        )

    # What happened.

    def committed(self, effects: Effects, arrivals_ms: Sequence[int], *, seconds: float, wall_ms: int,
                  grace_ms: int | None) -> None:  # fmt: skip
        """Count what one transaction made true, right after its commit, which took `seconds`.

        `arrivals_ms` has one entry per record; `grace_ms` None: the event clock, whose timers are never late.
        """
        self._records.add("applied", count=effects.applied)
        self._records.add("duplicate", count=effects.duplicates)
        self._records.add("dead_letter", count=len(effects.dead_letters))
        self._dead_letters.add_all((letter.reason,) for letter in effects.dead_letters)
        for reason, count in effects.repaired_counts.items():
            self._repaired.add(reason, count=count)
        self._transitions.add_all((t.segment, t.direction, t.cause) for t in effects.transitions)
        self._decisions.add_all((d.campaign, d.outcome, d.blocked_by or "") for d in effects.decisions)
        self._conversions.add_all((c.campaign, c.variant or "") for c in effects.conversions)
        self._samples.add_all((s.target, str(s.label)) for s in effects.samples)
        self._transaction.observe(seconds)
        self._to_commit.observe((wall_ms - np.array(arrivals_ms, np.int64)) / 1000)
        if grace_ms is not None:
            late = [wall_ms - grace_ms - _ms(t) for t in effects.transitions if t.cause == "timer"]
            self._lateness.observe(np.array(late, np.int64) / 1000)
        if effects.evaluations:
            self._evaluated = wall_ms / 1000

    def restarted(self, cause: str) -> None:
        """Count that a partition's task began again; `cause` is one of few names."""
        self._restarts.add(cause)

    def model_refused(self, reason: Refusal) -> None:
        """Count a published model that can't be used."""
        self._refusals.add(reason)

    def rebalanced(self) -> None:
        """Count that the group has given us an assignment."""
        self._rebalances.add()

    def restored(self, seconds: float) -> None:
        """Count a restore that took so long."""
        self._restore.observe(seconds)

    # How it stands.

    def gauges(self, partition: int, *, lag_records: int, lag_seconds: float, users: int, state_bytes: int,
               backfill_users: int, members: dict[str, int]) -> None:  # fmt: skip
        """Say how an owned partition stands; `backfill_users` have yet to be seen by the version in force."""
        self._partitions[partition] = _Standing(lag_records, lag_seconds, users, state_bytes, backfill_users, members)

    def forget(self, partition: int) -> None:
        """Take away the gauges of a partition that isn't owned any more."""
        self._partitions.pop(partition, None)

    def _members(self) -> Counter[str]:
        """Members by segment, over the owned partitions."""
        members: Counter[str] = Counter()
        for standing in self._partitions.values():
            members.update(standing.members)
        return members

    # What Prometheus reads.

    def collect(self) -> Iterator[Metric]:
        """Yield every family; the registry calls this."""
        for counts in (self._records, self._dead_letters, self._repaired, self._transitions, self._decisions,
                       self._conversions, self._samples, self._restarts, self._rebalances, self._refusals):  # fmt: skip
            yield counts.family()
        for histogram in (self._to_commit, self._lateness, self._transaction, self._restore):
            yield histogram.family()
        standings = self._partitions
        records = {str(number): standing.lag_records for number, standing in standings.items()}
        seconds = {str(number): standing.lag_seconds for number, standing in standings.items()}
        yield _gauge("shoal_lag_records", "Records that are yet to be read.", "partition", records)
        yield _gauge("shoal_lag_seconds", "Seconds that the partition is behind.", "partition", seconds)
        members = self._members()
        evaluated = {} if self._evaluated is None else dict.fromkeys(members, self._evaluated)
        meaning = "When a segment was last evaluated for anyone."
        yield _gauge("shoal_segment_last_evaluated_timestamp_seconds", meaning, "segment", evaluated)
        yield _gauge("shoal_members", "Users in the segment.", "segment", members)
        yield from self._totals()
        yield self._build_family()

    def _build_family(self) -> Metric:
        return InfoMetricFamily("shoal_build", "What runs.", self._build)

    def _totals(self) -> Iterator[Metric]:
        standings = self._partitions.values()
        users = sum(standing.users for standing in standings)
        size = sum(standing.state_bytes for standing in standings)
        left = sum(standing.backfill_users for standing in standings)
        yield GaugeMetricFamily("shoal_state_users", "Users in memory.", users)
        yield GaugeMetricFamily("shoal_state_bytes", "Bytes of their state.", size)
        yield GaugeMetricFamily("shoal_backfill_remaining_users", "Users the version has yet to see.", left)


def _ms(transition: Transition) -> int:
    return round(datetime.fromisoformat(transition.occurred_at).timestamp() * 1000)


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family
