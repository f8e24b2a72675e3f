"""Alerts about campaigns, against the real fault: it fires, what the runbook says is done, and it is over."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest

from tests.support.kafka.deployment import Event
from tests.support.receiver import OK, Answer, Receiver
from tests.support.shop_under_watch import SECRET
from tests.support.watched_world import CONSENTS, DEFINITIONS, World, event, order, repeated, wait_seconds

pytestmark = pytest.mark.faults
EAGER: dict[str, Any] = {"lift_commit_interval_ms": 200, "lift_publish_interval_ms": 300}


def test_an_audience_leaps_and_a_campaign_goes_off(world: World) -> None:
    """Hundreds buy at once where a few did: ShoalAudienceSizeJump and ShoalTriggerRateUnusual; both end."""
    world.start()
    numbers = iter(range(10**6))

    def buys(_: int) -> Event:
        return order(next(numbers))

    world.shop.feed([event(number, **CONSENTS) for number in range(2_000)])
    with world.fed(buys, per_second=2):
        wait_seconds(150)
        assert world.prometheus.firing() == set()
        world.shop.feed([buys(0) for _ in range(800)])
        world.fires("ShoalAudienceSizeJump")
        world.fires("ShoalTriggerRateUnusual")
        world.is_over("ShoalAudienceSizeJump")
        world.is_over("ShoalTriggerRateUnusual")


def test_an_endpoint_is_down_and_then_refuses(world: World) -> None:
    """503 for long: ShoalSinkBehind, until it answers; 400: ShoalSinkDeadLetters, until it is mended; what it refused
    is then sent again.
    """
    with Receiver(lambda _: Answer(503)) as receiver:
        world.start()
        world.start("sinks", "sinks", webhook_url=receiver.url, webhook_secret=SECRET)
        numbers = iter(range(10**6))

        def buys() -> Event:
            return order(next(numbers))

        world.shop.feed([event(number, **CONSENTS) for number in range(50)])
        world.shop.feed([buys() for _ in range(20)])
        world.fires("ShoalSinkBehind")
        receiver.says = lambda _: OK
        world.is_over("ShoalSinkBehind")
        receiver.says = lambda _: Answer(400)
        world.shop.feed([buys() for _ in range(20)])
        world.fires("ShoalSinkDeadLetters")
        refused = {post.id for post in receiver.posts} - {post.id for post in receiver.taken}
        receiver.says = lambda _: OK
        world.shoal("dead-letters", "redrive", "--sinks")
        world.is_over("ShoalSinkDeadLetters")
        assert refused <= {post.id for post in receiver.taken}


class Sender:
    """Takes triggers and sends the mails, as far as it has a template for the campaign; and writes what it has sent."""

    def __init__(self, world: World, receiver: Receiver) -> None:
        self.templates = {"nudge"}
        self._world, self._receiver = world, receiver
        self._sent: set[str] = set()

    def at_work(self) -> AbstractContextManager[None]:
        """Go on for as long as it lasts."""
        return repeated(self._send)

    def _send(self) -> None:
        triggers = [post.content["data"] for post in self._receiver.taken]
        due = [trigger for trigger in triggers
               if trigger["campaign"] in self.templates and trigger["decision_id"] not in self._sent]  # fmt: skip
        self._sent |= {trigger["decision_id"] for trigger in due}
        self._world.shop.feed([
            event(trigger["user_id"].removeprefix("u-"), event="Email Sent",
                  properties={"decision_id": trigger["decision_id"]})
            for trigger in due
        ])  # fmt: skip


def test_a_sender_lacks_a_template(world: World) -> None:
    """What one campaign fires is delivered to it and never sent: ShoalFiredNotSent; it has the template, and sends."""
    reminded = {"id": "remind", "trigger": {"entered": "waiting"}, "channel": "email"}
    world.shop.publish({**DEFINITIONS, "version": 2, "campaigns": [*DEFINITIONS["campaigns"], reminded]})
    world.start()
    world.start("lift", "lift", **EAGER)
    numbers = iter(range(10**6))

    def comes(_: int) -> Event:
        number, step = divmod(next(numbers), 4)
        made = (event(f"waits-{number}", **CONSENTS), event(f"waits-{number}"),
                event(f"buys-{number}", **CONSENTS), order(f"buys-{number}"))  # fmt: skip
        return made[step]

    with Receiver() as receiver:
        world.start("sinks", "sinks", webhook_url=receiver.url, webhook_secret=SECRET)
        sender = Sender(world, receiver)
        with sender.at_work(), world.fed(comes, per_second=12):
            world.fires("ShoalFiredNotSent", campaign="remind")
            assert not world.firing("ShoalFiredNotSent", campaign="nudge")
            world.shows('sum(shoal_sink_deliveries_total{result="delivered"}) > 20')
            world.shows("max(shoal_sink_lag_seconds) < 10")
            sender.templates.add("remind")
            world.is_over("ShoalFiredNotSent")


def test_a_campaign_is_changed_that_has_had_its_effect(world: World) -> None:
    """Whom the first version won doesn't come to the second, but those held out do: ShoalSampleRatioMismatch.

    With another id the campaign draws anew, and is compared among those who are left.
    """
    world.start()
    world.start("lift", "lift", **EAGER)
    world.shop.publish(of_newcomers(2, "welcome", "w-1"))
    users = range(400)
    world.shop.feed([event(number, **CONSENTS) for number in users])
    come(world, users, "welcome")
    world.shows('shoal_campaign_sample_ratio_mismatch{campaign="welcome"} == 0')
    written_to = [msgspec.json.decode(record.value)["user_id"] for record in world.shop.read("campaign-triggers")]
    world.shop.feed([order(user.removeprefix("u-")) for user in written_to[: len(written_to) * 7 // 10]])
    world.shop.publish(of_newcomers(3, "welcome", "w-2"))
    come(world, users, "welcome")
    world.fires("ShoalSampleRatioMismatch", campaign="welcome")
    assert "not in the arms by the planned shares" in world.shoal("lift", "report")
    world.shop.publish(of_newcomers(4, "welcome_again", "w-2"))
    come(world, users, "welcome_again")
    world.shows('shoal_campaign_sample_ratio_mismatch{campaign="welcome_again"} == 0')
    world.is_over("ShoalSampleRatioMismatch")


def of_newcomers(version: int, campaign: str, template: str) -> dict[str, Any]:
    """Definitions with a campaign for who has a cart and hasn't bought yet, half of whom are held out."""
    return {
        "version": version,
        "segments": [{"id": "new", "enter": "cart_items > 0 and orders_total == 0"}],
        "campaigns": [{
            "id": campaign, "trigger": {"entered": "new"}, "channel": "email", "send": {"template": template},
            "holdout": 0.5, "conversion": {"event": "order", "within": "1h"},
        }],
    }  # fmt: skip


def come(world: World, users: Iterable[int], campaign: str) -> None:
    """Let users come with a cart once the newest definitions are in force, and leave it again; wait for lift."""
    world.shop.wait_until_read()
    version = max(msgspec.json.decode(record.value)["version"] for record in world.shop.read("definitions"))
    world.shows(f"min(shoal_definitions_version) == {version}")
    world.shop.feed([event(number) for number in users])
    world.shop.feed([event(number, event="Product Removed") for number in users])
    world.shop.wait_until_read()
    world.shows("max(shoal_lift_lag_records) == 0")
    world.shows(f'shoal_campaign_users{{campaign="{campaign}"}}')
