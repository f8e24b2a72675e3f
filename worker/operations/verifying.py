"""The live state against a naive recomputation: a sample of users of every partition, read from Kafka alone.

    state        what the workers know, as whoever takes over would restore it: rows, points, how far they have read
    events       the log up to there, through the naive twin (`worker.naive`), which shares no line with the engine
    memberships  what consumers were told, as of the same transition of each user

The rule: nothing is written, no worker is asked, and what can't be judged is counted with its reason. The sample is by
a hash of the id: the same users every time, in every partition as many. One partition is in memory at a time.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from aiokafka import TopicPartition
from ruamel.yaml import YAML

from worker.core.changelog import Checkpoint, Point, StateRecordError
from worker.core.engine import Engine
from worker.core.erasures import Erasures
from worker.core.layout import FOREVER
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError
from worker.core.restoring import Restorer, erased_at
from worker.core.timestamps import time_ms
from worker.errors import JobFailed, WrongUsage
from worker.kafka.clients import reader
from worker.kafka.following import Span, pieces, spans_of
from worker.naive.calendar import blake64
from worker.naive.recompute import Recomputation
from worker.operations.comparing import Difference, clauses_of, differences
from worker.settings import Settings

__all__ = ["CHANCE_MARGIN", "NOT_JUDGED", "Verdict", "verify"]

Progress = Callable[[int, int | None, int], None]  # records read, of how many, users compared so far
NOT_JUDGED = {
    "before_the_log": "was here before the log begins",
    "limited": "may have been forgotten for the limit on users, which can't be seen in a sample of them",
    "moved_on": "has changed since, so that the record to compare is compacted away",
}
CHANCE_MARGIN = 20  # of users that seem to be new: that so many old ones come in their old order is no chance


@dataclass
class Verdict:
    """What was found; `found` has a line for each user who differs."""

    users: int = 0  # compared
    same: int = 0
    different: int = 0
    not_judged: Counter[str] = field(default_factory=Counter)
    partitions: int = 0
    records: int = 0
    found: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        """Add what was found in another partition."""
        for name in ("users", "same", "different", "partitions", "records"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.not_judged += other.not_judged
        self.found += other.found


@dataclass
class Live:
    """What the workers know of a partition."""

    checkpoint: Checkpoint
    points: list[Point]
    engine: Engine
    chosen: frozenset[str]
    threshold: int  # of the hash, up to which users are chosen
    told: dict[str, dict[str, Any]]  # memberships as of the checkpoint, of those chosen
    erasures: Erasures  # as far as the recomputation has come

    def is_chosen(self, user_id: str) -> bool:
        """Whether a user is in the sample, known or not."""
        return blake64(user_id) <= self.threshold


async def verify(settings: Settings, users: int, progress: Progress | None = None) -> Verdict:
    """Compare about `users` users, spread over the partitions.

    Raises JobFailed if there is no state or it is damaged, WrongUsage if it is under a key that isn't given.
    """
    verdict = Verdict()
    async with reader(settings) as reading:
        states, events = (
            await spans_of(reading, settings.topic("state")),
            await spans_of(reading, settings.events_topic),
        )
        told = await spans_of(reading, settings.topic("memberships"))
    per_partition = -(-users // len(states))
    for place, span in states.items():
        live = await _live(settings, place, span, per_partition)
        if live is None:
            continue
        at = place.partition
        log_place, told_place = (
            TopicPartition(settings.events_topic, at),
            TopicPartition(settings.topic("memberships"), at),
        )
        log = Span(events[log_place].begin, live.checkpoint.next_offset)
        recomputed = await _recomputed(settings, live, log_place, log, lambda read: _tell(progress, verdict, read))
        records = await _told(settings, live, told_place, told[told_place])
        verdict.add(_compared(live, recomputed, records, log, at))
    if not verdict.partitions:
        raise JobFailed(f"{settings.topic('state')} holds no state yet: run shoal worker first.")
    return verdict


def _tell(progress: Progress | None, verdict: Verdict, read: int) -> None:
    if progress is not None:
        progress(verdict.records + read, None, verdict.users)


async def _live(settings: Settings, place: TopicPartition, span: Span, users: int) -> Live | None:
    """Return what the state of a partition holds, or None if it is empty."""
    pseudonyms = Pseudonyms(settings.pseudonym_keys)
    restorer = Restorer(pseudonyms)
    try:
        async with reader(settings) as reading:
            async for piece in pieces(reading, {place: span}):
                for record in piece:
                    restorer.take(record.key, record.value)
        found = restorer.finish()
    except StateRecordError as error:
        if isinstance(error.__cause__, UnknownKeyError):
            raise WrongUsage(f"The state of partition {place.partition} can't be read: {error}.") from error
        raise JobFailed(f"The state of partition {place.partition} is damaged ({error}): restore its topic.") from error
    if found is None or restorer.checkpoint is None:
        return None
    engine = found[0]
    lowest = heapq.nsmallest(users, ((blake64(name), name) for name in engine.users.slots))
    chosen = frozenset(name for _, name in lowest)
    threshold = lowest[-1][0] if len(lowest) == users else (1 << 64) - 1
    told = {record["user_id"]: record for record in engine.memberships() if record["user_id"] in chosen}
    engine.advance(restorer.checkpoint.clock_ms or 0, wall_ms=0)  # what a takeover would still have to do
    engine.work(engine.backlog, wall_ms=0)
    points = [restorer.points[number] for number in range(restorer.checkpoint.points)]
    return Live(restorer.checkpoint, points, engine, chosen, threshold, told, Erasures(pseudonyms))


async def _recomputed(settings: Settings, live: Live, place: TopicPartition, log: Span,
                      progress: Callable[[int], None]) -> Recomputation:  # fmt: skip
    """Take the log, the points where they took effect, up to the checkpoint."""
    points, stands = iter(live.points), live.checkpoint
    recomputation = _begun(live, next(points))
    point, read = next(points, None), 0
    async with reader(settings) as reading:
        async for piece in pieces(reading, {place: log}):
            for record in piece:
                if record.offset < live.points[0].offset:
                    continue
                while point is not None and point.offset <= record.offset:
                    _apply(recomputation, point, live)
                    point = next(points, None)
                recomputation.record(record.offset, record.value or b"", record.key, record.timestamp)
            read += len(piece)
            progress(read)
    while point is not None:
        _apply(recomputation, point, live)
        point = next(points, None)
    _pass_time(recomputation, stands.clock_ms, stands)
    return recomputation


def _begun(live: Live, first: Point) -> Recomputation:
    stands = live.checkpoint
    return Recomputation(
        _data(first.definitions or ""), first.hash or "", _model(first.model),
        mapping=_data(first.mapping or ""), chosen=live.is_chosen, erased=partial(_until, live.erasures),
        topic=stands.topic, partition=stands.partition, partitions=stands.partitions,
        grace_ms=stands.grace_ms, clock=stands.clock,
    )  # fmt: skip


def _until(erasures: Erasures, user_id: str) -> float | None:
    until_ms = erasures.until(user_id)
    return math.inf if until_ms == FOREVER else until_ms


def _apply(recomputation: Recomputation, point: Point, live: Live) -> None:
    _pass_time(recomputation, point.clock_ms, live.checkpoint)
    match point.kind:
        case "version":
            data = None if point.definitions is None else _data(point.definitions)
            mapping = None if point.mapping is None else _data(point.mapping)
            recomputation.publish(data, point.hash, _model(point.model), mapping)
        case "tick":
            recomputation.tick(point.until_ms or 0)
        case "erase":
            erased, of = erased_at(point), live.erasures.pseudonyms.of
            live.erasures.take(erased, point.clock_ms)
            recomputation.erase(lambda user_id: of(user_id, erased.key_version) == erased.subject)
        case _:
            pass  # a pause decides about campaigns, and moves nobody


def _pass_time(recomputation: Recomputation, clock_ms: int | None, stands: Checkpoint) -> None:
    if stands.clock == "wall":
        recomputation.advance(clock_ms)


def _data(text: str) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(text)
    return data


def _model(text: str | None) -> dict[str, Any] | None:
    model: dict[str, Any] | None = None if text is None else msgspec.json.decode(text)
    return model


async def _told(settings: Settings, live: Live, place: TopicPartition, span: Span) -> dict[str, dict[int, Any]]:
    """Return what `memberships` says of the chosen, by their number of transitions; a tombstone ends what was said."""
    found: dict[str, dict[int, Any]] = {}
    async with reader(settings) as reading:
        async for piece in pieces(reading, {place: span}):
            for record in piece:
                user_id = (record.key or b"").decode(errors="replace")
                if user_id not in live.chosen:
                    continue
                if record.value is None:
                    found.pop(user_id, None)
                else:
                    content = msgspec.json.decode(record.value)
                    found.setdefault(user_id, {})[content["seq"]] = content
    return found


def _compared(live: Live, recomputed: Recomputation, told: Mapping[str, Mapping[int, Any]], log: Span,
              partition: int) -> Verdict:  # fmt: skip
    """Judge everybody in the sample who is in the state, or should be."""
    verdict = Verdict(partitions=1, records=log.end - log.begin)
    whole = log.begin <= live.points[0].offset
    first = 0 if whole else _first_new(live, recomputed)
    theirs = recomputed.memberships()
    ours = {record["user_id"]: record for record in live.engine.memberships() if record["user_id"] in live.chosen}
    for user_id in sorted(live.chosen | recomputed.twin.users.keys()):
        slot = live.engine.users.slots.get(user_id)
        if not whole and (slot is None or slot < first):
            verdict.not_judged["before_the_log"] += 1
            continue
        found = list(_of_user(live, recomputed, user_id, ours.get(user_id), theirs.get(user_id)))
        if found and recomputed.may_be_limited(whole=whole):
            verdict.not_judged["limited"] += 1
            continue
        state = _of_topic(live.told.get(user_id), told.get(user_id, {}))
        if state is None:
            verdict.not_judged["moved_on"] += 1
            continue
        verdict.users += 1
        if found := [*found, *state]:
            verdict.different += 1
            verdict.found.append({"partition": partition, "user_id": user_id, "differences": found})
        else:
            verdict.same += 1
    return verdict


def _of_user(live: Live, recomputed: Recomputation, user_id: str, ours: dict[str, Any] | None,
             theirs: dict[str, Any] | None) -> Iterator[Difference]:  # fmt: skip
    """Yield where the state and the recomputation differ about a user."""
    explained = live.engine.explain(user_id)
    if explained is None or user_id not in recomputed.twin.users:
        yield {"what": "user", "live": explained is not None, "recomputed": user_id in recomputed.twin.users}
        return
    yield from differences(ours or {}, theirs or {})
    at_ms = time_ms(explained["clock"]) or 0
    yield from differences(clauses_of(explained), _plain(recomputed.clauses(user_id, at_ms)))


def _plain(clauses: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The clauses without what moves a probability."""
    return {
        name: [{"clause": clause["clause"], "value": clause["value"]} for clause in shown]
        for name, shown in clauses.items()
    }


def _of_topic(expected: dict[str, Any] | None, told: Mapping[int, Any]) -> list[Difference] | None:
    """Where the topic differs from the state about a user; None if what it said then is gone."""
    if expected is None:
        return None if told else []
    record = told.get(expected["seq"])
    if record is None:
        if any(seq > expected["seq"] for seq in told):
            return None
        return [{"what": "memberships", "live": max(told, default=None), "recomputed": expected["seq"]}]
    return [
        {**found, "what": f"memberships {found['what']}"}
        for found in differences({"segments": record["segments"]}, {"segments": expected["segments"]})
    ]


def _first_new(live: Live, recomputed: Recomputation) -> int:
    """The first slot of a user who came after the log begins, judging by the order in which users came.

    Slots are given in order of appearance, so those of the new ones are the last, and appear in the log in
    their order. Of those that seem so the first few may be old ones that came back in order by chance.
    """
    ids = {slot: user_id for user_id, slot in live.engine.users.slots.items()}
    slot, next_seen = max(ids, default=-1), live.checkpoint.next_offset
    while slot >= 0 and (seen := _seen(recomputed, ids.get(slot))) is not None and seen < next_seen:
        slot, next_seen = slot - 1, seen
    return slot + 1 + CHANCE_MARGIN


def _seen(recomputed: Recomputation, user_id: str | None) -> int | None:
    """The first offset of a record with a user's key; None if the log has none."""
    return None if user_id is None else recomputed.first_seen.get(user_id.removeprefix("anon:"))
