"""How the owned partitions stand: lag, clocks, versions, members, and the gauges that show them.

The rule: gauges are of what this process owns now. A partition that is owned and doesn't run keeps its last standing,
but for its lag, which goes on growing with the input.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from prometheus_client.core import Metric

from worker.observe.series import shown

__all__ = ["Standing", "standings_shown", "waiting"]


@dataclass(frozen=True)
class Standing:
    """How a partition stands; times in ms, of the wall but for `clock_ms` and `trained_until_ms`."""

    group: str
    topic: str
    offset: int  # the next to be read
    end: int  # of the input's partition
    behind_since_ms: int | None  # None: nothing is unread
    committed_ms: int
    clock_ms: int | None
    users: int
    state_bytes: int
    backfill_users: int  # whom the version in force has yet to see
    members: Mapping[str, int]
    definitions: tuple[int, str]  # version and hash
    model: tuple[int, int] | None  # version, and the time up to which it has learnt

    @property
    def lag_records(self) -> int:
        """How many offsets lie between the next record and the input's end."""
        return max(0, self.end - self.offset)


def waiting(standing: Standing, end: int) -> Standing:
    """Return how a partition stands that doesn't run, now that its input ends at `end`."""
    since_ms = standing.behind_since_ms
    if since_ms is None and end > standing.offset:
        since_ms = standing.committed_ms
    return replace(standing, end=end, behind_since_ms=since_ms)


def standings_shown(standings: Mapping[int, Standing], wall_ms: int) -> Iterator[Metric]:
    """Yield the gauges of all owned partitions, by number, but those of segments."""
    by_number = {str(number): standing for number, standing in standings.items()}
    yield from _lag(by_number, wall_ms)
    yield from _clocks(by_number)
    yield from _versions(by_number)
    for name in ("users", "state_bytes", "backfill_users"):
        total = sum(getattr(standing, name) for standing in standings.values())
        yield shown(TOTALS[name], {(): total})


TOTALS = {
    "users": "shoal_state_users",
    "state_bytes": "shoal_state_bytes",
    "backfill_users": "shoal_backfill_remaining_users",
}


def _lag(standings: Mapping[str, Standing], wall_ms: int) -> Iterator[Metric]:
    records = {number: standing.lag_records for number, standing in standings.items()}
    yield shown("shoal_lag_records", {(number,): lag for number, lag in records.items()})
    yield shown("shoal_lag_seconds", {
        (number,): 0.0 if s.behind_since_ms is None else max(0.0, (wall_ms - s.behind_since_ms) / 1000)
        for number, s in standings.items()
    })  # fmt: skip
    places = {(s.group, s.topic, number): s for number, s in standings.items()}
    yield shown("kafka_consumergroup_lag", {place: s.lag_records for place, s in places.items()})
    yield shown("kafka_consumergroup_current_offset", {place: s.offset for place, s in places.items()})
    ends = {(topic, number): s.end for (_, topic, number), s in places.items()}
    yield shown("kafka_topic_partition_current_offset", ends)


def _clocks(standings: Mapping[str, Standing]) -> Iterator[Metric]:
    clocks = {(number,): s.clock_ms / 1000 for number, s in standings.items() if s.clock_ms is not None}
    yield shown("shoal_partition_clock_timestamp_seconds", clocks)
    commits = {(number,): s.committed_ms / 1000 for number, s in standings.items()}
    yield shown("shoal_last_commit_timestamp_seconds", commits)
    trained = [s.model[1] / 1000 for s in standings.values() if s.model is not None]
    yield shown("shoal_model_trained_until_timestamp_seconds", {(): min(trained)} if trained else {})


def _versions(standings: Mapping[str, Standing]) -> Iterator[Metric]:
    in_force = Counter((str(s.definitions[0]), s.definitions[1]) for s in standings.values())
    yield shown("shoal_definitions_info", in_force)
    yield shown("shoal_definitions_version", {(number,): s.definitions[0] for number, s in standings.items()})
    models = {(number,): s.model[0] if s.model else 0 for number, s in standings.items()}
    yield shown("shoal_model_version", models)
