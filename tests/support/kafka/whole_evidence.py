"""What a whole shop leaves behind: everybody told to end once all is through, then all topics, posts and progress.

The rule: nothing is judged here, and nothing is taken from what a process says of itself but how far it is.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, cast

import msgspec
from aiokafka import ConsumerRecord

from schemas.access import MEASURED_FROM
from schemas.control import CampaignResult
from tests.kafka.learning import learnt
from tests.kafka.working import wait_until
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, run
from tests.support.kafka.whole_shop import Shop
from tests.support.receiver import Post
from worker.agents.measuring import READINGS
from worker.core.restoring import versions_of
from worker.core.timestamps import time_ms
from worker.files.configuration import checked
from worker.kafka.learner_state import Progress
from worker.language.mapping import SHIPPED
from worker.lift.designs import programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.records import Record
from worker.lift.results import results_of
from worker.operations import lift

__all__ = ["ALONE", "Evidence", "comparable", "ended", "instant_ms"]

TOPICS = (
    "campaign-triggers", "segment-changes", "audience-events", "sink-dead-letters", "models", "receipts",
    "training-samples", "observations", *MEASURED_FROM[:3],
)  # fmt: skip
ALONE = ("trainer", "lift")  # who give a receipt beside the partitions
POLL_SECONDS = 0.3

Body = dict[str, Any]
Results = dict[str, Body]
Model = tuple[int, str]


@dataclass(frozen=True)
class Evidence:
    """All that there is to look at; `topics` by their names in the table."""

    topics: Mapping[str, Sequence[ConsumerRecord]]
    posts: Sequence[Post]  # everything that the sender was sent
    taken: Sequence[Post]  # what it answered with 200, in the order of its answers
    results: Results  # what lift has published last
    counted: Results  # what the same records come to at once
    learnt: Progress  # how far the trainer is
    in_force: Sequence[Sequence[Model]]  # models that took effect, by partition
    erased: Mapping[str, int]
    partitions: int
    ended_ms: int


def ended(shop: Shop, seconds: float = SECONDS_MAX) -> Evidence:
    """Wait until everybody is through with everything, have them end, and return what there is.

    Once lift has counted everything somebody is erased of whom it knows: what was counted of her then is known. The
    trainer ends first, so that its last model can take effect; then the workers, whose records the others wait for.
    Raises AssertionError for who doesn't get through or doesn't end with 0.
    """
    deployment = shop.deployment
    shop.finish()
    deployment.wait_until_read(seconds)
    counted = _counted(deployment)
    _wait(lambda: _published(deployment) == counted)
    user = shop.receiver.taken[-1].content["data"]["user_id"]
    shop.erase(user)
    wait_until(lambda: _has_read(deployment, learnt(deployment).offsets), "the trainer doesn't get through")
    asked = len(shop.erased) * (deployment.partitions + len(ALONE))
    _wait(lambda: len(deployment.read("receipts")) >= asked)
    _end(shop, "trainer")
    newest = [int(record.key) for record in deployment.read("models") if record.value][-1:]
    wait_until(
        lambda: all(_last(models) == newest for models in _in_force(deployment)), "the last model isn't in force"
    )
    deployment.wait_until_read(seconds)
    _end(shop, *(name for name in shop.roles if name not in ("trainer", "lift", "sinks")))
    counted = _counted(deployment, {user: shop.erased[user]})
    _wait(lambda: _published(deployment) == counted)
    _wait(lambda: _are_delivered(shop))
    ended_ms = time.time_ns() // 1_000_000
    _end(shop, "lift", "sinks")
    return Evidence(
        deployment.read_together(TOPICS), list(shop.receiver.posts), shop.receiver.taken, _published(deployment),
        counted, learnt(deployment), _in_force(deployment), dict(shop.erased), deployment.partitions, ended_ms,
    )  # fmt: skip


def _end(shop: Shop, *names: str) -> None:
    with ThreadPoolExecutor(len(names)) as asking:
        told = dict(zip(names, asking.map(lambda name: shop.roles[name].stop(), names), strict=True))
    assert set(told.values()) == {0}, told


def _wait(done: Callable[[], bool]) -> None:
    """Wait until something is so, for as long as anything may take; whether it is, the checks will tell."""
    deadline = time.monotonic() + SECONDS_MAX
    while not done() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _has_read(deployment: Deployment, offsets: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether offsets by topic and partition are past every record."""
    return all(
        offsets.get(topic, {}).get(record.partition, 0) > record.offset
        for topic, records in deployment.read_together(["training-samples", "observations"]).items()
        for record in records
    )


def _in_force(deployment: Deployment) -> list[list[Model]]:
    """The models that took effect in each partition, in order."""
    found = []
    for partition in range(deployment.partitions):
        points = deployment.state(partition).points
        versions = versions_of([points[number] for number in sorted(points)])
        models = [(version.model.version, version.model.hash) for version in versions if version.model is not None]
        found.append(list(dict.fromkeys(models)))
    return found


def _last(models: Sequence[Model]) -> list[int]:
    return [version for version, _ in models[-1:]]


def _are_delivered(shop: Shop) -> bool:
    """Whether every trigger that can still be taken was taken or is a dead letter, and no change waits."""
    topics = shop.deployment.read_together(TOPICS[:4])
    settled = {post.id for post in shop.receiver.taken}
    settled |= {str(body["record_id"]) for body in _bodies(topics["sink-dead-letters"])}
    now_ms = time.time_ns() // 1_000_000
    wanted = {
        body["decision_id"] for body in _bodies(topics["campaign-triggers"])
        if instant_ms(body["expires_at"]) > now_ms and body["user_id"] not in shop.erased
    }  # fmt: skip
    carried = {body["messageId"] for body in _bodies(topics["audience-events"])}
    changes = {body["id"] for body in _bodies(topics["segment-changes"]) if body["user_id"] not in shop.erased}
    return wanted <= settled and changes <= carried


def _bodies(records: Iterable[ConsumerRecord]) -> list[Body]:
    return [msgspec.json.decode(record.value) for record in records]


def instant_ms(text: str) -> int:
    """An instant of a record, as ms since the epoch."""
    ms = time_ms(text)
    assert ms is not None, text
    return ms


# Lift.


def _published(deployment: Deployment) -> Results:
    """The latest result of every campaign."""
    return comparable(run(lift.results(deployment.settings)))


def _counted(deployment: Deployment, erased: Mapping[str, int] = MappingProxyType({})) -> Results:
    """What the records on the topics come to, counted here by their own times; then who was erased, and when."""
    ledger = Ledger(deployment.partitions)
    currency = ""
    for record in deployment.read("definitions"):
        under = checked(msgspec.json.decode(record.value)["text"], SHIPPED.read_text("utf-8")).checked
        ledger.know(f"{under.definitions.version}/{under.hash}", terms_of(under), programme_of(under.definitions))
        currency = under.definitions.currency
    told = [
        (*READINGS[topic](record.value), record.partition)
        for topic, records in deployment.read_together(MEASURED_FROM).items() for record in records
    ]  # fmt: skip
    for _, content, partition in sorted(told, key=itemgetter(0)):
        ledger.take(cast("Record", content), partition)
    for user, at_ms in erased.items():
        ledger.erase(user, at_ms)
    return comparable(results_of(ledger, currency))


def comparable(results: Iterable[Any]) -> Results:
    """Results by campaign, as their readers have them, without what depends on when one looked.

    That are the points of their history, the instant up to which nothing had changed, and which of several versions was
    met first.
    """
    found = [CampaignResult.model_validate(result).model_dump(mode="json") for result in results]
    looked = {"as_of": "", "definition": "", "history": []}
    return {result["campaign"]: result | _runs(result) | looked for result in found}


def _runs(result: Body) -> Body:
    runs = sorted(result["earlier"], key=lambda run: sorted(run["definitions"]))
    earlier = [run | {"definitions": sorted(run["definitions"])} for run in runs]
    return {"definitions": sorted(result["definitions"]), "earlier": earlier}
