"""The broker that tests share.

A module's tests run one after the other in one process (`--dist=loadfile`), and each process has one shared broker: no
more of them at a time than processes, which are no more than processors.
"""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.kafka.broker import Broker
from tests.support.watched_world import World, world_on


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker without security; what harms it for others (stopping, filling) needs a broker of one's own."""
    with Broker() as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """Begins the names of a test's topics, groups and transactional ids, which no other test has."""
    return f"t{secrets.token_hex(3)}."


@pytest.fixture
def world(broker: Broker, prefix: str) -> Iterator[World]:
    """A deployment that a Prometheus watches under the alerts' rules in a hurry; nothing runs yet."""
    with world_on(broker, prefix) as made:
        yield made
