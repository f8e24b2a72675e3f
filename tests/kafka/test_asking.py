"""`shoal explain` on live state and `shoal status`: what the partitions say, and which of them are silent."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.control import AnyCommand, ExplainCommand
from schemas.examples import EXAMPLES
from tests.files.support import shop as shop_lines
from tests.kafka.answering import answering
from tests.kafka.commands import DEFINITIONS, Deployment
from tests.support.kafka.broker import Broker
from worker.core.engine import Engine
from worker.files import configuration
from worker.kafka.writing import Written, partition_of
from worker.language.mapping import SHIPPED

USER = "u-1"
PARTITIONS = 3
HOME = partition_of(USER.encode(), PARTITIONS)
STATUS: dict[str, Any] = {
    "state": "running", "next_offset": 2, "lag_records": 3, "clock": "2026-01-05T12:00:00.000Z", "users": 1234,
    "members": {"buyer": 2}, "definitions": "7/" + "3fa9" * 16, "model": None, "backlog_users": 5,
    "paused": ["cart_reminder"], "instance": "worker-1",
}  # fmt: skip


@pytest.fixture
def shop(broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment of the test's own, with a group of its own."""
    monkeypatch.setenv("SHOAL_GROUP", f"{prefix}group")
    return Deployment.made(broker, prefix, PARTITIONS)


@pytest.fixture
def engine() -> Engine:
    """An engine that knows the users of a small shop."""
    under = configuration.checked(DEFINITIONS, configuration.text_of(SHIPPED))
    engine = Engine(under.checked, under.mapping)
    engine.step(shop_lines(8), 0, wall_ms=0)
    assert engine.explain(USER) is not None  # compiled by now: who waits for an answer doesn't wait for that
    return engine


def changes(count: int, user: str) -> list[Written]:
    """Transitions of a user, numbered in order."""
    made = [{**EXAMPLES["SegmentChange"], "user_id": user, "seq": number} for number in range(1, count + 1)]
    return [Written(user.encode(), msgspec.json.encode(change)) for change in made]


def test_explain_shows_what_the_users_partition_says_with_her_last_transitions(
    shop: Deployment, engine: Engine
) -> None:
    """The engine's own words, the ten newest transitions first, and none of another user's in the same partition."""
    other = next(f"x-{n}" for n in range(100) if partition_of(f"x-{n}".encode(), PARTITIONS) == HOME)
    shop.write(shop.settings.topic("segment-changes"), [*changes(12, USER), *changes(5, other)])
    silent = {place: lambda _: None for place in range(PARTITIONS) if place != HOME}
    known = {HOME: lambda command: engine.explain(command.user_id)}
    with answering(shop.settings, PARTITIONS, {**silent, **known}):
        said = json.loads(shop.shoal("explain", USER, "--live", "--json").stdout)
        text = shop.shoal("explain", USER).stdout
    wanted = engine.explain(USER)
    assert wanted is not None
    assert {**said, "recent": None} == {**wanted, "recent": None}
    assert [transition["seq"] for transition in said["recent"]] == list(range(12, 2, -1))
    assert {transition["user_id"] for transition in said["recent"]} == {USER}
    assert "cart_items > 0" in text


def test_a_user_nobody_knows_is_told_as_soon_as_all_have_spoken(shop: Deployment) -> None:
    """Status 1; the wait, a minute, isn't spent."""
    with answering(shop.settings, PARTITIONS, {place: lambda _: None for place in range(PARTITIONS)}):
        told = shop.shoal("explain", "nobody", "--wait", "60", status=1).stderr
    assert told.startswith("No partition knows a user nobody")


def test_silent_partitions_are_named(shop: Deployment) -> None:
    """Somebody who may be in one of them isn't called unknown."""
    with answering(shop.settings, PARTITIONS, {1: lambda _: None}):
        told = shop.shoal("explain", USER, "--wait", "2", status=1).stderr
    assert "these partitions are silent: 0, 2" in told


def test_a_folder_is_still_explained_from_its_files(shop: Deployment, tmp_path: Path) -> None:
    """`--state` goes before the brokers, and not together with `--live`."""
    assert "holds no finished job" in shop.shoal("explain", USER, "--state", tmp_path, status=2).stderr
    assert "--live" in shop.shoal("explain", USER, "--state", tmp_path, "--live", status=2).stderr


def test_status_shows_each_partition_or_that_it_is_silent(shop: Deployment, tmp_path: Path) -> None:
    """Brokers, the newest definitions, the group, and what the partitions say; lag in seconds is the first unread's."""
    file = tmp_path / "one.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    shop.shoal("definitions", "publish", file)
    key = next(f"u-{n}".encode() for n in range(100) if partition_of(f"u-{n}".encode(), PARTITIONS) == 0)
    shop.write(shop.settings.events_topic, [Written(key, b"{}")] * 5)

    def say(command: AnyCommand) -> dict[str, Any] | None:
        return None if isinstance(command, ExplainCommand) else STATUS

    stopped = {"state": "stopped", "instance": "worker-1", "detail": "The state is damaged."}
    replies = {0: say, 1: lambda _: stopped}
    with answering(shop.settings, PARTITIONS, replies, read={0: 2, 1: 0}):
        seen = json.loads(shop.shoal("status", "--wait", "2", "--json").stdout)
        text = shop.shoal("status", "--wait", "2").stdout
    workers = seen["roles"]["worker"]
    first, second, third = workers["partitions"]
    assert [place["answered"] for place in workers["partitions"]] == [True, True, False]
    assert first | {"lag_seconds": 0} == {"partition": 0, "answered": True, **STATUS, "lag_seconds": 0}
    assert 0 < first["lag_seconds"] < 60
    assert second == {"partition": 1, "answered": True, **stopped, "lag_records": 0, "lag_seconds": 0}
    assert third == {"partition": 2, "answered": False, "lag_records": None, "lag_seconds": None}
    reads = {"topic": shop.settings.events_topic, "lag_records": 3, "lag_seconds": first["lag_seconds"]}
    assert workers["reads"] == [reads]
    assert seen["definitions"]["version"] == 1
    assert [member["client"] for member in workers["members"]] == ["worker-1"]
    assert (len(seen["brokers"]), seen["topics"]) == (1, [])
    for part in ("no answer", "nothing yet", "7/3fa93fa9", "cart_reminder", "1,234", "group", "worker-1",
                 "worker 1 on worker-1: stopped, The state is damaged."):  # fmt: skip
        assert part in text
    assert max(map(len, text.partition("role")[2].splitlines())) <= 80


def test_status_of_a_deployment_that_does_not_run_waits_for_nobody(shop: Deployment, prefix: str) -> None:
    """Nobody is in the group, so every partition is silent at once; missing topics are told, and nothing is made."""
    seen = json.loads(shop.shoal("status", "--wait", "60", "--json").stdout)
    assert seen["roles"]["worker"]["members"] == []
    assert [place["answered"] for place in seen["roles"]["worker"]["partitions"]] == [False] * PARTITIONS
    assert seen["definitions"] is None
    nothing = Deployment(shop.settings.model_copy(update={"topic_prefix": f"{prefix}other."}))
    for _ in range(2):
        text = nothing.shoal("status").stdout
        assert "shoal topics create" in text
        assert "none are published" in text
