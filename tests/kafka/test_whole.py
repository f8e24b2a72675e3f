"""All roles together on one broker over a simulated shop: what each does is what the others' records say.

The checks that judge it are those of the soak; here each is also seen to fail.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import complaints
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.whole_checks import wrong_with
from tests.support.kafka.whole_evidence import Evidence, comparable, ended, instant_ms
from tests.support.kafka.whole_shop import ROLES, Shop, definitions, is_refused, moody, simulation
from tests.support.receiver import Post, Receiver
from worker.files.configuration import checked
from worker.files.lift_report import read_folder
from worker.files.points import Place, Points
from worker.files.replay import Request, replay
from worker.language.mapping import SHIPPED
from worker.operations.pointing import points_of

SEED = 1
USERS, DAYS = 60, 6
HOUR_MS = 3_600_000
ROUNDS, PER_ROUND = 3, 250


@dataclass
class World:
    """A shop that is over."""

    deployment: Deployment
    evidence: Evidence


@pytest.fixture(scope="module")
def world(broker: Broker) -> Iterator[World]:
    """Everybody has worked through the past and some days of the future, and has ended; some users were erased."""
    with (
        Receiver(moody) as receiver,
        Deployment(broker, "whole.", partitions=1, definitions=definitions(SEED)) as deployment,
    ):
        shop = Shop(deployment, receiver, simulation(SEED, USERS, DAYS))
        for name in ROLES:
            if name != "two":
                shop.start(name)
        shop.live_until(time.time_ns() // 1_000_000 - 3 * HOUR_MS)
        deployment.wait_until_read()
        shop.erase(shop.unreachable()[0])
        deployment.publish(definitions(SEED, 2))
        for _ in range(ROUNDS):
            shop.live(PER_ROUND)
            deployment.wait_until_read()
        yield World(deployment, ended(shop))


def test_everything_is_as_it_should_be(world: World) -> None:
    """Of every role."""
    assert complaints(world.deployment).wrong == []
    assert wrong_with(world.evidence) == []


def test_everybody_had_something_to_do(world: World) -> None:
    """Webhooks taken, refused, and those too late to be sent; messages and conversions; samples, and models of them."""
    evidence = world.evidence
    triggers = bodies(evidence.topics["campaign-triggers"])
    sent = {post.id for post in evidence.posts}
    assert len(evidence.taken) > 20
    assert any(instant_ms(trigger["expires_at"]) < evidence.posts[0].at_ms for trigger in triggers)
    assert any(trigger["decision_id"] not in sent for trigger in triggers)
    assert any(is_refused(trigger["user_id"]) for trigger in triggers)
    assert all(len(records) > 0 for records in evidence.topics.values())
    assert {group["sent"] > 0 for group in evidence.results["cart_reminder"]["groups"][:2]} == {True}
    assert any(group["judged_converted"] for group in evidence.results["cart_reminder"]["groups"])
    assert evidence.in_force[0] != []


def test_lift_reports_what_a_replay_of_the_log_reports(world: World, tmp_path: Path) -> None:
    """The events as a file, replayed with the partition's points: the report that is read from its folder."""
    shop, log = world.deployment, tmp_path / "events.jsonl"
    log.write_bytes(b"".join(record.value + b"\n" for record in shop.read("events")))
    checkpoint, points = run(points_of(shop.settings, 0))
    place = Place(checkpoint.topic, 0, checkpoint.partitions, checkpoint.grace_ms, checkpoint.clock)
    under = checked(msgspec.json.decode(shop.read("definitions")[-1].value)["text"], SHIPPED.read_text("utf-8"))
    replay(under, Request([log], tmp_path / "out", points=Points(place, points)))
    assert comparable(read_folder(tmp_path / "out")) == world.evidence.results


# The checks can fail.

Change = Callable[[Evidence], Evidence]


def bodies(records: Sequence[ConsumerRecord]) -> list[dict[str, Any]]:
    """What records say."""
    return [msgspec.json.decode(record.value) for record in records]


def topic(name: str, change: Callable[[list[ConsumerRecord]], Sequence[ConsumerRecord]]) -> Change:
    """Return a change of a topic's records."""
    return lambda evidence: replace(evidence, topics={**evidence.topics, name: change(list(evidence.topics[name]))})


def with_body(record: ConsumerRecord, **members: Any) -> ConsumerRecord:
    """A record that says something else."""
    return replace(record, value=msgspec.json.encode({**msgspec.json.decode(record.value), **members}))


def of_one_user(evidence: Evidence) -> tuple[str, str]:
    """The first two of the triggers of somebody of whom several were taken."""
    firsts = dict.fromkeys(post.id for post in evidence.taken)
    users = Counter(user_of(evidence)[name] for name in firsts)
    first, second, *_ = (name for name in firsts if user_of(evidence)[name] == users.most_common(1)[0][0])
    return first, second


def user_of(evidence: Evidence) -> Mapping[str, str]:
    """Whose trigger it is, by its id."""
    return {body["decision_id"]: body["user_id"] for body in bodies(evidence.topics["campaign-triggers"])}


def lost(evidence: Evidence) -> Evidence:
    """A trigger that can still be sent was never taken."""
    users = user_of(evidence)
    name = [post.id for post in evidence.taken if users[post.id] not in evidence.erased][-1]
    return replace(evidence, taken=[post for post in evidence.taken if post.id != name])


def overtaken(evidence: Evidence) -> Evidence:
    """Two triggers of one user change places."""
    first, second = of_one_user(evidence)
    other = {first: second, second: first}
    return replace(evidence, taken=[retitled(post, other.get(post.id, post.id)) for post in evidence.taken])


def retitled(post: Post, name: str) -> Post:
    """The same request under another id."""
    return replace(post, headers={**post.headers, "webhook-id": name})


def posted(change: Callable[[Post], Post]) -> Change:
    """Return a change of the first request."""
    return lambda evidence: replace(evidence, posts=[change(evidence.posts[0]), *evidence.posts[1:]])


def miscounted(evidence: Evidence) -> Evidence:
    """A user is converted once more."""
    result = evidence.results["cart_reminder"]
    first, *rest = result["groups"]
    counted = {**result, "groups": [{**first, "converted": first["converted"] + 1}, *rest]}
    return replace(evidence, results={**evidence.results, "cart_reminder": counted})


def another_model(evidence: Evidence) -> Evidence:
    """A partition runs what nobody published."""
    (version, _), *rest = evidence.in_force[0]
    return replace(evidence, in_force=[[(version, "f" * 64), *rest]])


def unlearnt(count: int) -> Change:
    """Return a change of how many samples were learnt."""
    return lambda evidence: replace(
        evidence, learnt=msgspec.structs.replace(evidence.learnt, samples=evidence.learnt.samples + count)
    )


CHANGES: Mapping[str, tuple[Change, str]] = {
    "a webhook is lost": (lost, "never arrived"),
    "a webhook overtakes": (overtaken, "after a later one"),
    "a webhook says something else": (posted(lambda post: replace(post, body=b'{"data":{}}')), "otherwise than"),
    "a webhook comes of nothing": (posted(lambda post: retitled(post, "f" * 32)), "is no trigger"),
    "a webhook comes late": (posted(lambda post: replace(post, at_ms=post.at_ms + 400 * 24 * HOUR_MS)), "too late"),
    "a dead letter is lost": (topic("sink-dead-letters", lambda all_: all_[:0]), "never arrived"),
    "a dead letter comes twice": (topic("sink-dead-letters", lambda all_: [*all_, all_[-1]]), "has 2 dead letters"),
    "an audience event is lost": (topic("audience-events", lambda all_: all_[:-1]), "of one user's"),
    "an audience event comes twice": (topic("audience-events", lambda all_: [*all_, all_[-1]]), "of one user's"),
    "audience events change places": (topic("audience-events", lambda all_: all_[::-1]), "in another order"),
    "lift counts twice": (miscounted, "converted"),
    "a campaign has no result": (lambda evidence: replace(evidence, results={}), "campaign is None"),
    "a model is lost": (topic("models", lambda all_: all_[:-1]), "the trainer counts"),
    "a version comes twice": (topic("models", lambda all_: [*all_, all_[-1]]), "versions that were published"),
    "a model is another": (
        topic("models", lambda all_: [with_body(all_[0], decisions=[{}]), *all_[1:]]), "isn't what its key"
    ),
    "a model comes of nothing": (another_model, "that nobody published"),
    "a model isn't taken": (lambda evidence: replace(evidence, in_force=[[]]), "doesn't run the last model"),
    "a sample is lost": (unlearnt(-10_000), "were learnt"),
    "a sample is learnt twice": (unlearnt(1), "were learnt"),
    "a receipt is lost": (topic("receipts", lambda all_: all_[1:]), "receipts"),
    "a receipt comes twice": (topic("receipts", lambda all_: [*all_, all_[0]]), "receipts"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_found(world: World, name: str) -> None:
    """What a role may get wrong, done to the evidence, and what is said then."""
    change, said = CHANGES[name]
    assert said in "\n".join(wrong_with(change(world.evidence)))


def test_a_worker_that_writes_twice_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment change more than the log comes to."""
    read_together = world.deployment.read_together

    def twice(names: Any) -> dict[str, list[ConsumerRecord]]:
        found = read_together(names)
        return {**found, "segment-changes": [*found["segment-changes"], found["segment-changes"][-1]]}

    monkeypatch.setattr(world.deployment, "read_together", twice)
    assert "1 twice" in "\n".join(complaints(world.deployment).wrong)
