"""Rights that are taken from a worker at work, and given back: it stands still, and goes on.

The rule: nothing of a transaction that was refused midway is ever seen, and no process has to be started again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.access import Deployment as Names
from schemas.access import kafka_acls as commands_of
from tests.kafka.under_fault import RUNS, definitions
from tests.support.kafka.acls import kafka_acls
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, events
from tests.support.kafka.properties import Security

PREFIX, WORKER = "guarded.", "the-worker"
IDS = "guarded.state."
PASSWORD = "nobody logs this"  # noqa: S105  it is no secret
REFUSED = "AuthorizationFailed"
RIGHTS = {
    "to write results": "--operation Write --topic guarded.segment-changes",
    "to write the state": "--operation Write --topic guarded.state",
    "to use the state": "--operation Read --operation Write --topic guarded.state",
    "to read events": "--operation Read --topic guarded.events",
    "to be in the group": "--operation Read --group guarded.workers",
    "to use the transactional ids": f"--operation Write --transactional-id {IDS} --resource-pattern-type prefixed",
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker that allows nothing but what it was told to."""
    with Broker(security=Security("SASL_PLAINTEXT", {WORKER: PASSWORD}, authorize=True)) as broker:
        yield broker


@pytest.fixture(scope="module")
def shop(guarded: Broker) -> Iterator[Deployment]:
    """A deployment whose worker may do what is listed; the checker looks when all tests are done."""
    admin: dict[str, Any] = dict(guarded.client())
    with Deployment(guarded, PREFIX, definitions=definitions(1), **admin) as deployment:
        names = Names(PREFIX, deployment.settings.group)
        for line in commands_of("worker", f"User:{WORKER}", names, guarded.bootstrap):
            asyncio.run(kafka_acls(guarded, line))
        deployment.feed(events(1, 100))
        login: dict[str, Any] = dict(guarded.client(WORKER))
        worker = deployment.start_worker(**login)
        worker.wait_for(RUNS, count=2)
        deployment.wait_until_read()
        yield deployment
        assert worker.stop() == 0
        check(deployment, secrets=[PASSWORD], tracebacks="Unexpected error in sender routine")  # aiokafka's


@contextmanager
def without(broker: Broker, right: str) -> Iterator[None]:
    """While it lasts, the worker doesn't have a right."""
    asyncio.run(kafka_acls(broker, f"--remove --allow-principal User:{WORKER} {right}"))
    try:
        yield
    finally:
        asyncio.run(kafka_acls(broker, f"--add --allow-principal User:{WORKER} {right}"))


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_is_taken_and_given_back(guarded: Broker, shop: Deployment, right: str) -> None:
    """Without it nothing moves, and the log says what is refused; with it everything does, and nobody had to say so."""
    (worker,) = shop.workers
    refused = worker.text.count(REFUSED)
    ends = {partition: shop.committed()[partition][0] for partition in (0, 1)}
    with without(guarded, RIGHTS[right]):
        shop.feed(events(list(RIGHTS).index(right) + 2, 60))
        wait_until(lambda: worker.text.count(REFUSED) >= refused + 4)
        assert {partition: shop.committed()[partition][0] for partition in (0, 1)} == ends
    shop.wait_until_read()


def wait_until(happens: Callable[[], bool]) -> None:
    """Look again and again. Raises AssertionError after two minutes."""
    deadline = time.monotonic() + SECONDS_MAX
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)
