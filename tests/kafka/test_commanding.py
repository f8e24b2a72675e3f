"""`shoal campaigns pause|resume`, `shoal tick`: what is written to the workers, and who answers."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka import ConsumerRecord

from schemas.control import Answer, Command
from tests.kafka.commands import DEFINITIONS, Deployment
from tests.support.kafka.broker import Broker
from worker.kafka.following import everything
from worker.kafka.points import answer
from worker.kafka.writing import append
from worker.operations.commanding import Place, ask, explain_command, standings

T = TypeVar("T")


@pytest.fixture
def shop(broker: Broker, prefix: str, tmp_path: Path) -> Deployment:
    """A deployment of the test's own, of three partitions, with definitions in force."""
    made = Deployment.made(broker, prefix, 3)
    file = tmp_path / "one.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    made.shoal("definitions", "publish", file)
    return made


async def answers_of(shop: Deployment, bodies: dict[int, dict[str, int] | None]) -> None:
    """What the workers of these partitions do with the first command: each gives its answer."""
    commands: list[ConsumerRecord] = []
    while not commands:
        commands = await everything(shop.settings, shop.settings.topic("commands"))
    command_id = commands[0].key.decode()
    for partition, body in bodies.items():
        await append(shop.settings, "answers", command_id, answer(command_id, partition, 3, body, 0))


async def asked(
    shop: Deployment, asking: Coroutine[Any, Any, dict[T, Answer | None]], bodies: dict[int, dict[str, int] | None]
) -> dict[T, Answer | None]:
    """The answers to a question, while workers give these."""
    replying = asyncio.create_task(answers_of(shop, bodies))
    found = await asking
    await replying
    return found


def test_pause_resume_and_tick_are_commands_that_the_models_accept(shop: Deployment) -> None:
    """One record each, keyed by an id that no two commands share."""
    for arguments in (["campaigns", "pause", "cart_reminder"], ["campaigns", "resume", "cart_reminder"],
                      ["tick", "2026-01-05T12:00:00+01:00"], ["campaigns", "pause", "cart_reminder"]):  # fmt: skip
        assert shop.shoal(*arguments).stdout.count("\n") == 1
    records = shop.read(shop.settings.topic("commands"))
    commands = [Command.model_validate_json(record.value or b"").root for record in records]
    assert [command.command for command in commands] == ["pause", "resume", "tick", "pause"]
    assert [record.key for record in records] == [command.id.encode() for command in commands]
    assert len({command.id for command in commands}) == 4
    assert commands[2].model_dump()["until"] == "2026-01-05T11:00:00.000Z"
    assert dict(records[0].headers)["ce_type"] == b"shoal.command.requested.v1"


def test_a_campaign_that_is_not_there_is_told_with_the_nearest(shop: Deployment) -> None:
    """Status 2, and nothing is written."""
    told = shop.shoal("campaigns", "pause", "cart_remainder", status=2).stderr
    assert told == "The newest definitions have no campaign cart_remainder: the nearest is cart_reminder."
    assert "they have cart_reminder" in shop.shoal("campaigns", "pause", "xyz", status=2).stderr
    assert "T yesterday is no time" in shop.shoal("tick", "yesterday", status=2).stderr
    assert shop.read(shop.settings.topic("commands")) == []


def test_a_question_is_over_when_every_partition_has_spoken(shop: Deployment) -> None:
    """Three answers, each under its partition; the deadline, an hour, isn't waited for."""
    asking = standings(shop.settings, ["worker"], 3600)
    found = asyncio.run(asked(shop, asking, {2: {"users": 2}, 0: {"users": 0}, 1: {"users": 1}}))
    assert {place: given and given.body for place, given in found.items()} == {
        Place("worker", n): {"users": n} for n in range(3)
    }


def test_whoever_knows_the_user_ends_the_waiting(shop: Deployment) -> None:
    """The partition that has her is enough, though another is silent."""
    found = asyncio.run(
        asked(shop, ask(shop.settings, explain_command("u-7"), 3600), {2: None, 1: {"transitions": 12}})
    )
    known = [given for given in found.values() if given is not None and given.found]
    assert [(given.partition, given.body) for given in known] == [(1, {"transitions": 12})]


def test_who_is_silent_is_told_after_the_deadline(shop: Deployment) -> None:
    """A partition without an answer is there, as None."""
    found = asyncio.run(asked(shop, standings(shop.settings, ["worker", "lift"], 3), {1: {"users": 1}}))
    silent = [Place("worker", 0), Place("worker", 2), Place("lift", 0)]
    assert [place for place, given in found.items() if given is None] == silent
