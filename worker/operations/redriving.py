"""Dead letters, driven once more: their original records are read again and written to the input anew.

The rule: what goes back is the original, from where its letter says, into the partition it came from, since nobody here
knows by which rule that was chosen (under another key: into that key's, by Kafka's own rule). A letter holds only the
beginning of a long record, so it stands in for an original that is gone only if it is whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.outputs import PAYLOAD_KEPT, DeadLetter
from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import Records, Span, partitions_of, pieces, spans_of
from worker.kafka.originals import Place, originals
from worker.kafka.writing import Written, started, write
from worker.language.mapping import Mapping as EventMapping
from worker.operations.keys import key_of
from worker.operations.publishing import in_force
from worker.settings import Settings

__all__ = ["Redriven", "beginning_at", "cut_off", "redrive"]


@dataclass
class Redriven:
    """What became of the letters.

    `count` went back; `from_letters` are those whose original is gone but whose letter is whole, `lost` those whose
    letter isn't; `ends` says, by partition of the letters, where a next run begins.
    """

    count: int = 0
    from_letters: list[Place] = field(default_factory=list)
    lost: list[Place] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)


async def redrive(
    settings: Settings,
    reason: str | None = None,
    begins: Mapping[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Redriven:
    """Write the originals of the letters there are now (of one reason, from these offsets on) to the input again.

    Raises WrongUsage for a partition that isn't there, JobFailed if the brokers take no more, with how to go on.
    """
    under, _ = await in_force(settings)
    async with reader(settings) as following, reader(settings) as reading, started(settings) as producing:
        spans = beginning_at(await spans_of(following, settings.topic("dead-letters")), begins or {})
        target = await partitions_of(producing.client, settings.events_topic)
        done = Redriven(ends={place.partition: span.begin for place, span in spans.items()})
        async for piece in pieces(following, spans):
            records = await _again(reading, piece, reason, under.mapping, target, done)
            try:
                done.count += await write(producing, settings.events_topic, len(target), records)
            except (KafkaError, TimeoutError) as error:
                raise cut_off(done, error) from error
            done.ends[piece[-1].partition] = piece[-1].offset + 1
            if progress:
                progress(done.count)
    done.ends |= {place.partition: span.end for place, span in spans.items()}
    return done


def cut_off(done: Redriven, error: BaseException) -> JobFailed:
    """Return what to say where brokers take no more: how far it went, and how to go on."""
    rest = " ".join(f"--from-offset {partition}:{offset}" for partition, offset in sorted(done.ends.items()))
    return JobFailed(
        f"The brokers took {done.count:,} records and then no more ({type(error).__name__}): see that they are well, "
        f"and go on with {rest}."
    )


def beginning_at(spans: Mapping[TopicPartition, Span], begins: Mapping[int, int]) -> dict[TopicPartition, Span]:
    """Return what is to be read of the letters, from these offsets on. Raises WrongUsage for a partition unknown."""
    if wrong := set(begins) - {place.partition for place in spans}:
        raise WrongUsage(
            f"The dead letters have no partition {min(wrong)}: --from-offset is PARTITION:OFFSET of theirs."
        )
    return {
        place: Span(min(max(span.begin, begins.get(place.partition, 0)), span.end), span.end)
        for place, span in spans.items()
    }


async def _again(
    reading: AIOKafkaConsumer, piece: Records, reason: str | None, mapping: EventMapping,
    target: list[TopicPartition], done: Redriven,
) -> list[Written]:  # fmt: skip
    """Return the records to write for a piece of letters, in its order; note those whose original is gone."""
    letters = [(record.key, DeadLetter.model_validate_json(record.value)) for record in piece]
    letters = [(key, letter) for key, letter in letters if reason in (None, letter.reason)]
    found_there = await originals(reading, [_place(letter) for _, letter in letters])
    found = []
    for key, letter in letters:
        place = _place(letter)
        partition = letter.partition if place.partition in target else None
        original = found_there.get(place)
        if original is not None and _text(original.value) == letter.payload:
            again = Written(original.key, original.value, original.timestamp, original.headers, partition)
        elif _is_whole(letter):
            done.from_letters.append(place)
            again = Written(key, letter.payload.encode(), None, (), partition)
        else:
            done.lost.append(place)
            continue
        if letter.reason == "key_mismatch":
            again = again._replace(key=key_of(again.value or b"", mapping), partition=None)
        found.append(again)
    return found


def _place(letter: DeadLetter) -> Place:
    return Place(TopicPartition(letter.topic, letter.partition), letter.offset)


def _text(value: bytes | None) -> str:
    """A record as its letter has it."""
    return (value or b"")[:PAYLOAD_KEPT].decode("utf-8", "replace")


def _is_whole(letter: DeadLetter) -> bool:
    """Whether the letter has every byte of its record: none cut off, none replaced."""
    return len(letter.payload.encode()) < PAYLOAD_KEPT and "\ufffd" not in letter.payload
