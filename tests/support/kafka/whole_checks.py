"""Did a whole shop do what it promises? Judged from what it leaves behind, role by role.

    webhooks   every trigger was taken at least once under its decision's id, byte for byte, each user's in order; none
               that had expired was sent; those whom the sender refuses are a dead letter each, exactly once
    audiences  every segment change is an audience event, exactly once, each user's in order
    results    the campaigns' results are what the same records come to at once
    models     every version there is from 1 on, once; each took effect unchanged, the last one everywhere
    lessons    every sample and observation was learnt from, once
    receipts   every erasure has one receipt of each partition, of the trainer and of lift

What was written about a user before she was erased may have been delivered or learnt from, or not, once at most. What
the workers owe is `checker.py`'s business. The rule: each check is a function of the evidence, and says sentences.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import ConsumerRecord

from schemas.models import Snapshot
from tests.support.kafka.whole_evidence import ALONE, Evidence, instant_ms
from tests.support.kafka.whole_shop import is_refused
from tests.support.receiver import Post
from worker.core.pseudonyms import Pseudonyms

__all__ = ["wrong_with"]

LATE_MS = 10_000  # a process may be halted between its look at the clock and its request
SHOWN = 8
EVENTS = {"entered": ("Audience Entered", True), "exited": ("Audience Exited", False)}

Body = dict[str, Any]


def wrong_with(evidence: Evidence) -> list[str]:
    """Return everything that is wrong, at most a few sentences of each kind."""
    found: list[str] = []
    for name, check in CHECKS.items():
        said = list(check(evidence))
        found += [f"{name}: {sentence}" for sentence in said[:SHOWN]]
        found += [f"{name}: and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return found


class Sendable(NamedTuple):
    """A trigger as it stands in the topic."""

    body: Body
    offset: int
    written_ms: int
    expires_ms: int


def _bodies(records: Iterable[ConsumerRecord]) -> list[Body]:
    return [msgspec.json.decode(record.value) for record in records]


# Webhooks.


def of_webhooks(evidence: Evidence) -> Iterator[str]:
    """Judge what became of the triggers."""
    triggers = _triggers(evidence.topics["campaign-triggers"])
    yield from _of_triggers(triggers, evidence)
    yield from _of_posts(triggers, evidence.posts)
    yield from _of_order(triggers, evidence.taken)


def _triggers(records: Sequence[ConsumerRecord]) -> dict[str, Sendable]:
    return {
        body["decision_id"]: Sendable(body, record.offset, record.timestamp, instant_ms(body["expires_at"]))
        for record, body in zip(records, _bodies(records), strict=True)
    }


def _of_triggers(triggers: Mapping[str, Sendable], evidence: Evidence) -> Iterator[str]:
    taken = {post.id for post in evidence.taken}
    letters = Counter(
        body["record_id"] for body in _bodies(evidence.topics["sink-dead-letters"]) if body["sink"] == "webhook"
    )
    for name, trigger in triggers.items():
        refused = is_refused(trigger.body["user_id"])
        if letters[name] > 1 or (letters[name] and not refused):
            yield f"trigger {name} has {letters[name]} dead letters"
        open_still = trigger.expires_ms > evidence.ended_ms and trigger.body["user_id"] not in evidence.erased
        if open_still and not (letters[name] if refused else name in taken):
            yield f"trigger {name} never arrived"
    yield from (f"a dead letter is of {name}, which is no trigger" for name in letters if name not in triggers)


def _of_posts(triggers: Mapping[str, Sendable], posts: Sequence[Post]) -> Iterator[str]:
    for post in posts:
        trigger = triggers.get(post.id)
        if trigger is None:
            yield f"{post.id} was sent and is no trigger"
            continue
        if post.content["data"] != trigger.body or post.headers.get("idempotency-key") != post.id:
            yield f"trigger {post.id} was sent otherwise than it stands in the topic"
        late_ms = post.at_ms - trigger.expires_ms
        if late_ms > (LATE_MS if trigger.expires_ms > trigger.written_ms else 0):
            yield f"trigger {post.id} was sent {late_ms} ms too late"


def _of_order(triggers: Mapping[str, Sendable], taken: Sequence[Post]) -> Iterator[str]:
    """Judge the order in which triggers were first taken."""
    firsts: dict[str, Post] = {}
    for post in taken:
        firsts.setdefault(post.id, post)
    last: dict[str, int] = {}
    for name in filter(triggers.__contains__, firsts):
        user, offset = triggers[name].body["user_id"], triggers[name].offset
        if offset < last.get(user, -1):
            yield f"trigger {name} was taken after a later one of its user"
        last[user] = offset


# Audiences.


def of_audiences(evidence: Evidence) -> Iterator[str]:
    """Judge the audience events against the segment changes."""
    wanted, found = defaultdict[str, list[Body]](list), defaultdict[str, list[Body]](list)
    owed: set[str] = set()
    changes = evidence.topics["segment-changes"]
    for record, change in zip(changes, _bodies(changes), strict=True):
        wanted[change["user_id"]].append(_told(change))
        if record.timestamp >= evidence.erased.get(change["user_id"], 0):
            owed.add(change["id"])
    for event in _bodies(evidence.topics["audience-events"]):
        user = event["userId"] if "userId" in event else f"anon:{event['anonymousId']}"
        found[user].append({name: event[name] for name in ("messageId", "event", "timestamp", "properties")})
    for user in {**wanted, **found}:
        there = {event["messageId"] for event in found[user]}
        due = [told for told in wanted[user] if told["messageId"] in owed or told["messageId"] in there]
        if found[user] != due:
            yield f"of one user's {len(due)} changes there are {len(found[user])} events, or they are in another order"


def _told(change: Body) -> Body:
    """What an audience event says of a change."""
    event, inside = EVENTS[change["direction"]]
    properties = {change["segment"]: inside, "audience_key": change["segment"]}
    return {
        "messageId": change["id"], "event": event, "timestamp": change["occurred_at"], "properties": properties
    }  # fmt: skip


# Results.


def of_results(evidence: Evidence) -> Iterator[str]:
    """Judge the campaigns' results."""
    for campaign in {**evidence.counted, **evidence.results}:
        found, wanted = (results.get(campaign, {}) for results in (evidence.results, evidence.counted))
        differing = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        for name in differing:
            yield f"{campaign}: {name} is {_around(found.get(name), wanted.get(name))}"


def _around(found: object, wanted: object) -> str:
    """Both, where they differ."""
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return "; ".join(_around(*both) for both in zip(found, wanted, strict=True) if both[0] != both[1])
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        return ", ".join(f"{name} {_around(found.get(name), wanted.get(name))}" for name in names)
    return f"{found} and should be {wanted}"


# Learning.


def of_models(evidence: Evidence) -> Iterator[str]:
    """Judge the models that were published, and those that took effect."""
    published = [(int(record.key), record.value) for record in evidence.topics["models"] if record.value]
    versions = [version for version, _ in published]
    if versions != list(range(1, len(versions) + 1)):
        yield f"the versions that were published are {versions}"
    if evidence.learnt.version != len(versions):
        yield f"the trainer counts {evidence.learnt.version} models, and there are {len(versions)}"
    hashes: dict[int, str] = {}
    for version, value in published:
        model = Snapshot.model_validate_json(value)
        hashes[version] = model.hash
        if (model.version, model.content_hash) != (version, model.hash):
            yield f"model {version} isn't what its key and its hash say"
    for partition, models in enumerate(evidence.in_force):
        if any(hashes.get(version) != named for version, named in models):
            yield f"partition {partition} runs a model that nobody published"
        if [version for version, _ in models[-1:]] != versions[-1:]:
            yield f"partition {partition} doesn't run the last model"


def of_lessons(evidence: Evidence) -> Iterator[str]:
    """Judge how much was learnt."""
    for name, count in (
        ("training-samples", evidence.learnt.samples),
        ("observations", evidence.learnt.observations),
    ):
        users = {body["id"]: body["user_id"] for body in _bodies(evidence.topics[name])}
        least = sum(user not in evidence.erased for user in users.values())
        if not least <= count <= len(users):
            yield f"of {len(users)} {name} {count} were learnt, and {least} at least should be"


# Erasures.


def of_receipts(evidence: Evidence) -> Iterator[str]:
    """Judge the receipts of erasures."""
    places = [*(("worker", partition) for partition in range(evidence.partitions)), *((role, 0) for role in ALONE)]
    subjects = {Pseudonyms().of(user) for user in evidence.erased}
    given = Counter((body["subject"], body["role"], body["partition"]) for body in _bodies(evidence.topics["receipts"]))
    wanted = Counter((subject, *place) for subject in subjects for place in places)
    if given != wanted:
        yield f"{len(subjects)} erasures have {given.total()} receipts; {dict((wanted - given) or (given - wanted))}"


CHECKS: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "webhooks": of_webhooks, "audiences": of_audiences, "results": of_results, "models": of_models,
    "lessons": of_lessons, "receipts": of_receipts,
}  # fmt: skip
