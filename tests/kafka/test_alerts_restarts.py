"""Alerts that something begins again and again, against the real fault: it fires, what the runbook says is done, and it
is over.
"""

import json

import pytest

from tests.kafka.working import RUNS
from tests.support.kafka.deployment import run
from tests.support.watched_world import World, wait_seconds
from worker.kafka.clients import admin
from worker.operations.groups import described

pytestmark = pytest.mark.faults


def test_a_restart_loop(world: World) -> None:
    """A worker that is killed as soon as it runs: ShoalRestartLoop; left alone it is over."""
    for _ in range(30):
        worker = world.start()
        worker.wait_for(RUNS)
        wait_seconds(1)
        if "ShoalRestartLoop" in world.prometheus.firing():
            break
        worker.kill()
    world.fires("ShoalRestartLoop")
    world.is_over("ShoalRestartLoop")


def test_fencing_to_and_fro(world: World) -> None:
    """Two workers of one name: ShoalFencingPingPong; one is stopped, and it is over."""
    first = world.start("twin")
    first.wait_for(RUNS)
    with world.fed(per_second=100):
        second = world.shop.start_worker("twin")
        world.fires("ShoalFencingPingPong")
        assert second.said("The partition is fenced over and over") or first.said("The partition is fenced")
        assert second.stop() == 0
        world.is_over("ShoalFencingPingPong")


def test_another_deployment_has_the_same_names(world: World) -> None:
    """Its prefix is ours, its group isn't: ShoalFencingPingPong; as the runbook says, its group shows where it runs."""
    ours = world.start()
    ours.wait_for(RUNS)
    group = f"{world.shop.settings.topic_prefix}others"
    with world.fed(per_second=100):
        other = world.shop.start_worker("other", group=group)
        world.fires("ShoalFencingPingPong")
        assert "SHOAL_GROUP" in ours.wait_for("The partition is fenced over and over")["event"]
        known = json.loads(world.shoal("status", "--json"))["roles"]["worker"]["members"]
        assert [member["client"] for member in known] == ["worker"]
        assert members(world)[group] == [("other", "127.0.0.1")]
        assert other.stop() == 0
        world.is_over("ShoalFencingPingPong")


def members(world: World) -> dict[str, list[tuple[str, str]]]:
    """What `kafka-consumer-groups.sh --list` and `--describe --members` show: names and hosts, by group."""

    async def ask() -> dict[str, list[tuple[str, str]]]:
        async with admin(world.shop.settings) as client:
            names = [name for name, _ in await client.list_consumer_groups()]
            return {name: [(found["client"], found["host"]) for found in (await described(client, name))["members"]]
                    for name in names if name.startswith(world.shop.settings.topic_prefix)}  # fmt: skip

    return run(ask())
