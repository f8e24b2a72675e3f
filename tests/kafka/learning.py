"""What the tests of the trainer share: a deployment with targets, samples to learn from, and what became of them."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.models import Snapshot
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.worker_process import Process
from worker.core.effects import iso, short_hash
from worker.kafka import writing
from worker.kafka.kept_state import KeptState
from worker.kafka.learner_state import Progress
from worker.kafka.writing import Written
from worker.language.observed import OBSERVED

__all__ = ["DEFINITIONS", "LEARNS", "evidence", "feed", "learnt", "models", "samples", "start_trainer"]

DEFINITIONS: dict[str, Any] = {
    "version": 1,
    "segments": [{"id": "likely", "enter": 'probability("buy") >= 0.5'}],
    "targets": [{"id": "buy", "positive": "order", "horizon": "7d"}],
}
LEARNS = "The trainer learns."
BEGAN_MS = 1_767_225_600_000  # 2026-01-01
HOUR_MS = 3_600_000
FEATURES = [feature.name for feature in OBSERVED]
QUICK = {"trainer_commit_interval_ms": 50, "trainer_publish_interval_ms": 50}


def samples(seed: int, count: int, *, target: str = "buy", hours: float = 1.0, user: str = "u") -> list[Written]:
    """Return records of `training-samples`, `hours` apart, of 50 users; a larger seed's are later."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        user_id, at_ms = f"{user}-{rng.randrange(50)}", BEGAN_MS + round((seed * 1000 + number * hours) * HOUR_MS)
        record = {
            "id": short_hash(user_id, target, seed, number), "user_id": user_id, "target": target,
            "sampled_at": iso(at_ms), "resolved_at": iso(at_ms + 7 * 24 * HOUR_MS), "label": rng.randrange(2),
            "probability": None, "features": dict.fromkeys(FEATURES, rng.random()), "model": None, "exposed": [],
        }  # fmt: skip
        made.append(Written(user_id.encode(), msgspec.json.encode(record)))
    return made


def feed(deployment: Deployment, records: Iterable[Written], topic: str = "training-samples") -> None:
    """Write records to learn from."""
    written = list(records)

    async def write() -> None:
        async with writing.started(deployment.settings) as producing:
            await writing.write(producing, deployment.settings.topic(topic), deployment.partitions, written)

    run(write())


def start_trainer(deployment: Deployment, name: str = "trainer", fault: str | None = None, *,
                  without: Iterable[str] = ("counting",), **settings: Any) -> Process:  # fmt: skip
    """Start a trainer in a hurry, whose learning counts and does nothing else."""
    return deployment.start_worker(name, fault, without=without, role="trainer", **{**QUICK, **settings})


def learnt(deployment: Deployment) -> Progress:
    """Return how far the trainer has come, once it is seen to be whole."""
    state = KeptState(Progress)
    for record in deployment.read("learner-state"):
        state.take(record.key, record.value)
    progress = state.progress() or Progress()
    state.parts(progress.parts)
    return progress


def models(deployment: Deployment) -> list[Snapshot]:
    """Return the models that were published, in order."""
    return [Snapshot.model_validate_json(record.value) for record in deployment.read("models") if record.value]


def evidence(deployment: Deployment) -> list[dict[str, int]]:
    """Return how many samples each model was learnt from, by target."""
    return [{target: found.samples for target, found in model.evidence.items()} for model in models(deployment)]
