"""Commands to all workers, and what the partitions answer.

The rule: a command has an id that no other can have; an answer says of which command and which partition it is, so that
whoever asked knows when all have spoken.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from schemas.control import (
    Answer,
    AnyCommand,
    CampaignCommand,
    Command,
    ExplainCommand,
    ExportCommand,
    ModelsCommand,
    StatusCommand,
    TickCommand,
)
from schemas.events import TEXT_BYTES_MAX
from worker.core.effects import iso, short_hash
from worker.errors import WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import everything, spans_of
from worker.kafka.topics import input_partitions
from worker.kafka.writing import append, now
from worker.language.vocabulary import nearest
from worker.operations.publishing import configuration_of, newest
from worker.settings import Settings

__all__ = [
    "Place", "Progress", "ask", "brake", "explain_command", "gather", "hold_models", "identity", "pauses",
    "standings", "tick", "user_named",
]  # fmt: skip

Question = ExplainCommand | ExportCommand
Progress = Callable[[int, int | None, int], None]  # replies so far, how many there will be, replies so far
POLL_MS = 100


class Place(NamedTuple):
    """Where something is done: in a partition by its worker, in one by sinks, by the trainer, or by lift."""

    role: str
    partition: int

    def __str__(self) -> str:
        named = {"worker": f"partition {self.partition}", "sinks": f"sinks of partition {self.partition}"}
        return named.get(self.role, f"the {self.role}" if self.role == "trainer" else self.role)


async def brake(settings: Settings, campaign: str, *, paused: bool) -> None:
    """Have every worker pause or resume a campaign. Raises WrongUsage if the newest definitions don't have it."""
    definitions = configuration_of((await newest(settings)).definitions).checked.definitions
    campaigns = [entry.id for entry in definitions.campaigns]
    if campaign not in campaigns:
        near = nearest(campaign, campaigns)
        hint = f"the nearest is {near}" if near else f"they have {', '.join(campaigns) or 'none'}"
        raise WrongUsage(f"The newest definitions have no campaign {campaign}: {hint}.")
    command = CampaignCommand(campaign=campaign, **identity("pause" if paused else "resume", campaign, settings))
    await append(settings, "commands", command.id, command)


async def pauses(settings: Settings) -> list[dict[str, Any]]:
    """Return the campaigns that are paused by command, with who asked and when, as far as the commands reach back."""
    found: dict[str, CampaignCommand] = {}
    for record in await everything(settings, settings.topic("commands")):
        command = Command.model_validate_json(record.value).root
        if isinstance(command, CampaignCommand):
            found[command.campaign] = command
    return [
        {"campaign": name, "requested_by": command.requested_by, "requested_at": command.requested_at}
        for name, command in sorted(found.items())
        if command.command == "pause"
    ]


async def hold_models(settings: Settings, *, frozen: bool) -> None:
    """Have the trainer publish no more models, or let it go on."""
    command = ModelsCommand(**identity("freeze" if frozen else "release", "models", settings))
    await append(settings, "commands", command.id, command)


async def tick(settings: Settings, until_ms: int) -> None:
    """Have every worker let time pass up to and including an instant (ms since the epoch)."""
    until = iso(until_ms)
    command = TickCommand(until=until, **identity("tick", until, settings))
    await append(settings, "commands", command.id, command)


def user_named(text: str) -> str:
    """Return what somebody gave for a user's id, if it can be one. Raises WrongUsage."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:  # what a terminal gave for bytes that aren't UTF-8
        size_bytes = 0
    if not 1 <= size_bytes <= TEXT_BYTES_MAX:
        raise WrongUsage(f"{text!a} is no user id: give one as memberships has it.")
    return text


def explain_command(user_id: str) -> ExplainCommand:
    """Return the question why a user is where she is. Raises WrongUsage for what is no user id."""
    return ExplainCommand(user_id=user_named(user_id), **identity("explain", user_id))


def identity(command: str, subject: str, settings: Settings | None = None) -> dict[str, Any]:
    """Return what all commands have; with settings, also who asks."""
    requested_at = now()
    name = short_hash(command, subject, requested_at, secrets.token_hex(16))
    who = None if settings is None else settings.who
    return {"id": name, "command": command, "requested_at": requested_at, "requested_by": who}


async def ask(
    settings: Settings, question: Question, seconds_max: float, progress: Progress | None = None
) -> dict[int, Answer | None]:
    """Ask every partition about a user; return the answers by partition, None of those that gave none in time.

    To an explanation the answer of the partition that knows her ends the waiting.
    """
    answers: dict[int, Answer | None] = dict.fromkeys(range(await input_partitions(settings)))

    def take(value: bytes) -> None:
        given = Answer.model_validate_json(value)
        answers[given.partition] = given

    await gather(
        settings, "answers", question, take, answers, lambda: _is_answered(question, answers), seconds_max, progress
    )
    return answers


async def standings(
    settings: Settings, roles: Iterable[str], seconds_max: float, progress: Progress | None = None
) -> dict[Place, Answer | None]:
    """Ask all partitions of some roles how they do; return the answers, None of those that gave none in time."""
    places = [Place(role, number) for role in roles for number in range(await _partitions(settings, role))]
    answers: dict[Place, Answer | None] = dict.fromkeys(places)

    def take(value: bytes) -> None:
        given = Answer.model_validate_json(value)
        if (place := Place(given.role, given.partition)) in answers:
            answers[place] = given

    command = StatusCommand(**identity("status", ""))
    if places:
        await gather(
            settings, "answers", command, take, answers, lambda: None not in answers.values(), seconds_max, progress
        )
    return answers


async def _partitions(settings: Settings, role: str) -> int:
    """Return how many partitions a role's group shares out."""
    return await input_partitions(settings) if role in ("worker", "sinks") else 1


async def gather(
    settings: Settings, topic: str, command: AnyCommand, take: Callable[[bytes], None],
    replies: Mapping[Any, object], is_enough: Callable[[], bool], seconds_max: float, progress: Progress | None,
) -> None:  # fmt: skip
    """Give a command, and take what is written about it to a topic until that is enough, or the time is up.

    `replies` is what `take` fills: None stands for those who haven't replied.
    """
    clock = asyncio.get_running_loop().time
    async with reader(settings) as reading:
        spans = await spans_of(reading, settings.topic(topic))
        reading.assign(list(spans))
        for partition, span in spans.items():
            reading.seek(partition, span.end)
        await append(settings, "commands", command.id, command)
        deadline = clock() + seconds_max
        while not is_enough() and clock() < deadline:
            for records in (await reading.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    if record.key == command.id.encode():
                        take(record.value)
            if progress:
                count = len(replies) - list(replies.values()).count(None)
                progress(count, len(replies), count)


def _is_answered(question: Question, answers: dict[int, Answer | None]) -> bool:
    known = isinstance(question, ExplainCommand) and any(
        given is not None and given.found for given in answers.values()
    )
    return known or None not in answers.values()
