"""Models on Kafka: listed, reported on, frozen, rolled back.

The rule: the newest version is the last record of the topic, as with definitions, but a model never comes back under
its old version: a rollback publishes the content again under a new one. Whoever freezes interrupts the trainer by its
transactional id: what it was about to publish is aborted, and before it goes on it reads that models are frozen.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from aiokafka import ConsumerRecord

from schemas.control import Command, ModelsCommand
from schemas.models import RefusedSnapshot, Snapshot
from worker.core.effects import iso
from worker.core.snapshots import usable_snapshot, version_of
from worker.kafka.clients import admin, reader
from worker.kafka.following import everything, latest, pieces, spans_of
from worker.kafka.learner_state import reported
from worker.kafka.writing import append, now, started
from worker.operations.commanding import Progress, hold_models, standings
from worker.operations.groups import described
from worker.operations.versions import chosen
from worker.settings import Settings

__all__ = ["PublishedModel", "are_frozen", "freeze", "history", "release", "report", "rollback", "running"]


@dataclass(frozen=True)
class PublishedModel:
    """A version on the topic: the model, or why this release can't use it."""

    version: int
    published_at: str
    snapshot: Snapshot | None
    refused: str | None = None
    again: int | None = None  # the earlier version whose content it has: it came of a rollback

    @property
    def label(self) -> str:
        """Version and the hash's first 12 digits."""
        return f"{self.version}/{self.snapshot.hash[:12]}" if self.snapshot else f"{self.version}"


async def history(settings: Settings) -> list[PublishedModel]:
    """Return the versions there are, the newest last. Raises JobFailed if the topic isn't there."""
    found: list[PublishedModel] = []
    first: dict[str, int] = {}
    for record in await latest(settings, settings.topic("models")):
        found.append(_read(record, first))
        if model := found[-1].snapshot:
            first.setdefault(model.hash, model.version)
    return found


def _read(record: ConsumerRecord, first: dict[str, int]) -> PublishedModel:
    published_at = iso(record.timestamp)
    try:
        snapshot = usable_snapshot(record.value, None)
    except RefusedSnapshot as refused:
        return PublishedModel(version_of(record.value), published_at, None, refused.reason)
    return PublishedModel(snapshot.version, published_at, snapshot, again=first.get(snapshot.hash))


async def are_frozen(settings: Settings) -> bool:
    """Whether models are frozen, as far as the commands reach back."""
    frozen = False
    for record in await everything(settings, settings.topic("commands")):
        command = Command.model_validate_json(record.value).root
        if isinstance(command, ModelsCommand):
            frozen = command.command == "freeze"
    return frozen


async def running(settings: Settings, seconds_max: float, progress: Progress | None = None) -> dict[str, list[int]]:
    """Return which partitions run which model, by its label; without workers nobody is asked."""
    async with admin(settings) as client:
        group = await described(client, settings.group)
    if not group["members"]:
        return {}
    found: dict[str, list[int]] = defaultdict(list)
    for place, given in (await standings(settings, ["worker"], seconds_max, progress)).items():
        if given is not None and isinstance(label := given.body.get("model"), str):
            found[label].append(place.partition)
    return dict(found)


async def report(settings: Settings) -> list[dict[str, Any]]:
    """Return how the live model serves whom the declared traits tell apart, as the trainer saved it last.

    A dict per group (`Learning.report`). Raises JobFailed if the trainer's topic isn't there or may not be read.
    """
    found: list[dict[str, Any]] = []
    async with reader(settings) as reading:
        async for piece in pieces(reading, await spans_of(reading, settings.topic("learner-state"))):
            for record in piece:
                groups = reported(record.key, record.value)
                found = found if groups is None else groups
    return found


async def freeze(settings: Settings) -> None:
    """Have the trainer publish nothing from now on, not even what it is about to."""
    await hold_models(settings, frozen=True)
    async with started(settings, settings.trainer):
        pass  # a trainer that runs is fenced: it begins anew, and reads the command first


async def release(settings: Settings) -> None:
    """Let the trainer publish again."""
    await hold_models(settings, frozen=False)


async def rollback(settings: Settings, version: int | None = None) -> PublishedModel:
    """Freeze, and publish an earlier version's content as the newest: the one before it unless another is named.

    Raises WrongUsage if there is no such version, or this release can't use it.
    """
    usable = {model.version: model.snapshot for model in await history(settings) if model.snapshot}
    wanted = chosen(list(usable), version, "shoal models list")
    await freeze(settings)
    newest = max(model.version for model in await history(settings))
    again = usable[wanted].model_copy(update={"version": newest + 1})
    await append(settings, "models", str(again.version), again)
    return PublishedModel(again.version, now(), again, again=wanted)
