"""The naive twin's samples and observations: when a user is looked at, what she looks like, what came of it.

Written from docs/semantics.md ("Samples and observations"). `Watch` is mixed into the twin; what waits for its label is
in `user.User.waiting`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from worker.naive import scoring
from worker.naive.calendar import DAY_MS, blake64, duration_ms, hexdigits, splitmix64, written
from worker.naive.conditions import Value
from worker.naive.decode import Event
from worker.naive.features import SESSION_MS, Ledgers
from worker.naive.rules import EXPRESSIONS, Rules

__all__ = ["Sample", "Watch", "instants", "still_waiting"]

WEEK_MS = 7 * DAY_MS


@dataclass
class Sample:
    """A sample that waits for its label."""

    target: dict[str, Any]
    at_ms: int
    features: dict[str, float | None]
    probability: float | None
    model: str | None

    @property
    def deadline_ms(self) -> int:
        """The last instant of an event that counts."""
        return self.at_ms + duration_ms(self.target["horizon"])


class Watched(Protocol):
    """What is needed of a user."""

    id: str
    clock: int
    rules: Rules
    ledgers: Ledgers
    waiting: dict[str, Sample]
    reached: list[tuple[int, str]]
    traits: dict[str, str | float]

    def may_profile(self) -> bool:
        """Whether she may be scored."""

    def named(self, name: str) -> Value:
        """The value now of what a model knows by name."""


def weekly_ms(user: str) -> int:
    """The user's millisecond of the week, which began when the epoch did."""
    return blake64(user) % WEEK_MS


def instants(user: Watched) -> Iterator[int]:
    """All instants after her clock at which she may be looked at, or at which a deadline has passed."""
    yield from (sample.deadline_ms + 1 for sample in user.waiting.values())
    last = user.ledgers["latest activity"].time
    if last is None or not user.rules.is_watched:
        return
    yield user.ledgers["session"].last + SESSION_MS
    week = user.clock // WEEK_MS * WEEK_MS + weekly_ms(user.id)
    yield from (instant for instant in (week, week + WEEK_MS) if user.clock < instant <= last + 90 * DAY_MS)


def looked_at(user: Watched, names: Iterable[str]) -> dict[str, float | None]:
    """What a user looks like now: finite numbers, null for everything else."""
    values = {name: user.named(name) for name in names}
    return {
        name: value if isinstance(value, (int, float)) and math.isfinite(value) else None
        for name, value in values.items()
    }


class Watch:
    """Takes samples, resolves them, observes. Needs from the twin: the rules."""

    rules: Rules

    def __init__(self) -> None:
        super().__init__()
        self.samples: list[dict[str, Any]] = []
        self.observations: list[dict[str, Any]] = []

    def watch(self, user: Watched) -> None:
        """A user's time has reached her clock: first what has passed its deadline, then what is new."""
        for sample in self.waiting_of(user):
            if user.clock > sample.deadline_ms:
                self.resolve(user, sample, sample.deadline_ms, int(sample.target["positive"] == "silence"))
        last = user.ledgers["latest activity"].time
        if last is None or user.clock > last + 90 * DAY_MS or not user.may_profile() or not self.rules.is_watched:
            return
        weekly = user.clock % WEEK_MS == weekly_ms(user.id)
        if weekly or user.clock == user.ledgers["session"].last + SESSION_MS:
            self.sample(user)
        if weekly:
            self.observe(user)

    def waiting_of(self, user: Watched) -> list[Sample]:
        """The user's samples that wait, by their target's place in the file."""
        return [user.waiting[target["id"]] for target in self.rules.targets if target["id"] in user.waiting]

    def sample(self, user: Watched) -> None:
        """A sample for each target that has none waiting."""
        for target in self.rules.targets:
            if target["id"] in user.waiting or not self.is_chosen(user, target):
                continue
            features = looked_at(user, EXPRESSIONS)
            model, label = self.rules.model, self.rules.model_label
            probability = scoring.probability(model, target["id"], user.named) if model else None
            user.waiting[target["id"]] = Sample(target, user.clock, features, probability, label)

    @staticmethod
    def is_chosen(user: Watched, target: dict[str, Any]) -> bool:
        """Whether a target that is thinned takes this instant."""
        drawn = splitmix64(blake64(user.id) ^ blake64(f"{target['id']}\x1fsample") ^ user.clock) / 2**64
        return bool(drawn < target.get("sample", 1.0))

    def resolve_by(self, user: Watched, event: Event) -> None:
        """What an applied event answers, by its own time."""
        for sample in self.waiting_of(user):
            silence = sample.target["positive"] == "silence"
            answers = event.activity if silence else event.kind == sample.target["positive"]
            if answers and sample.at_ms < event.time <= sample.deadline_ms:
                self.resolve(user, sample, user.clock, int(not silence))

    def resolve(self, user: Watched, sample: Sample, resolved_ms: int, label: int) -> None:
        """Put a sample out with its label."""
        del user.waiting[sample.target["id"]]
        reached = {name for at_ms, name in user.reached if sample.at_ms <= at_ms <= resolved_ms}
        self.samples.append(
            {
                "id": hexdigits(user.id, sample.target["id"], sample.at_ms),
                "user_id": user.id,
                "target": sample.target["id"],
                "sampled_at": written(sample.at_ms),
                "resolved_at": written(resolved_ms),
                "label": label,
                "features": sample.features,
                "probability": sample.probability,
                "model": sample.model,
                "exposed": [campaign["id"] for campaign in self.rules.campaigns_in_file if campaign["id"] in reached],
                "traits": {name: user.traits.get(name) for name in self.rules.data.get("traits", [])},
            }
        )

    def observe(self, user: Watched) -> None:
        """Put out what a user looks like."""
        names = dict.fromkeys([*EXPRESSIONS, *self.rules.ranked])
        self.observations.append(
            {
                "id": hexdigits(user.id, "observation", user.clock),
                "user_id": user.id,
                "observed_at": written(user.clock),
                "features": looked_at(user, names),
            }
        )


def still_waiting(user: Watched) -> dict[str, Sample]:
    """The samples that stay when a version takes effect, or her consent is withdrawn."""
    if not user.may_profile():
        return {}
    meant = {target["id"]: (target["positive"], duration_ms(target["horizon"])) for target in user.rules.targets}
    return {
        name: sample
        for name, sample in user.waiting.items()
        if meant.get(name) == (sample.target["positive"], duration_ms(sample.target["horizon"]))
    }
