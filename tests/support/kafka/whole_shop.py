"""A whole shop at work: simulated shoppers, workers, trainer, lift and sinks, and a sender that takes the triggers.

The sender answers the webhooks as senders do, mostly well; shoppers react to what it took, and the message events that
follow carry the decision's id, so that all topics are fed by what the roles themselves have done. The shop's days
begin in the past: what was triggered then is too late to be sent by now.

The rule: what happens is a function of the seed and of what the roles deliver; nobody here looks at their state.
"""

import datetime
import itertools
import random
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from schemas.control import EraseCommand
from tests.support.kafka.deployment import Deployment, Event, run
from tests.support.kafka.worker_process import Process
from tests.support.random_definitions import Conditions
from tests.support.receiver import CLOSES, HANGS, OK, Answer, Post, Receiver
from worker.core.effects import iso
from worker.core.timestamps import instant_ms
from worker.kafka.writing import append, partition_of
from worker.operations.commanding import identity
from worker.simulate.shop import HOUR_MS, Incident, Reaction, Settings
from worker.simulate.stream import Simulation
from worker.simulate.traits import consents

__all__ = ["ROLES", "SECRET", "Shop", "definitions", "is_refused", "moody", "simulation"]

ROLES: Mapping[str, str] = {
    "one": "worker", "two": "worker", "trainer": "trainer", "lift": "lift", "sinks": "sinks"
}  # fmt: skip
SECRET = "whsec_" + 43 * "A" + "="
HASTY: dict[str, Any] = {
    "trainer_commit_interval_ms": 500, "trainer_publish_interval_ms": 1_000,
    "lift_commit_interval_ms": 300, "lift_publish_interval_ms": 1_000,
    "sinks_pause_ms": 20, "sinks_pause_max_ms": 200, "sinks_timeout_ms": 700,
}  # fmt: skip
EXTRA_SEGMENTS = 2


def definitions(seed: int, version: int = 1) -> dict[str, Any]:
    """Definitions in which every part has something to do, by version.

    Thresholds, costs and what the extra segments read change with every version, one campaign's design with every
    second; so the layout of rows changes, and a run of lift's is left and taken up again. The limit of an hour is out
    of reach: by it alone one can tell in which order users were judged whom a version left over.
    """
    rng = random.Random(f"{seed}/{version}")
    extra = [{"id": f"extra_{number}", "enter": Conditions(rng, [], model=False).condition()}
             for number in range(EXTRA_SEGMENTS)]  # fmt: skip
    return {
        "version": version,
        "traits": ["country", "language", "age_group", "points"],
        "holdout": {"share": 0.1, "salt": "2026"},
        "segments": [
            {"id": "cart_abandoner", "enter": f"cart_items > 0 and time_since_cart_add >= {25 + version % 3 * 5}m"},
            {"id": "viewer", "enter": f"views_24h >= {3 + version % 2}"},
            {"id": "new_user", "enter": "age < 2d"},
            {
                "id": "tier",
                "tiers": [{"id": "high", "enter": "spend_30d >= 200"}, {"id": "low", "enter": "spend_30d > 0"}],
            },
            {"id": "rank", "enter": 'percentile("spend_365d") >= 0.5'},
            {"id": "likely", "enter": 'probability("buy") >= 0.3'},
            {"id": "behaviour", "clusters": True},
            *extra,
        ],
        "targets": [{"id": "buy", "positive": "order", "horizon": "1d"}],
        "campaigns": [
            {
                "id": "cart_reminder", "trigger": {"entered": "cart_abandoner"}, "channel": "email", "expires": "6h",
                "cooldown": "12h", "on_exit": "cancel", "holdout": 0.2 + version // 2 % 2 * 0.1,
                "quiet_hours": {"from": "23:00", "to": "05:00", "on_quiet": "defer"},
                "variants": {"plain": 0.5, "discount": {"share": 0.5, "send": {"coupon": "BACK10"}}},
                "conversion": {"event": "order", "within": "1d"}, "cost_per_trigger": 0.1 + version / 100,
                "max_per_hour": 4_000, "priority": 10,
            },
            {
                "id": "look_again", "trigger": {"exited": "viewer"}, "channel": "push", "delay": "10m",
                "cooldown": "1d", "conversion": {"event": "view", "within": "6h"},
            },
            {
                "id": "welcome", "trigger": {"entered": "new_user"}, "channel": "email", "delay": "1h",
                "holdout": 0.3, "conversion": {"event": "order", "within": "2d"}, "on_backfill": True,
            },
            {"id": "rehearsal", "trigger": {"entered": "tier"}, "channel": "email", "status": "shadow"},
        ],
        "caps": [{"channel": "email", "limit": 2, "per": "24h"}],
    }  # fmt: skip


def simulation(seed: int, users: int, days: int) -> Simulation:
    """A shop that opened yesterday at midnight, UTC."""
    start = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    return Simulation(Settings(
        users=users, days=days, seed=seed, start=start, late=0.03, duplicates=0.03, malformed=0.01,
        incidents=(Incident(kind="spike", day=1.5), Incident(kind="drift", day=min(4, days - 1))),
        reaction=Reaction(effect=0.3, within_minutes=600),
    ))  # fmt: skip


def is_refused(user_id: str) -> bool:
    """Whether the sender wants nothing to do with a user."""
    return zlib.crc32(user_id.encode()) % 20 == 0


def moody(post: Post) -> Answer:
    """The sender: refuses some users for good, stumbles over some triggers once, and takes all else."""
    if is_refused(post.content["data"]["user_id"]):
        return Answer(410)
    stumbles: Mapping[int, Answer] = {0: Answer(500), 1: Answer(429, {"Retry-After": "1"}), 2: HANGS, 3: CLOSES}
    return stumbles.get(zlib.crc32(post.id.encode()) % 100, OK) if post.number == 1 else OK


class Shop:
    """Everything that is at work on a deployment; `roles` are the processes by their names."""

    def __init__(self, deployment: Deployment, receiver: Receiver, simulated: Simulation) -> None:
        self.deployment, self.receiver, self.simulated = deployment, receiver, simulated
        self.roles: dict[str, Process] = {}
        self.erased: dict[str, int] = {}
        """Users who were erased, and when by the wall, in ms."""
        self._batches = simulated.batches()
        self._taken = 0
        self._sent: set[str] = set()

    def start(self, name: str, instance: str | None = None) -> Process:
        """Start a role by its name here; another `instance` of it stands beside the first."""
        settings = {**HASTY, "webhook_url": self.receiver.url, "webhook_secret": SECRET, "audiences_topic": True}
        process = self.deployment.start_worker(instance or name, role=ROLES[name], **settings)
        self.roles[name] = process
        return process

    def live_until(self, until_ms: int) -> int:
        """Have everything happen up to an instant, whole hours of it; return how many records have come."""
        return self._live(lambda _: self.simulated.now_ms >= until_ms)

    def live(self, count: int) -> int:
        """Have the next hours happen, until so many records have come; return how many."""
        return self._live(lambda written: written >= count)

    def _live(self, is_enough: Callable[[int], bool]) -> int:
        self._react()
        records: list[Event] = []
        while not is_enough(len(records)) and (batch := next(self._batches, None)) is not None:
            records += zip(self.simulated.keys(batch), batch.payloads, strict=True)
        return self.deployment.feed(records)

    def finish(self) -> None:
        """Have somebody new come an hour after everybody in each partition.

        She agrees to no message, which is decided on the spot: so the decisions are as new as the events, and what is
        measured by the one is measured by the other.
        """
        at = iso(self.simulated.now_ms + HOUR_MS)
        event = {"type": "track", "event": "Product Viewed", "timestamp": at, "properties": {"product_id": "p-1"}}
        wanted, names = set(range(self.deployment.partitions)), map("u-last-{}".format, itertools.count())
        while wanted:
            name = next(names)
            if (partition := partition_of(name.encode(), self.deployment.partitions)) in wanted:
                wanted.remove(partition)
                self.deployment.feed([(name.encode(), msgspec.json.encode({**event, "userId": name}))])

    def _react(self) -> None:
        """Let shoppers react to what the sender has taken since: to each trigger once, whatever came twice."""
        posts = self.receiver.taken[self._taken :]
        self._taken += len(posts)
        fresh = {post.id: post.content["data"] for post in posts if post.id not in self._sent}
        self._sent |= fresh.keys()
        self.simulated.react(fresh.values())

    def erase(self, user_id: str, *, suppress: bool = False) -> None:
        """Ask for a user's erasure."""
        settings = self.deployment.settings
        command = EraseCommand(user_id=user_id, suppress=suppress, **identity("erase", user_id, settings))
        self.erased[user_id] = instant_ms(command.requested_at)
        run(append(settings, "commands", command.id, command))

    def unreachable(self) -> list[str]:
        """The users who agree to no message on any channel: campaigns decide about them and assign them nowhere."""
        users = np.arange(self.simulated.settings.users, dtype=np.uint32)
        agreed = [consents(users, channel, self.simulated.people.dice) for channel in ("email", "push")]
        return [self.simulated.people.user_id(user) for user in users[~(agreed[0] | agreed[1])].tolist()]
