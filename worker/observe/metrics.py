"""The worker's metrics: what commits brought about, and how the partitions stand.

The rule: counters move after a commit and only then, so that what was given up and done again counts once. What there
is to show is said in `catalogue.py`, and nothing else is shown.
"""

import platform
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

from schemas.models import Refusal
from worker.core.records import Effects
from worker.core.timestamps import instant_ms
from worker.observe.health import STATES
from worker.observe.series import Counts, Histogram, cut, shown
from worker.observe.standing import Standing, standings_shown, waiting

__all__ = ["Metrics"]


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        """Begin at zero, with nothing owned."""
        self._count_records()
        self._count_effects()
        self._restarts = Counts("shoal_task_restarts_total")
        self._refusals = Counts("shoal_models_refused_total")
        self._rebalances = Counts("shoal_rebalances_total")
        self._requests = Counts("shoal_http_requests_total")
        self._restore = Histogram("shoal_restore_seconds")
        self._states: dict[int, str] = {}
        self._standings: dict[int, Standing] = {}
        self._input_partitions = 0
        self._evaluated: float | None = None  # the wall clock in seconds; an evaluation judges every segment at once
        self._build = version("shoal"), platform.python_version(), version("numba")
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def _count_records(self) -> None:
        self._read = Counts("shoal_records_read_total")
        self._records = Counts("shoal_records_total")
        self._dead_letters = Counts("shoal_dead_letters_total")
        self._repaired = Counts("shoal_repaired_total")
        self._ignored = Counts("shoal_ignored_records_total")
        self._forgotten = Counts("shoal_forgotten_users_total")
        self._transaction = Histogram("shoal_transaction_seconds")
        self._to_commit = Histogram("shoal_event_to_commit_seconds")
        self._lateness = Histogram("shoal_timer_lateness_seconds")

    def _count_effects(self) -> None:
        self._transitions = Counts("shoal_transitions_total")
        self._decisions = Counts("shoal_decisions_total")
        self._samples = Counts("shoal_samples_total")
        self._conversions = Counts("shoal_conversions_total")

    # What happened.

    def committed(self, effects: Effects, arrivals_ms: Sequence[int], *, seconds: float, wall_ms: int,
                  grace_ms: int | None) -> None:  # fmt: skip
        """Count what one transaction made true, right after its commit, which took `seconds`.

        `arrivals_ms` has one entry per record; `grace_ms` None: the event clock, whose timers are never late.
        """
        self._count_what_was_read(effects, len(arrivals_ms))
        self._transitions.add_all((t.segment, t.direction, t.cause) for t in effects.transitions)
        self._decisions.add_all((d.campaign, d.outcome, d.blocked_by or "") for d in effects.decisions)
        self._conversions.add_all((c.campaign, c.variant or "") for c in effects.conversions)
        self._samples.add_all((s.target, str(s.label)) for s in effects.samples)
        self._transaction.observe(seconds)
        if arrivals_ms:
            self._to_commit.observe((wall_ms - np.array(arrivals_ms, np.int64)) / 1000)
        if grace_ms is not None:
            for transition in effects.transitions:
                if transition.cause == "timer":
                    self._lateness.observe((wall_ms - grace_ms - instant_ms(transition.occurred_at)) / 1000)
        if effects.evaluations:
            self._evaluated = wall_ms / 1000

    def _count_what_was_read(self, effects: Effects, read: int) -> None:
        """Count records twice over: as they were read, and by what the engine says became of them."""
        self._read.add(count=read)
        self._records.add("applied", count=effects.applied)
        self._records.add("duplicate", count=effects.duplicates)
        self._records.add("dead_letter", count=len(effects.dead_letters))
        self._dead_letters.add_all((letter.reason,) for letter in effects.dead_letters)
        for reason, count in effects.repaired_counts.items():
            self._repaired.add(reason, count=count)
        self._ignored.add(count=effects.ignored)
        for cause, count in effects.forgotten_counts.items():
            self._forgotten.add(cause, count=count)

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

    def answered(self, path: str, status: int) -> None:
        """Count a request for a path."""
        self._requests.add(path, str(status))

    # How it stands.

    def shares(self, input_partitions: int) -> None:
        """Say how many partitions the input has."""
        self._input_partitions = input_partitions

    def state(self, partition: int, state: str) -> None:
        """Say which of `health.STATES` an owned partition is in."""
        self._states[partition] = state

    def stands(self, partition: int, standing: Standing, campaigns: Sequence[str] = ()) -> None:
        """Say how an owned partition stands; what its segments and campaigns may count is shown from now on."""
        self._standings[partition] = standing
        for segment in standing.members:
            for direction in ("entered", "exited"):
                self._transitions.add(segment, direction, "event", count=0)
        for campaign in campaigns:
            self._decisions.add(campaign, "fired", "", count=0)
            self._decisions.add(campaign, "held_out", "holdout", count=0)

    def waits(self, partition: int, end: int) -> None:
        """Say that an owned partition doesn't run, while its input ends at `end`."""
        if partition in self._standings:
            self._standings[partition] = waiting(self._standings[partition], end)

    def forget(self, partition: int) -> None:
        """Take away the gauges of a partition that isn't owned any more."""
        self._states.pop(partition, None)
        self._standings.pop(partition, None)

    # What Prometheus reads.

    def collect(self) -> Iterator[Metric]:
        """Yield every family, with no more series than its bound; the registry calls this."""
        left_out = 0
        for metric in self._collected():
            left_out += cut(metric)
            yield metric
        yield shown("shoal_series_left_out", {(): left_out})

    def _collected(self) -> Iterator[Metric]:
        """Yield the families of the role."""
        for series in (self._read, self._records, self._dead_letters, self._repaired, self._ignored, self._forgotten,
                       self._transitions,
                       self._decisions, self._conversions, self._samples, self._refusals, self._to_commit,
                       self._lateness, self._transaction):  # fmt: skip
            yield series.collected()
        yield from standings_shown(self._standings, time.time_ns() // 1_000_000)
        yield from self._segments_shown()
        yield shown("shoal_input_partitions", {(): self._input_partitions})
        yield from self._shared()

    def _shared(self) -> Iterator[Metric]:
        """Yield what every role shows."""
        for series in (self._restarts, self._rebalances, self._restore, self._requests):
            yield series.collected()
        states = Counter({(state,): 0 for state in STATES})
        states.update((state,) for state in self._states.values())
        yield shown("shoal_partitions", states)
        yield shown("shoal_build_info", {self._build: 1})

    def _segments_shown(self) -> Iterator[Metric]:
        members: Counter[tuple[str]] = Counter()
        for standing in self._standings.values():
            members.update({(segment,): count for segment, count in standing.members.items()})
        evaluated = {} if self._evaluated is None else dict.fromkeys(members, self._evaluated)
        yield shown("shoal_segment_last_evaluated_timestamp_seconds", evaluated)
        yield shown("shoal_members", members)
