"""The broker that tests share, and who shares it.

The tests of a module run one after the other, and no more than two modules at a time, each time on one broker: more
would take the processors from each other and prove nothing.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kafka.broker import Broker

GROUPS = 2
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the modules out to the groups; a test that names its group stays there."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    places = {path: place for place, path in enumerate(sorted({item.path for item in ours}))}
    for item in ours:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"kafka-{places[item.path] % GROUPS}"))


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker without security; what harms it for others (stopping, filling) needs a broker of one's own."""
    with Broker() as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """Begins the names of a test's topics, groups and transactional ids, which no other test has."""
    return f"t{secrets.token_hex(3)}."
