"""What only one defence stands against: each test brings about the one thing that it is there for.

With `SHOAL_TEST_WITHOUT` set to the defence's name the test fails; `docs/reliability.md` says what was seen then.
"""

import time
from typing import Any

import msgspec

from tests.kafka.working import AGAIN, RUNS, definitions, wait_until
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import Deployment, Event, events

PATIENT: dict[str, Any] = {"commit_deadline_ms": 60_000, "request_timeout_ms": 70_000, "transaction_timeout_ms": 80_000}
CART_SECONDS = 15
CARTS = {
    "version": 1,
    "segments": [
        {"id": "cart_abandoner", "enter": f"cart_items > 0 and time_since_cart_add >= {CART_SECONDS}s"},
        {"id": "buyer", "enter": "orders_total > 0"},
    ],
    "campaigns": [{"id": "reminder", "trigger": {"entered": "cart_abandoner"}}],
}


def test_what_a_zombie_commits_before_it_is_fenced_is_restored(broker: Broker, prefix: str) -> None:
    """Its successor is about to fence it; it wakes, and commits what it had read: that is part of the state.

    Without `fence_first` the state is read before that commit.
    """
    with Deployment(broker, prefix, partitions=1, definitions=definitions(51), **PATIENT) as deployment:
        deployment.feed(events(51, 2000))
        zombie = deployment.start_worker("zombie", fault="B1:4:stop,B8:4:stop")
        zombie.wait_until_fired()
        successor = deployment.start_worker("successor", without=["hold_fence"])
        successor.wait_until_fired()
        zombie.thaw()
        assert zombie.wait_until_fired(count=2)["step"] == "B8"
        successor.release()
        successor.wait_for(RUNS)
        deployment.wait_until_read()
        zombie.kill()
        assert successor.stop() == 0
        check(deployment)


def test_a_partition_that_is_revoked_in_a_transaction_commits_nothing(broker: Broker, prefix: str) -> None:
    """A transaction outlasts the rebalance that gives its partition away: it ends by itself, before anyone fences it.

    Without `ownership` it commits. Fencing keeps that from doing harm, so what fails is the cause that is told.
    """
    with Deployment(broker, prefix, partitions=2, definitions=definitions(52), **PATIENT) as deployment:
        deployment.feed(events(52, 2000))
        slow = deployment.start_worker("slow", without=["hold_sends", "wait_at_revocation"])
        slow.wait_until_fired(count=2)
        quick = deployment.start_worker("quick", without=["hold_fence"])
        moved = quick.wait_until_fired()["partition"]
        slow.release()
        wait_until(lambda: slow.said(AGAIN) != [] or moved in deployment.committed(), "the transaction doesn't end")
        assert [line["cause"] for line in slow.said(AGAIN)] == ["revoked"]
        quick.release()
        deployment.wait_until_read()
        assert [slow.stop(), quick.stop()] == [0, 0]
        check(deployment)


def of_now(name: str, user: str, **properties: Any) -> Event:
    """An event that happens just now."""
    event = {"type": "track", "event": name, "userId": user, "timestamp": time.time_ns() // 1_000_000,
             "properties": properties}  # fmt: skip
    return user.encode(), msgspec.json.encode(event)


def test_nobody_whose_order_waits_is_reminded_of_a_cart(broker: Broker, prefix: str) -> None:
    """The worker is down while half the shoppers buy what is in their carts, and back when the others are due.

    Without `live_clock` time follows the wall although the orders are yet to be read.
    """
    buyers, leavers = ([f"{kind}-{number}" for number in range(30)] for kind in ("buyer", "leaver"))
    with Deployment(broker, prefix, definitions=CARTS, clock="wall", grace_ms=100) as deployment:
        worker = deployment.start_worker()
        worker.wait_for(RUNS, count=2)
        deployment.feed([of_now("Product Added", user, product_id="p-1", price=5) for user in (*buyers, *leavers)])
        deployment.wait_until_read()
        worker.kill()
        deployment.feed([of_now("Order Completed", user, total=5) for user in buyers])
        last = max(record.timestamp for record in deployment.read("events"))
        worker = deployment.start_worker("back", without=["hold_fetch"])
        worker.wait_for(RUNS, count=2)
        wait_until(lambda: time.time() * 1000 > last + 1000 * (CART_SECONDS + 3), "time stands still")
        worker.release()
        deployment.wait_until_read()
        wait_until(lambda: len(moves(deployment, "cart_abandoner")) >= len(leavers), "the others aren't reminded")
        assert sorted(moves(deployment, "cart_abandoner")) == sorted(leavers)
        assert sorted(moves(deployment, "buyer")) == sorted(buyers)
        assert worker.stop() == 0
        check(deployment)


def moves(deployment: Deployment, segment: str) -> list[str]:
    """Who has entered a segment, once for each time."""
    found = [msgspec.json.decode(record.value) for record in deployment.read("segment-changes")]
    return [move["user_id"] for move in found if (move["segment"], move["direction"]) == (segment, "entered")]
