"""`shoal bench kafka`: what workers cost on a real broker, and how quick they are, in figures.

Real worker processes, started as an operator starts them, under a prefix of topics that is removed afterwards. Every
part is measured by itself, one after the other, with workers and topics of its own.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from worker.bench.kafka_idle import idle
from worker.bench.kafka_latency import latency
from worker.bench.kafka_place import DEFINITIONS, Brokers, place, skewed
from worker.bench.kafka_report import as_table
from worker.bench.kafka_restore import restore
from worker.bench.kafka_saturation import saturation
from worker.bench.kafka_takeover import takeover
from worker.bench.meter import machine
from worker.errors import WrongUsage
from worker.kafka.topics import PARTITIONS_DEFAULT
from worker.operations.importing import feed
from worker.settings import Settings

__all__ = ["FULL", "QUICK", "as_table", "run"]

Data = dict[str, Any]
Say = Callable[[str], object]

USERS_BUSY: Final = 50_000


@dataclass(frozen=True)
class Plan:
    """How much to measure: `events` at saturation, a state of `users` to restore; s for the rest."""

    events: int = 1_000_000
    users: int = 1_000_000
    partitions: int = 2  # as many as there are workers at most
    rate: int = 5_000
    latency_seconds: int = 30
    idle_seconds: float = 20.0
    idle_partitions: int = PARTITIONS_DEFAULT
    session_timeout_ms: int | None = None  # None: as the settings say

    def of(self, events: int | None, users: int | None) -> Self:
        """Return the same with other numbers where they are given."""
        return replace(self, events=events or self.events, users=users or self.users)

    @property
    def busy_users(self) -> int:
        """Who sends the events, but for those that make the state to restore."""
        return min(self.users, USERS_BUSY)


FULL: Final = Plan()
# With fewer events than these what is read ahead before the middle, and counted in it, is half of the figure.
QUICK: Final = Plan(events=400_000, users=50_000, latency_seconds=10, idle_seconds=5.0, session_timeout_ms=6_000)


async def run(settings: Settings, plan: Plan, say: Say = lambda _: None) -> Data:
    """Measure what is planned; `say` is told what is being measured.

    Returns `saturation` (an object for each definitions and number of workers), `latency`, `restore`, `takeover`,
    `idle`, `brokers` and `machine`. The topics are deleted at the end.

    Raises:
        JobFailed: no broker answers, or a worker ended or stood still.
        WrongUsage: this isn't Linux, or the brokers can't be used with these settings.
    """
    if sys.platform != "linux":
        raise WrongUsage("The CPU time of processes is read as Linux tells it: run this on Linux.")
    brokers = await Brokers.of(settings)
    session_timeout_ms = min(plan.session_timeout_ms or settings.session_timeout_ms, settings.session_timeout_ms)
    saturated = await _saturation(settings, brokers, plan, say)
    say("measuring latency")
    delays = await latency(settings, plan.partitions, plan.busy_users, plan.rate, plan.latency_seconds)
    say(f"measuring the restore of {plan.users:,} users")
    restored = await restore(settings, plan.partitions, plan.users)
    say("measuring the takeover")
    taken_over = await takeover(settings, 2 * plan.partitions, plan.busy_users, session_timeout_ms)
    say("measuring idleness")
    return {
        "saturation": saturated,
        "latency": delays,
        "restore": restored,
        "takeover": taken_over,
        "idle": await idle(settings, plan.idle_partitions, plan.busy_users, plan.idle_seconds),
        "brokers": {"seen": brokers.ids is not None},
        "machine": machine(),
    }


async def _saturation(settings: Settings, brokers: Brokers, plan: Plan, say: Say) -> list[Data]:
    """Write the events once, and have them worked off under each definitions by one worker and by two."""
    rows = []
    async with place(settings, plan.partitions) as source:
        say(f"writing {plan.events:,} events")
        await feed(source, skewed(plan.events, plan.busy_users))
        for name, definitions in DEFINITIONS.items():
            for workers in (1, 2):
                say(f"measuring saturation, {name} definitions, {workers} of 2 workers")
                measured = await saturation(
                    settings, brokers, source.events_topic, plan.events, plan.partitions, workers, definitions
                )
                given = {"definitions": name, "workers": workers, "partitions": plan.partitions}
                rows.append({**given, "users": plan.busy_users, **measured})
    return rows
