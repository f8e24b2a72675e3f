"""Dead letters, listed: how many there are for each reason, and the newest of them."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any, get_args

from schemas.outputs import DeadLetter, DeadLetterReason
from worker.core.effects import iso
from worker.errors import WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import pieces, spans_of
from worker.language.vocabulary import nearest
from worker.settings import Settings

__all__ = ["check_reason", "listed"]

REASONS = get_args(DeadLetterReason)


def check_reason(reason: str | None) -> None:
    """Look whether there is such a reason, or none is named. Raises WrongUsage, with the nearest."""
    if reason is not None and reason not in REASONS:
        near = nearest(reason, REASONS)
        raise WrongUsage(f"--reason {reason} is none: {f'the nearest is {near}' if near else ', '.join(REASONS)}.")


async def listed(
    settings: Settings, reason: str | None, letters_max: int, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Return the counts by reason, and the newest letters (of one reason), newest first."""
    counts: Counter[str] = Counter()
    newest: dict[int, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=letters_max))
    async with reader(settings) as reading:
        async for piece in pieces(reading, await spans_of(reading, settings.topic("dead-letters"))):
            for record in piece:
                letter = DeadLetter.model_validate_json(record.value)
                counts[letter.reason] += 1
                if reason in (None, letter.reason):
                    place = f"{record.partition}:{record.offset}"
                    newest[record.partition].append({
                        "at": place, "written_at": iso(record.timestamp), **letter.model_dump()
                    })  # fmt: skip
            if progress:
                progress(counts.total())
    chosen = sorted((letter for few in newest.values() for letter in few), key=lambda letter: letter["written_at"])
    return {"reasons": dict(counts.most_common()), "dead_letters": chosen[: -letters_max - 1 : -1]}
