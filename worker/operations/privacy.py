"""Privacy requests to all workers, the trainer and lift, and the receipts that come of them.

The rule: a request is carried out by each partition, by the trainer and by lift for itself, and none has done it whose
receipt isn't there; who doesn't run now does it when it comes back.
"""

from schemas.control import Answer, EraseCommand, ExportCommand, Receipt
from worker.core.pseudonyms import Pseudonyms
from worker.kafka.clients import reader
from worker.kafka.following import spans_of
from worker.kafka.topics import input_partitions
from worker.operations.commanding import Place, Progress, ask, gather, identity, user_named
from worker.settings import Settings

__all__ = ["erase", "export", "pseudonym"]


def pseudonym(settings: Settings, user_id: str) -> str:
    """Return what a user is called in receipts. Raises WrongUsage for what is no user id."""
    return Pseudonyms(settings.pseudonym_keys).of(user_named(user_id))


async def erase(
    settings: Settings, user_id: str, seconds_max: float, progress: Progress | None = None, *, suppress: bool
) -> dict[Place, Receipt | None]:
    """Have a user erased everywhere; return the receipts, None of those who gave none in time.

    Raises WrongUsage for what is no user id.
    """
    named = user_named(user_id)
    command = EraseCommand(user_id=named, suppress=suppress, **identity("erase", named, settings))
    receipts = await _places(settings)

    def take(value: bytes) -> None:
        given = Receipt.model_validate_json(value)
        receipts[Place(given.role, given.partition)] = given

    await gather(
        settings, "receipts", command, take, receipts, lambda: None not in receipts.values(), seconds_max, progress
    )
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


async def export(
    settings: Settings, user_id: str, seconds_max: float, progress: Progress | None = None
) -> dict[int, Answer | None]:
    """Ask every partition for all that it knows of a user; None of those that give no answer in time.

    Raises WrongUsage for what is no user id.
    """
    named = user_named(user_id)
    command = ExportCommand(user_id=named, **identity("export", named, settings))
    return await ask(settings, command, seconds_max, progress)
