"""Where a partition begins, and what keeps it from going on: sentences for the person who has to decide.

The rule: nothing is guessed. A state that is missing although the group has read before, another number of partitions,
another clock: each stops the partition before it has written anything.
"""

from collections.abc import Iterable

from aiokafka import TopicPartition
from pydantic import ValidationError

from schemas.control import Receipt
from worker.core.changelog import Changelog, Checkpoint, OtherReleaseError
from worker.core.engine import Engine
from worker.core.erasures import ERASED_KEPT_MS, Erased
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError
from worker.core.timestamps import instant_ms
from worker.kafka.context import Context
from worker.kafka.control import Published
from worker.kafka.findings import MESSAGE_BYTES_DEFAULT
from worker.kafka.following import everything
from worker.kafka.offsets import committed
from worker.kafka.points import version_point
from worker.kafka.privacy import erase_point
from worker.observe.logs import log
from worker.settings import Settings

__all__ = [
    "PartitionStopped", "begin", "erased_before", "over_engine", "over_gap", "over_lost_state", "over_size",
    "over_state", "over_timestamps", "over_transaction", "unless_grown", "unless_ours", "where_to_begin",
]  # fmt: skip
ANEW = "begin anew under another SHOAL_TOPIC_PREFIX and SHOAL_GROUP"


class PartitionStopped(Exception):  # noqa: N818  a verdict: a person has to decide
    """The partition can't go on; the message says why, and what to do."""


def unless_grown(context: Context, partition: int) -> None:
    """Raise PartitionStopped if the input has got other partitions since the worker was started."""
    now = max(context.membership.input_partitions or context.partitions, partition + 1)
    if now != context.partitions:
        raise PartitionStopped(_grown(context.settings, context.partitions, now))


def unless_ours(context: Context, partition: int, checkpoint: Checkpoint) -> None:
    """Raise PartitionStopped if the state is another input's, or was made with other partitions or another clock."""
    settings = context.settings
    if (checkpoint.topic, checkpoint.partition) != (settings.events_topic, partition):
        raise PartitionStopped(
            f"The state of partition {partition} belongs to partition {checkpoint.partition} of {checkpoint.topic}: "
            "set SHOAL_INPUT_TOPIC and SHOAL_TOPIC_PREFIX to the ones it was made with."
        )
    if checkpoint.partitions != context.partitions:
        raise PartitionStopped(_grown(settings, checkpoint.partitions, context.partitions))
    if checkpoint.clock != settings.clock:
        raise PartitionStopped(
            f"The state of partition {partition} was made with --clock {checkpoint.clock}: start the worker with that, "
            f"or {ANEW}."
        )


def _grown(settings: Settings, before: int, now: int) -> str:
    return (
        f"{settings.events_topic} had {before} partitions and has {now}, so users may have moved between them: make "
        "new topics under another SHOAL_TOPIC_PREFIX, and copy the events there with shoal rekey."
    )


async def where_to_begin(context: Context, partition: int) -> int:
    """Return the first offset of a partition that has no state. Raises PartitionStopped if it should have one."""
    settings = context.settings
    places = [TopicPartition(settings.events_topic, number) for number in range(context.partitions)]
    for place, (offset, note) in (await committed(settings, settings.group, places)).items():
        if place.partition == partition:
            raise over_lost_state(settings, partition, offset)
        if note.startswith("partitions=") and note != f"partitions={context.partitions}":
            raise PartitionStopped(_grown(settings, int(note.removeprefix("partitions=")), context.partitions))
    if settings.start == "latest":
        return await context.ends.end(settings.events_topic, partition)
    return await context.ends.beginning(settings.events_topic, partition)


async def erased_before(context: Context) -> list[Erased]:
    """Return who was erased, by the receipts: where a state was lost, the commands may not reach as far back."""
    settings, found = context.settings, dict[str, Erased]()
    for record in await everything(settings, settings.topic("receipts")):
        try:
            receipt = Receipt.model_validate_json(record.value or b"")
        except ValidationError:
            log("partition").error("A receipt can't be read, and is passed over.", offset=record.offset)
            continue
        erased = Erased(receipt.subject, receipt.key_version, instant_ms(receipt.requested_at), receipt.suppress)
        if receipt.command == "erase":
            found[receipt.subject] = erased.joined(found.get(receipt.subject))
    oldest_ms = context.wall.now_ms() - ERASED_KEPT_MS
    return [erased for erased in found.values() if erased.suppress or erased.until_ms >= oldest_ms]


def begin(
    context: Context, published: Published, partition: int, offset: int, erased_before: Iterable[Erased] = ()
) -> tuple[Engine, Changelog]:
    """Return an empty engine under published definitions, before its first record, with who was erased before.

    Raises PartitionStopped if one of them was under a key that isn't given.
    """
    settings, model = context.settings, context.control.model
    engine = Engine(
        published.checked, published.mapping, topic=settings.events_topic, partition=partition,
        partitions=context.partitions, grace_ms=settings.grace_ms, clock=settings.clock, model=model,
        pseudonyms=Pseudonyms(settings.pseudonym_keys),
    )  # fmt: skip
    changelog = Changelog(engine)
    changelog.point(version_point(published, model, offset, None))
    for erased in erased_before:
        try:
            engine.erase(erased, wall_ms=context.wall.now_ms())
        except UnknownKeyError as error:
            raise PartitionStopped(
                f"Partition {partition} can't begin: {error}, and start the worker again."
            ) from error
        changelog.point(erase_point(erased, offset, None))
    return engine, changelog


def over_gap(place: TopicPartition, next_offset: int, first: int) -> PartitionStopped:
    """What to say when the next record isn't there."""
    if first <= next_offset:
        return PartitionStopped(
            f"{place.topic} ends before offset {next_offset:,} of partition {place.partition}, where the state stands: "
            f"it was made anew, or a broker lost records; bring them back and start the worker again, or {ANEW}."
        )
    return PartitionStopped(
        f"Partition {place.partition} of {place.topic} begins at offset {first:,}, and {first - next_offset:,} records "
        "before it were deleted unread: start the worker with SHOAL_ACCEPT_LOST_RECORDS=true to go on without them."
    )


def over_timestamps(place: TopicPartition, offset: int) -> PartitionStopped:
    """What to say when the brokers haven't put their own time on a record that the live clock is to follow."""
    return PartitionStopped(
        f"From offset {offset:,} on, partition {place.partition} of {place.topic} has records with their producers' "
        "time, not that of their arrival: set message.timestamp.type=LogAppendTime, copy the topic with shoal rekey to "
        f"one that has it and read that, or {ANEW} with --clock event."
    )


def over_lost_state(settings: Settings, partition: int, offset: int) -> PartitionStopped:
    """What to say when the group has read a partition of which there is no state."""
    return PartitionStopped(
        f"The group {settings.group} has read partition {partition} up to offset {offset:,}, but "
        f"{settings.topic('state')} holds nothing of it: bring that topic back and start the worker again; or, to have "
        "everybody enter again, stop all workers and delete the group's offsets (kafka-consumer-groups.sh "
        "--delete-offsets)."
    )


def over_state(settings: Settings, partition: int, error: Exception) -> PartitionStopped:
    """What to say of a state that can't be used."""
    why = str(error).replace("\n", "; ")
    named = f"The state of partition {partition} in {settings.topic('state')} can't be used, {why}"
    if isinstance(error.__cause__, UnknownKeyError):
        return PartitionStopped(f"{named}, and start the worker again.")
    if isinstance(error, OtherReleaseError):
        return PartitionStopped(
            f"{named}: start the release that wrote it; if it is the definitions, publish some that both accept (shoal "
            "definitions check), and update when they are in force."
        )
    return PartitionStopped(
        f"{named}: bring the topic back as it was before that and start the worker again, or {ANEW}."
    )


def over_transaction(place: TopicPartition, offset: int) -> str:
    """What to say while a transaction that isn't ours keeps a state from being read."""
    topic, partition = place
    return (
        f"Partition {partition} of {topic} can't be read from offset {offset:,} on as long as somebody's transaction "
        f"is open there, and nobody else may write to it: kafka-transactions.sh describe-producers --topic {topic} "
        f"--partition {partition} tells whose it is, and abort ends it."
    )


def over_size(partition: int, topic: str) -> PartitionStopped:
    """What to say when a topic refuses what has to be written, as too large."""
    return PartitionStopped(
        f"{topic} takes less at once than partition {partition} has to write: raise its max.message.bytes to "
        f"{MESSAGE_BYTES_DEFAULT} or more, and start the worker again."
    )


def over_engine(partition: int) -> PartitionStopped:
    """What to say when the engine fails whatever the record."""
    return PartitionStopped(
        f"Partition {partition} has had to refuse several records in a row over mistakes in the engine, so it isn't "
        "the records: report it with the log, and go back to the release before; shoal dead-letters redrive has those "
        "records read again."
    )
