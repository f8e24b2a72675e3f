"""Dead letters, of the input's records or of sinks, listed: how many there are for each reason, and the newest."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, get_args

from schemas.outputs import DeadLetterReason, SinkDeadLetterReason
from schemas.topics import BY_NAME
from worker.core.effects import iso
from worker.errors import WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import pieces, spans_of
from worker.language.vocabulary import nearest
from worker.settings import Settings

__all__ = ["check_reason", "listed"]

REASONS: Mapping[str, tuple[str, ...]] = {
    "dead-letters": get_args(DeadLetterReason), "sink-dead-letters": get_args(SinkDeadLetterReason),
}  # fmt: skip


def check_reason(reason: str | None, topic: str = "dead-letters") -> None:
    """Look whether a topic has such a reason, or none is named. Raises WrongUsage, with the nearest."""
    known = REASONS[topic]
    if reason is not None and reason not in known:
        near = nearest(reason, known)
        raise WrongUsage(f"--reason {reason} is none: {f'the nearest is {near}' if near else ', '.join(known)}.")


async def listed(
    settings: Settings, topic: str, reason: str | None, letters_max: int, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Return the counts by reason, and the newest letters (of one reason) of a topic of the table, newest first."""
    model = BY_NAME[topic].value
    assert model is not None, "letters have a model"
    counts: Counter[str] = Counter()
    newest: dict[int, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=letters_max))
    async with reader(settings) as reading:
        async for piece in pieces(reading, await spans_of(reading, settings.topic(topic))):
            for record in piece:
                letter = model.model_validate_json(record.value).model_dump()
                counts[letter["reason"]] += 1
                if reason in (None, letter["reason"]):
                    place = f"{record.partition}:{record.offset}"
                    newest[record.partition].append({
                        "at": place, "written_at": iso(record.timestamp), **letter
                    })  # fmt: skip
            if progress:
                progress(counts.total())
    chosen = sorted((letter for few in newest.values() for letter in few), key=lambda letter: letter["written_at"])
    return {"reasons": dict(counts.most_common()), "dead_letters": chosen[: -letters_max - 1 : -1]}
