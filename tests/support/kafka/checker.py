"""Did the workers do what they promise? Looked at from outside, through Kafka alone, after whatever happened to them.

    outputs      every transition, decision, trigger, conversion, sample, observation and dead letter is there exactly
                 once for a read_committed reader, equal to what one engine without Kafka makes of the same log and
                 points (but for `emitted_at`), in the partition of its record, a user's in order
    state        the state topic folds to that engine, byte by byte
    offsets      the checkpoint is past every record, and the group's committed offset is the checkpoint's
    transactions none is left open: the last stable offset is the high watermark, in every topic
    memberships  the latest record of each user is what she is in
    conservation read = applied + duplicates + dead letters
    logs         no traceback that no test asked for, no user id, no secret

The rule: `complaints` finds all that is wrong, and believes nothing that a worker says of itself but its points.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from schemas.topics import TOPICS
from tests.support.kafka.deployment import Deployment
from tests.support.kafka.reference import Reference
from tests.support.pair import on_the_wire, without_wall
from worker.core.changelog import StateRecordError
from worker.core.pseudonyms import Pseudonyms

__all__ = ["Verdict", "check", "complaints"]

OUTPUTS = {
    "segment-changes": "transitions",
    "campaign-decisions": "decisions",
    "campaign-triggers": "triggers",
    "conversions": "conversions",
    "messages": "messages",
    "training-samples": "samples",
    "observations": "observations",
    "dead-letters": "dead_letters",
}
OFFSETS = "__consumer_offsets"
SETTLE_SECONDS_MAX = 60.0
SHOWN = 3

Body = dict[str, Any]


@dataclass
class Verdict:
    """What was wrong, in sentences, and how much there was to look at."""

    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*OUTPUTS, "records", "points", "users"], 0))
    references: dict[int, Reference] = field(default_factory=dict)


def check(deployment: Deployment, *, tracebacks: str | None = None, secrets: Iterable[str] = (),
          words: Iterable[str] = ()) -> Verdict:  # fmt: skip
    """Assert that nothing is wrong; `tracebacks` is a regular expression of those that a test has asked for.

    `words` are user ids that a log may have for other reasons, such as `0`.
    """
    verdict = complaints(deployment, tracebacks=tracebacks, secrets=secrets, words=words)
    assert not verdict.wrong, "\n".join(verdict.wrong)
    return verdict


def complaints(deployment: Deployment, *, tracebacks: str | None = None, secrets: Iterable[str] = (),
               words: Iterable[str] = ()) -> Verdict:  # fmt: skip
    """Look at everything that was written, with all workers ended or idle; return what was found."""
    verdict = Verdict()
    verdict.wrong += _open_transactions(deployment)
    topics = deployment.read_together([*OUTPUTS, "memberships", "events"])
    outputs = {topic: _by_partition(records) for topic, records in topics.items()}
    offsets = deployment.committed()
    for partition in range(deployment.partitions):
        of_partition = {topic: records.get(partition, []) for topic, records in outputs.items()}
        verdict.wrong += [
            f"partition {partition}: {said}"
            for said in _partition(deployment, partition, of_partition, offsets, verdict)
        ]
    users = {user for reference in verdict.references.values() for user in reference.engine.users.slots}
    users |= {user for reference in verdict.references.values() for user in reference.effects.forgotten}
    users -= set(words)
    verdict.wrong += [said for worker in deployment.workers for said in _log(worker.text, users, tracebacks, secrets)]
    return verdict


def _by_partition(records: list[ConsumerRecord]) -> dict[int, list[ConsumerRecord]]:
    found: dict[int, list[ConsumerRecord]] = defaultdict(list)
    for record in records:
        found[record.partition].append(record)
    return found


def _open_transactions(deployment: Deployment) -> list[str]:
    """Wait until brokers have aborted what dead workers left open; tell what stays."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    unstable = [*(deployment.full_name(topic.name) for topic in TOPICS), OFFSETS]
    while (unstable := deployment.unstable(unstable)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [f"{name} has an open transaction" for name in unstable]


def _partition(deployment: Deployment, partition: int, outputs: Mapping[str, list[ConsumerRecord]],
               offsets: Mapping[int, tuple[int, str]], verdict: Verdict) -> Iterable[str]:  # fmt: skip
    """What is wrong with one partition."""
    log = outputs["events"]
    refused = [body["offset"] for body in _bodies(outputs["dead-letters"]) if body["reason"] == "engine_error"]
    try:
        state = deployment.state(partition)
        restored = state.finish()
    except StateRecordError as error:
        return [f"the state can't be read, {error}"]
    if state.checkpoint is None or restored is None:
        return ["there is no checkpoint"] if log else []
    reference = verdict.references[partition] = Reference(
        log, state, refused, Pseudonyms(deployment.settings.pseudonym_keys)
    )
    _count(verdict, reference)
    return [
        *reference.complaints,
        *_of_offsets(deployment, state.checkpoint.next_offset, log, offsets.get(partition)),
        *(said for topic, name in OUTPUTS.items() for said in _of_topic(topic, outputs[topic], reference, name)),
        *_of_state(restored[0].to_bytes(), reference.engine.to_bytes()),
        *_of_memberships(outputs["memberships"], reference),
        *_of_conservation(log, reference),
    ]


def _count(verdict: Verdict, reference: Reference) -> None:
    effects = reference.effects
    found = {topic: len(getattr(effects, name)) for topic, name in OUTPUTS.items()}
    found |= {"records": effects.read, "points": len(reference.points), "users": len(reference.engine.users)}
    for name, number in found.items():
        verdict.counts[name] += number


def _of_offsets(deployment: Deployment, next_offset: int, log: list[ConsumerRecord],
                copy: tuple[int, str] | None) -> Iterable[str]:  # fmt: skip
    end = log[-1].offset + 1 if log else next_offset
    if next_offset != end:
        yield f"the checkpoint is at {next_offset}, the end of the input at {end}"
    if copy != (next_offset, f"partitions={deployment.partitions}"):
        yield f"the checkpoint is at {next_offset}, and the group's copy says {copy}"


def _bodies(records: Iterable[ConsumerRecord]) -> list[Body]:
    return [msgspec.json.decode(record.value) for record in records]


def _of_topic(topic: str, records: list[ConsumerRecord], reference: Reference, name: str) -> Iterable[str]:
    """Compare what is there with what should be: all of it, once, each user's in order."""
    wanted = _by_user(without_wall(on_the_wire(getattr(reference.effects, name))))
    found = _by_user(without_wall(_bodies(records)))
    for user in [user for user in {**wanted, **found} if wanted.get(user) != found.get(user)][:SHOWN]:
        yield f"{topic}: {_difference(wanted.get(user, []), found.get(user, []))}"
    for record, body in zip(records, _bodies(records), strict=True):
        if topic != "dead-letters" and record.key != body["user_id"].encode():
            yield f"{topic}: offset {record.offset} lies under another key than its user's"


def _by_user(bodies: list[Body]) -> dict[str, list[Body]]:
    """A user's records in order; all dead letters together, which have no user."""
    found: dict[str, list[Body]] = defaultdict(list)
    for body in bodies:
        found[body.get("user_id", "")].append(body)
    return found


def _difference(wanted: list[Body], found: list[Body]) -> str:
    missing, extra = [body for body in wanted if body not in found], [body for body in found if body not in wanted]
    seen: list[Body] = []
    twice = [body for body in found if body in seen or seen.append(body)]  # type: ignore[func-returns-value]
    told = {"missing": missing, "not wanted": extra, "twice": twice}
    lists = [f"{len(bodies)} {name}, such as {bodies[0]}" for name, bodies in told.items() if bodies]
    return f"of one user's {len(wanted)} there are {len(found)}: " + ("; ".join(lists) or "in another order")


def _of_state(found: bytes, wanted: bytes) -> Iterable[str]:
    if found != wanted:
        ours, theirs = msgspec.msgpack.decode(found), msgspec.msgpack.decode(wanted)
        names = [name for name in {**ours, **theirs} if repr(ours.get(name)) != repr(theirs.get(name))]
        yield f"the state folds to another engine: {', '.join(names)} differ"


def _of_memberships(records: list[ConsumerRecord], reference: Reference) -> Iterable[str]:
    latest = {record.key: record for record in records}
    found = {body["user_id"]: body for body in _bodies([record for record in latest.values() if record.value])}
    wanted = reference.memberships()
    for user in {**wanted, **found}:
        ours, theirs = ({**bodies.get(user, {}), "as_of": None} for bodies in (found, wanted))
        if ours != theirs:
            yield f"memberships: {ours} should be {theirs}"
            return


def _of_conservation(log: list[ConsumerRecord], reference: Reference) -> Iterable[str]:
    effects, begin = reference.effects, reference.points[0].offset
    read = sum(begin <= record.offset < reference.checkpoint.next_offset for record in log)
    if not read == effects.read == effects.applied + effects.duplicates + len(effects.dead_letters):
        yield f"{read} records are {effects.applied} + {effects.duplicates} + {len(effects.dead_letters)}"


def _log(text: str, users: set[str], tracebacks: str | None, secrets: Iterable[str]) -> Iterable[str]:
    words = set(re.findall(r"[\w:@.-]+", text))
    if named := words & users:
        yield f"a log names {len(named)} users, such as {min(named)}"
    if any(secret in text for secret in secrets):
        yield "a log has a secret in it"
    for line in text.splitlines():
        if "raceback" in line and (tracebacks is None or not re.search(tracebacks, line)):
            yield f"a log has a traceback: {line}"
            return
