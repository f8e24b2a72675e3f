"""Dead letters of sinks: what they are about is offered to its endpoint again, by the sinks, under its old id.

The rule: nobody but the sinks sends, and nothing is written that others read: a command names the records, and the
partition's sinks deliver them as they stand in their topic, unless they have expired or their user was erased.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.control import REDELIVERED_MAX, RedeliverCommand
from schemas.outputs import SinkDeadLetter, SinkName
from worker.kafka.clients import reader
from worker.kafka.following import Span, pieces, spans_of
from worker.kafka.originals import Place
from worker.kafka.writing import append
from worker.operations.commanding import identity
from worker.operations.redriving import Redriven, beginning_at, cut_off
from worker.settings import Settings

__all__ = ["redeliver"]

Wanted = dict[tuple[SinkName, TopicPartition], set[int]]  # offsets, by sink and where they are


async def redeliver(
    settings: Settings,
    reason: str | None = None,
    begins: Mapping[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Redriven:
    """Have the sinks deliver again what the letters there are now (of one reason, from these offsets on) are about.

    What retention has taken is `lost`. Raises WrongUsage for a partition that isn't there, JobFailed if the brokers
    take no more, with how to go on.
    """
    async with reader(settings) as following:
        spans = beginning_at(await spans_of(following, settings.topic("sink-dead-letters")), begins or {})
        wanted: Wanted = defaultdict(set)
        async for piece in pieces(following, spans):
            for letter in (SinkDeadLetter.model_validate_json(record.value) for record in piece):
                if reason in (None, letter.reason):
                    place = TopicPartition(settings.topic(letter.topic), letter.partition)
                    wanted[letter.sink, place].add(letter.offset)
            if progress:
                progress(sum(map(len, wanted.values())))
        kept = {
            at: span
            for name in {at.topic for _, at in wanted}
            for at, span in (await spans_of(following, name)).items()
        }
    done = Redriven(ends={place.partition: span.begin for place, span in spans.items()})
    try:
        for command in _commands(settings, wanted, kept, done):
            await append(settings, "commands", command.id, command)
            done.count += len(command.offsets)
    except (KafkaError, TimeoutError) as error:
        raise cut_off(done, error) from error
    done.ends = {place.partition: span.end for place, span in spans.items()}
    return done


def _commands(
    settings: Settings, wanted: Wanted, kept: Mapping[TopicPartition, Span], done: Redriven
) -> Iterator[RedeliverCommand]:
    """Yield requests for what is there still; note what is gone."""
    for (sink, at), offsets in sorted(wanted.items()):
        there = sorted(offset for offset in offsets if at in kept and offset >= kept[at].begin)
        done.lost += [Place(at, offset) for offset in sorted(offsets - set(there))]
        for begin in range(0, len(there), REDELIVERED_MAX):
            some = there[begin : begin + REDELIVERED_MAX]
            named = identity("redeliver", f"{sink} {at.partition} {some[0]}", settings)
            yield RedeliverCommand(sink=sink, partition=at.partition, offsets=some, **named)
