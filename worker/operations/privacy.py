"""Privacy requests to all workers, the trainer and lift, and the receipts that come of them.

The rule: a request is carried out by each partition, by the trainer and by lift for itself, and none has done it whose
receipt isn't there; who doesn't run now does it when it comes back.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from pydantic import ValidationError

from schemas.control import Answer, EraseCommand, ExportCommand, Receipt
from worker.core.pseudonyms import Pseudonyms
from worker.errors import WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import spans_of
from worker.kafka.topics import input_partitions
from worker.kafka.writing import append
from worker.operations.commanding import ask, identity
from worker.settings import Settings

__all__ = ["Place", "erase", "export", "pseudonym"]

POLL_MS = 100
Progress = Callable[[int, int | None, int], None]  # receipts so far, how many there will be, receipts so far


class Place(NamedTuple):
    """Where a request is carried out: in a partition by its worker, by the trainer, or by lift."""

    role: str
    partition: int

    def __str__(self) -> str:
        return (
            f"partition {self.partition}"
            if self.role == "worker"
            else {"lift": "lift"}.get(self.role, f"the {self.role}")
        )


def pseudonym(settings: Settings, user_id: str) -> str:
    """Return what a user is called in receipts."""
    return Pseudonyms(settings.pseudonym_keys).of(user_id)


async def erase(
    settings: Settings, user_id: str, seconds_max: float, progress: Progress | None = None, *, suppress: bool
) -> dict[Place, Receipt | None]:
    """Have a user erased everywhere; return the receipts, None of those who gave none in time.

    Raises WrongUsage for what is no user id.
    """
    try:
        command = EraseCommand(user_id=user_id, suppress=suppress, **identity("erase", user_id, settings))
    except ValidationError as error:
        raise WrongUsage(f"{user_id!r} is no user id: give one as memberships has it.") from error
    receipts = await _places(settings)
    clock = asyncio.get_running_loop().time
    async with reader(settings) as reading:
        spans = await spans_of(reading, settings.topic("receipts"))
        reading.assign(list(spans))
        for partition, span in spans.items():
            reading.seek(partition, span.end)
        await append(settings, "commands", command.id, command)
        deadline = clock() + seconds_max
        while None in receipts.values() and clock() < deadline:
            receipts |= {Place(given.role, given.partition): given for given in await _polled(reading, command.id)}
            if progress:
                count = len(receipts) - list(receipts.values()).count(None)
                progress(count, len(receipts), count)
    return receipts


async def _places(settings: Settings) -> dict[Place, Receipt | None]:
    """Return all from whom there will be a receipt: the trainer and lift are there if they have ever kept anything."""
    places: list[Place] = [Place("worker", partition) for partition in range(await input_partitions(settings))]
    async with reader(settings) as reading:
        for role, topic in (("trainer", "learner-state"), ("lift", "lift-state")):
            spans = await spans_of(reading, settings.topic(topic))
            if any(span.end for span in spans.values()):
                places.append(Place(role, 0))
    return dict.fromkeys(places)


async def _polled(reading: AIOKafkaConsumer, command_id: str) -> list[Receipt]:
    polled = await reading.getmany(timeout_ms=POLL_MS)
    records = [record for records in polled.values() for record in records]
    return [Receipt.model_validate_json(record.value) for record in records if record.key == command_id.encode()]


async def export(
    settings: Settings, user_id: str, seconds_max: float, progress: Progress | None = None
) -> dict[int, Answer | None]:
    """Ask every partition for all that it knows of a user; None of those that give no answer in time.

    Raises WrongUsage for what is no user id.
    """
    try:
        command = ExportCommand(user_id=user_id, **identity("export", user_id, settings))
    except ValidationError as error:
        raise WrongUsage(f"{user_id!r} is no user id: give one as memberships has it.") from error
    return await ask(settings, command, seconds_max, progress)
