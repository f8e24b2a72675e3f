"""`shoal verify`: the live state is what a naive recomputation of the log comes to, and where it isn't it says so."""

import json
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.models import Snapshot
from tests.kafka.secured import shoal
from tests.support import random_definitions
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, events, run
from tests.support.kafka.tampering import move_entry
from worker.files.configuration import checked
from worker.kafka.writing import append
from worker.operations import publishing, verifying
from worker.operations.commanding import tick
from worker.operations.verifying import Verdict, verify

EVERYBODY = 1_000
RECORDS = 800


@pytest.fixture(scope="module")
def shop(broker: Broker) -> Iterator[Deployment]:
    """A deployment that has read all there is, under two versions of random definitions and a model, and has ended."""
    rng = random.Random(5)
    first = {**random_definitions.definitions(rng), "retention": {"users_max": EVERYBODY}}
    first["segments"] += [{"id": "ways", "clusters": True}]
    model = Snapshot.model_validate(random_definitions.snapshot(rng))
    log = events(7, RECORDS)
    with Deployment(broker, f"t{secrets.token_hex(3)}.", definitions=first) as made:
        made.feed(log[: RECORDS // 2])
        worker = made.start_worker()
        made.wait_until_read()
        run(append(made.settings, "models", "1", model))
        worker.wait_for("A version takes effect.", made.partitions)
        made.publish(random_definitions.changed(rng, first))
        made.feed(log[RECORDS // 2 :])
        made.wait_until_read()
        assert worker.stop() == 0
        yield made


def verified(shop: Deployment, users: int = EVERYBODY) -> Verdict:
    """What a verification of a deployment finds."""
    return run(verify(shop.settings, users))


def test_everybody_is_the_same(shop: Deployment) -> None:
    """Over two versions, with all sorts of events, late and malformed ones too."""
    verdict = verified(shop)
    assert verdict.found == []
    assert verdict.same == verdict.users > 40
    assert (verdict.partitions, verdict.records, verdict.not_judged.total()) == (2, RECORDS, 0)


def test_a_sample_is_the_same_every_time_and_a_part_of_a_larger_one(shop: Deployment, monkeypatch: Any) -> None:
    """It is drawn by a hash of the id, as many from each partition."""
    drawn: list[set[str]] = []
    compared = verifying._compared

    def noted(live: Any, *others: Any) -> Verdict:
        drawn[-1] |= live.chosen
        return compared(live, *others)

    monkeypatch.setattr(verifying, "_compared", noted)
    for users in (10, 10, 20):
        drawn.append(set())
        assert verified(shop, users).users == users
    assert drawn[0] == drawn[1] < drawn[2]


def test_the_command_says_what_was_found(shop: Deployment, tmp_path: Path) -> None:
    """An object with --json, metrics in a file, nothing about who differs where nobody does."""
    given = {key: str(shop.given[key]) for key in ("bootstrap_servers", "topic_prefix")}
    out, metrics = tmp_path / "out.jsonl", tmp_path / "shoal.prom"
    done = shoal(given, "verify", "--json", "--users", "20", "--out", out, "--metrics", metrics)
    told = json.loads(done.stdout)
    assert (told["users"], told["same"], told["different"]) == (20, 20, 0)
    assert not out.exists()
    assert 'shoal_verify_users{result="same"} 20.0' in metrics.read_text()


def test_a_log_that_has_lost_its_beginning_judges_those_who_came_since(broker: Broker, prefix: str) -> None:
    """Retention took what old users had done: they aren't judged, new ones are, and are the same."""
    made = [visit(f"old-{user}", 60 * user) for user in range(60)]
    late = [visit(f"new-{user}", 7200 + 60 * user) for user in range(200)]
    back = [visit(f"old-{user}", 90_000 + user) for user in random.Random(1).sample(range(60), 60)]
    with Deployment(broker, prefix, partitions=1, definitions=VISITS) as shop:
        shop.feed([*made, *back[:30], *late, *back[30:]])
        worker = shop.start_worker()
        shop.wait_until_read()
        assert worker.stop() == 0
        meddling.delete_records(shop, "events", {0: len(made)})
        verdict = verified(shop)
        assert verdict.found == []
        assert 60 <= verdict.not_judged["before_the_log"] <= 60 + verifying.CHANCE_MARGIN
        assert verdict.same == 260 - verdict.not_judged["before_the_log"]


VISITS = {
    "version": 1,
    "segments": [
        {"id": "visitor", "enter": "views_24h >= 1"},
        {"id": "quiet", "enter": "time_since_view >= 30m"},
    ],
}


def visit(user: str, second: int) -> tuple[bytes, bytes]:
    """A look at a product, so many seconds into a day."""
    event = {"type": "track", "event": "Product Viewed", "userId": user, "timestamp": 1_767_225_600_000 + second * 1000}
    return user.encode(), json.dumps(event).encode()


@pytest.fixture
def small(broker: Broker, prefix: str) -> Iterator[Deployment]:
    """A deployment of a few visitors, whose worker has ended."""
    with Deployment(broker, prefix, partitions=1, definitions=VISITS) as made:
        made.feed([visit(f"u-{user}", 600 * user) for user in range(30)])
        worker = made.start_worker()
        made.wait_until_read()
        assert worker.stop() == 0
        yield made


def test_a_row_that_was_tampered_with_is_found(small: Deployment, tmp_path: Path) -> None:
    """Somebody moves the time at which a user entered: she alone differs, and the file says in what; exit status 1."""
    move_entry(small, "u-7", "visitor")
    given = {key: str(small.given[key]) for key in ("bootstrap_servers", "topic_prefix")}
    out = tmp_path / "out.jsonl"
    done = shoal(given, "verify", "--out", out, status=1)
    assert "29 are the same, 1 differ" in done.stdout
    assert "u-7" not in done.stdout
    (line,) = map(json.loads, out.read_text().splitlines())
    assert line["user_id"] == "u-7"
    assert {found["what"] for found in line["differences"]} >= {"segments"}
    assert out.stat().st_mode & 0o077 == 0


def test_a_lost_user_and_a_forged_membership_are_found(small: Deployment) -> None:
    """A consumer was told something that the state doesn't say; and somebody is in the log whom the state has not."""
    told = next(record for record in small.read("memberships") if record.key == b"u-3")
    forged = json.loads(told.value) | {"segments": []}
    latest = [json.loads(record.value) for record in small.read("memberships") if record.key == b"u-3"][-1]
    meddling.write(small, "memberships", 0, [(b"u-3", json.dumps(forged | {"seq": latest["seq"]}).encode())])
    found = verified(small).found
    assert [line["user_id"] for line in found] == ["u-3"]
    assert found[0]["differences"][0]["what"] == "memberships segments"


def test_a_live_deployment_is_verified_while_it_runs(broker: Broker, prefix: str) -> None:
    """On the wall's clock, over a tick, with events in the words of another vendor, too."""
    rng = random.Random(9)
    with Deployment(broker, prefix, definitions=random_definitions.definitions(rng, model=False), clock="wall") as live:
        live.start_worker()
        live.feed(events(3, 400))
        run(tick(live.settings, time.time_ns() // 1_000_000 + 5_000))
        live.feed([*events(4, 400), *[in_googles_words(f"u-ga-{number}") for number in range(4)]])
        live.wait_until_read()
        verdict = verified(live)
        assert verdict.found == []
        assert verdict.same > 44
        assert verdict.not_judged.total() == 0


def in_googles_words(user: str) -> tuple[bytes, bytes]:
    """A view of a product, in the words of Google Analytics."""
    return user.encode(), json.dumps({"type": "track", "event": "view_item", "userId": user}).encode()


def visitor_in_own_words(user: str, at_ms: int) -> tuple[bytes, bytes]:
    """A look at a product, in an envelope and words that only a mapping of one's own understands."""
    return user.encode(), json.dumps({"was": "angesehen", "wer": {"id": user}, "wann": at_ms}).encode()


def test_a_mapping_of_ones_own_is_verified(broker: Broker, prefix: str) -> None:
    """Live and recomputed, events are read by the mapping that was published; of others nobody comes in."""
    own = """
envelopes:
  - {name: ours, detect: [was], constants: {type: track}, fields: {event: was, userId: wer.id, timestamp: wann}}
rules: [{match: {event: angesehen}, kind: view}]
"""
    at_ms = time.time_ns() // 1_000_000
    theirs = {"type": "track", "event": "Product Viewed", "timestamp": at_ms, "userId": "u-other"}
    with Deployment(broker, prefix, partitions=1, clock="wall") as shop:
        run(publishing.publish(shop.settings, checked(random_definitions.text_of(VISITS), own)))
        shop.feed([(b"u-other", json.dumps(theirs).encode())])
        shop.feed([visitor_in_own_words(f"u-{number}", at_ms) for number in range(10)])
        worker = shop.start_worker()
        shop.wait_until_read()
        assert worker.stop() == 0
        engine = shop.state(0).finish()
        assert engine is not None
        assert dict(engine[0].members()) == {"visitor": 10, "quiet": 1}
        verdict = verified(shop)
        assert (verdict.found, verdict.same, verdict.not_judged.total()) == ([], 11, 0)
