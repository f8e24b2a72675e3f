"""Why a user is where she is, asked of the running workers, with her recent transitions from the topic."""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiokafka import TopicPartition

from worker.errors import JobFailed
from worker.kafka.clients import reader
from worker.kafka.following import Span, pieces, spans_of
from worker.operations.commanding import ask, explain_command
from worker.settings import Settings

__all__ = ["explain"]

RECENT_TRANSITIONS = 10
SCANNED_MAX = 20_000


async def explain(
    settings: Settings, user_id: str, seconds_max: float, progress: Callable[[int, int | None, int], None] | None = None
) -> dict[str, Any]:
    """Return the engine's explanation of a user with `recent`, her last transitions, newest first.

    Raises JobFailed if no partition knows her, or those that might don't answer in time.
    """
    answers = await ask(settings, explain_command(user_id), seconds_max, progress)
    known = next((given for given in answers.values() if given is not None and given.found), None)
    if known is not None:
        return {**known.body, "recent": await _recent(settings, user_id, known.partition)}
    silent = [str(partition) for partition, given in answers.items() if given is None]
    if not silent:
        raise JobFailed(f"No partition knows a user {user_id}: take an id from {settings.topic('memberships')}.")
    raise JobFailed(
        f"Nobody who answered within {seconds_max:g} s knows a user {user_id}, and these partitions are silent: "
        f"{', '.join(silent)}; shoal status says how they are."
    )


async def _recent(settings: Settings, user_id: str, partition: int) -> list[dict[str, Any]]:
    """Return the last transitions among the partition's latest records, newest first."""
    wanted = msgspec.json.encode(user_id)  # a quick look before parsing: most records are of others
    found: deque[dict[str, Any]] = deque(maxlen=RECENT_TRANSITIONS)
    place = TopicPartition(settings.topic("segment-changes"), partition)
    async with reader(settings) as reading:
        kept = (await spans_of(reading, place.topic))[place]
        latest = Span(max(kept.begin, kept.end - SCANNED_MAX), kept.end)
        async for piece in pieces(reading, {place: latest}):
            for record in piece:
                if wanted in record.value and (transition := msgspec.json.decode(record.value))["user_id"] == user_id:
                    found.appendleft(transition)
    return list(found)
