"""`shoal sinks` on a real broker with real receivers: signed, in order, at least once, never too late.

Triggers and segment changes are written as a worker writes them; the receivers are servers of the tests' own.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from schemas.control import EraseCommand
from schemas.examples import EXAMPLES
from schemas.outputs import AudienceEvent, SinkDeadLetter
from tests.kafka.commands import Deployment as Commands
from tests.kafka.learning import feed
from tests.kafka.working import got, metric, wait_until
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.worker_process import Process
from tests.support.receiver import CLOSES, HANGS, OK, Answer, Post, Receiver
from worker.core.effects import iso, short_hash
from worker.kafka.steps import Step
from worker.kafka.writing import Written, append, now
from worker.operations.standing import roles
from worker.sinks.lane import WINDOW_RECORDS

SECRET, OLD_SECRET = ("whsec_" + letter * 43 + "=" for letter in "AE")
SIGKILL = -9
FORGOTTEN_SECONDS = 75.0  # beyond the minute that is the least brokers can be told
SECONDS_MAX = 60.0
DELIVERS = "The partition is delivered."
HASTY = {"sinks_pause_ms": 20, "sinks_pause_max_ms": 200, "sinks_timeout_ms": 700}
EXPIRED, MALFORMED = "u-expired", "u-malformed"


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Iterator[Deployment]:
    """Topics, and nobody who works."""
    with Deployment(broker, prefix) as deployment:
        yield deployment


def trigger(user: str, number: int, expires_in_ms: int = 3_600_000) -> Written:
    """A trigger, the user's `number`th."""
    record = EXAMPLES["CampaignTrigger"] | {
        "user_id": user, "decision_id": short_hash(user, number), "campaign": f"campaign-{number}",
        "expires_at": iso(time.time_ns() // 1_000_000 + expires_in_ms),
    }  # fmt: skip
    return Written(user.encode(), json.dumps(record).encode())


def change(user: str, number: int) -> Written:
    """A segment change, the user's `number`th."""
    direction = "entered" if number % 2 else "exited"
    record = EXAMPLES["SegmentChange"] | {
        "id": short_hash(user, number), "user_id": user, "seq": number, "direction": direction,
    }  # fmt: skip
    return Written(user.encode(), json.dumps(record).encode())


def start(shop: Deployment, fault: str | None = None, *, without: Iterable[str] = (), **settings: Any) -> Process:
    """Start a process of sinks in a hurry."""
    return shop.start_worker("sinks", fault, without=without, role="sinks", **{**HASTY, **settings})


def to(receiver: Receiver, **settings: Any) -> dict[str, Any]:
    """The settings of a webhook."""
    return {"webhook_url": receiver.url, "webhook_secret": f"{SECRET} {OLD_SECRET}", **settings}


def letters(shop: Deployment) -> list[SinkDeadLetter]:
    """What could not be delivered."""
    return [SinkDeadLetter.model_validate_json(record.value) for record in shop.read("sink-dead-letters")]


def outcomes(process: Process, sink: str) -> dict[str, float]:
    """How many records a process counts, by what became of them."""
    shown = metric(got(process.http_port, "/metrics")[1], "shoal_sink_deliveries_total")
    found = {label(labels, "result"): count for labels, count in shown.items() if label(labels, "sink") == sink}
    return {result: count for result, count in found.items() if count > 0}


def label(labels: str, name: str) -> str:
    """The value of a label, of the labels as they are written."""
    (value,) = re.findall(rf'{name}="(.*?)"', labels)
    return str(value)


def bodies(posts: Iterable[Post]) -> list[dict[str, Any]]:
    """The triggers in webhooks."""
    return [post.content["data"] for post in posts]


def firsts(posts: Iterable[Post]) -> list[Post]:
    """Of each id the first."""
    seen: dict[str, Post] = {}
    for post in posts:
        seen.setdefault(post.id, post)
    return list(seen.values())


def in_order(shown: Iterable[dict[str, Any]]) -> bool:
    """Whether each user's triggers are in their order."""
    last: Counter[str] = Counter()
    for record in shown:
        number = int(record["campaign"].removeprefix("campaign-"))
        if number < last[record["user_id"]]:
            return False
        last[record["user_id"]] = number
    return True


def moody(post: Post) -> Answer:
    """A receiver as they are: what happens to a user's first trigger depends on the user."""
    record = post.content["data"]
    if record["campaign"] != "campaign-1":
        return OK
    first = post.number == 1
    match record["user_id"]:
        case "u-0":
            return Answer(500) if post.number < 3 else OK
        case "u-1":
            return Answer(429, {"Retry-After": "1"}) if first else OK
        case "u-2":
            return HANGS if first else OK
        case "u-3":
            return CLOSES if first else OK
        case "u-4":
            return Answer(400)
        case "u-5":
            return Answer(302, {"Location": "http://127.0.0.1:1/elsewhere"})
        case "u-6":
            return Answer(500)  # and never anything else
    return OK


def test_every_trigger_arrives_signed_and_in_its_users_order(shop: Deployment) -> None:
    """Whatever the receiver does: repeated where that helps, a dead letter where it doesn't, dropped when too late."""
    made = [trigger(f"u-{user}", number) for number in range(1, 6) for user in range(12)]
    feed(shop, [*made, trigger(EXPIRED, 1, -1), Written(MALFORMED.encode(), b"{}")], "campaign-triggers")
    with Receiver(moody) as receiver:
        process = start(shop, **to(receiver))
        wait_until(lambda: outcomes(process, "webhook").get("delivered") == 57, "not everything is delivered")
        wait_until(lambda: sum(outcomes(process, "webhook").values()) >= 62, "not everything has an outcome")
        shown = outcomes(process, "webhook")
        assert (shown["delivered"], shown["expired"], shown["dead_letter"]) == (57, 1, 4)
        assert shown["again"] >= 2 + 1 + 1 + 1 + 9
        assert process.stop() == 0
        assert in_order(bodies(firsts(receiver.taken)))
        assert len({post.id for post in receiver.taken}) == 57
        assert all(post.path == "/hook" for post in receiver.posts)
        for post in receiver.posts:
            for secret in (SECRET, OLD_SECRET):
                assert Webhook(secret).verify(post.body, dict(post.headers)) == post.content
            assert post.id == post.content["data"]["decision_id"] == post.headers["idempotency-key"]
    assert all("u-" not in line and "whsec" not in line for line in process.text.splitlines())
    found = {letter.record_id: (letter.reason, letter.status) for letter in letters(shop)}
    assert {found[short_hash(user, 1)] for user in ("u-4", "u-5", "u-6")} == {
        ("refused", 400), ("refused", 302), ("exhausted", 500),
    }  # fmt: skip
    assert sorted(reason for reason, _ in found.values()) == ["exhausted", "malformed", "refused", "refused"]


def test_the_receiver_is_left_alone_as_long_as_it_asks(shop: Deployment) -> None:
    """After a 429 with Retry-After nothing comes before it is over, for no user."""
    with Receiver(lambda _: Answer(429, {"Retry-After": "1"}) if len(receiver.posts) == 1 else OK) as receiver:
        process = start(shop, **to(receiver, sinks_in_flight_max=1))
        feed(shop, [trigger(f"u-{user}", 1) for user in range(20)], "campaign-triggers")
        wait_until(lambda: len({post.id for post in receiver.taken}) == 20, "not everything is delivered")
        assert receiver.posts[1].at - receiver.posts[0].at >= 1
        assert process.stop() == 0


@pytest.mark.parametrize("step", [Step.ACKNOWLEDGED, Step.OURS, Step.COMMITTED])
def test_killed_anywhere_it_delivers_at_least_once_under_the_same_id(shop: Deployment, step: Step) -> None:
    """And dead letters and audience events, which are Kafka's business alone, exactly once."""
    made = [trigger(f"u-{user}", number) for number in range(1, 5) for user in range(10)]
    feed(shop, made, "campaign-triggers")
    feed(shop, [change(f"u-{user}", number) for number in range(1, 5) for user in range(10)], "segment-changes")
    with Receiver(lambda post: Answer(410) if post.content["data"]["user_id"] == "u-3" else OK) as receiver:
        settings = to(receiver, audiences_topic=True)
        killed = start(shop, f"{step}:2:kill", **settings)
        assert killed.wait_until_ended() == SIGKILL
        process = start(shop, **settings)
        process.wait_for(DELIVERS, 2)
        wait_until(lambda: len({post.id for post in receiver.taken}) == 36, "something isn't delivered")
        wait_until(lambda: len(shop.read("sink-dead-letters")) == 4, "the dead letters aren't there")
        wait_until(lambda: len(shop.read("audience-events")) == 40, "the audience events aren't there")
        assert process.stop() == 0
        assert in_order(bodies(firsts(receiver.taken)))
    assert len({letter.record_id for letter in letters(shop)}) == len(letters(shop)) == 4
    named = [json.loads(record.value)["messageId"] for record in shop.read("audience-events")]
    assert len(set(named)) == len(named) == 40


def test_killed_while_the_receiver_thinks_it_asks_again(shop: Deployment) -> None:
    """The receiver has the request, the answer never came, and other things were committed: it is repeated."""
    feed(shop, [trigger("u-1", 1)], "campaign-triggers")
    with Receiver(lambda _: HANGS) as receiver:
        process = start(shop, **to(receiver, sinks_timeout_ms=60_000, audiences_topic=True))
        wait_until(lambda: len(receiver.posts) == 1, "nothing comes")
        feed(shop, [change("u-1", 1)], "segment-changes")
        wait_until(lambda: len(shop.read("audience-events")) == 1, "nothing is committed meanwhile")
        process.kill()
        receiver.says = lambda _: OK
        process = start(shop, **to(receiver))
        wait_until(lambda: len(receiver.taken) == 1, "it isn't repeated")
        assert process.stop() == 0
        first, second = receiver.posts
        assert (first.id, first.body) == (second.id, second.body)


def test_an_endpoint_that_is_down_loses_nothing_and_no_memory(shop: Deployment) -> None:
    """While nothing gets through only so much is read ahead, the process isn't ended for it, and all comes later."""
    made = [trigger(f"u-{number}", 1) for number in range(3 * WINDOW_RECORDS)]
    feed(shop, made, "campaign-triggers")
    with Receiver(lambda _: Answer(503)) as receiver:
        process = start(shop, **to(receiver, stuck_after_ms=1_000))
        wait_until(lambda: len({post.id for post in receiver.posts}) >= WINDOW_RECORDS, "it tries nothing")
        wait_until(lambda: max(post.number for post in list(receiver.posts)[-100:]) >= 3, "it doesn't repeat")
        assert len({post.id for post in receiver.posts}) <= 2 * WINDOW_RECORDS
        assert letters(shop) == []
        lag = metric(got(process.http_port, "/metrics")[1], "shoal_sink_lag_seconds")
        assert lag['sink="webhook"'] > 0
        told = run(roles(shop.settings, set(), SECONDS_MAX))["sinks"]
        assert told["lag_seconds"] > 0
        assert {part["instance"] for part in told["partitions"]} == {"sinks"}
        assert {part["detail"] for part in told["partitions"]} == {"webhook: answers 503"}
        receiver.says = lambda _: OK
        wait_until(lambda: len({post.id for post in receiver.taken}) == len(made), "something is lost")
        wait_until(lambda: run(roles(shop.settings, set(), 1))["sinks"]["lag_records"] == 0, "it is still behind")
        well = run(roles(shop.settings, set(), SECONDS_MAX))["sinks"]
        assert [(part["state"], part["detail"]) for part in well["partitions"]] == [("running", "")] * shop.partitions
        assert [reads["topic"] for reads in well["reads"]] == [shop.settings.topic("campaign-triggers")]
        assert got(process.http_port, "/ready")[0] == 200
        assert process.stop() == 0


def test_what_was_refused_is_delivered_again_when_somebody_asks(shop: Deployment) -> None:
    """Once, under its old id, by whoever has the partition; what has expired, or is of an erased user, is left out."""
    feed(shop, [*[trigger(f"u-{user}", 1) for user in range(6)], trigger("u-gone", 1)], "campaign-triggers")
    feed(shop, [change("u-1", 1)], "segment-changes")
    command = Commands(shop.settings)
    with Receiver(lambda _: Answer(401)) as receiver:
        process = start(shop, **to(receiver, audiences_topic=True))
        wait_until(lambda: len(letters(shop)) == 7, "nothing is refused")
        stale = trigger("u-stale", 1, 5_000)
        feed(shop, [stale], "campaign-triggers")
        wait_until(lambda: len(letters(shop)) == 8, "the one that will expire isn't refused")
        listed = json.loads(command.shoal("dead-letters", "list", "--sinks", "--json").stdout)
        assert listed["reasons"] == {"refused": 8}
        assert "webhook refused, status 401 after 1 attempts" in command.shoal("dead-letters", "list", "--sinks").stdout
        run(erase(shop, "u-gone"))
        wait_until(lambda: time.time() > expiry(stale), "it doesn't expire")
        receiver.says = lambda post: Answer(403) if post.content["data"]["user_id"] == "u-0" else OK
        tried = len(receiver.posts)
        told = command.shoal("dead-letters", "redrive", "--sinks", "--reason", "refused").stdout
        assert told.startswith("The sinks are asked for 8 records.")
        wait_until(lambda: len(letters(shop)) == 9, "it isn't refused again")
        wait_until(lambda: outcomes(process, "webhook").get("expired") == 1, "the late one isn't counted")
        wait_until(lambda: len(receiver.taken) == 5, "not everything comes again")
        assert {post.id for post in receiver.taken} == {short_hash(f"u-{user}", 1) for user in range(1, 6)}
        assert len(receiver.posts) == tried + 6
        settled = {"dead_letter": 9, "delivered": 5, "expired": 1, "erased": 1}
        wait_until(lambda: outcomes(process, "webhook") == settled, "not everything is counted")
        since = told.partition("from now on: ")[2].split()
        receiver.says = lambda _: OK
        command.shoal("dead-letters", "redrive", "--sinks", *since)
        wait_until(lambda: len(receiver.taken) == 6, "the new letter isn't taken up")
        assert process.stop() == 0
        start(shop, **to(receiver)).wait_for(DELIVERS, shop.partitions)
        feed(shop, [trigger("u-last", 1)], "campaign-triggers")
        wait_until(lambda: len(receiver.taken) == 7, "it doesn't go on")
        assert len(receiver.posts) == tried + 8
    assert len(shop.read("audience-events")) == 1


def expiry(record: Written) -> float:
    """When a trigger expires, in seconds since 1970."""
    return datetime.fromisoformat(json.loads(record.value or b"")["expires_at"]).timestamp()


@pytest.mark.parametrize("step", [Step.ACKNOWLEDGED, Step.COMMITTED])
def test_killed_over_what_it_delivers_again_it_loses_and_forgets_nothing(shop: Deployment, step: Step) -> None:
    """Each comes at least once more, and what is refused again has one letter more, never two."""
    feed(shop, [trigger(f"u-{user}", 1) for user in range(8)], "campaign-triggers")
    with Receiver(lambda _: Answer(401)) as receiver:
        process = start(shop, **to(receiver))
        wait_until(lambda: len(letters(shop)) == 8, "nothing is refused")
        assert process.stop() == 0
        receiver.says = lambda post: Answer(403) if post.content["data"]["user_id"] == "u-0" else OK
        killed = start(shop, f"{step}:1:kill", **to(receiver))
        killed.wait_for(DELIVERS, shop.partitions)
        Commands(shop.settings).shoal("dead-letters", "redrive", "--sinks")
        assert killed.wait_until_ended() == SIGKILL
        process = start(shop, **to(receiver))
        wait_until(lambda: len({post.id for post in receiver.taken}) == 7, "something isn't delivered again")
        wait_until(lambda: len(letters(shop)) == 9, "what is refused again has no letter")
        assert process.stop() == 0
    assert Counter(letter.record_id for letter in letters(shop))[short_hash("u-0", 1)] == 2


def test_a_sink_that_waits_has_no_other_do_it_again(shop: Deployment) -> None:
    """Asked together, killed while one endpoint hangs: what the other sink has done is committed, and not repeated."""
    feed(shop, [trigger("u-1", 1)], "campaign-triggers")
    feed(shop, [Written(b"u-1", b"{}")], "segment-changes")
    with Receiver(lambda _: Answer(401)) as receiver:
        process = start(shop, **to(receiver, audiences_topic=True))
        wait_until(lambda: len(letters(shop)) == 2, "nothing is refused")
        receiver.says = lambda _: HANGS
        Commands(shop.settings).shoal("dead-letters", "redrive", "--sinks")
        wait_until(lambda: len(letters(shop)) == 3, "what is malformed isn't so again")
        process.kill()
        receiver.says = lambda _: OK
        process = start(shop, **to(receiver, audiences_topic=True))
        wait_until(lambda: outcomes(process, "webhook").get("delivered") == 1, "it isn't delivered")
        assert process.stop() == 0
    assert [letter.sink for letter in letters(shop)].count("audiences") == 2


def test_what_retention_took_cannot_be_delivered_again(shop: Deployment) -> None:
    """It is told by its place, with status 1; nobody is asked for it."""
    feed(shop, [trigger("u-1", 1)], "campaign-triggers")
    with Receiver(lambda _: Answer(401)) as receiver:
        process = start(shop, **to(receiver))
        wait_until(lambda: len(letters(shop)) == 1, "nothing is refused")
        assert process.stop() == 0
    place = letters(shop)[0].partition
    meddling.delete_records(shop, "campaign-triggers", {place: 1})
    done = Commands(shop.settings).shoal("dead-letters", "redrive", "--sinks", status=1)
    assert f"campaign-triggers {place}:0 is lost: it is gone" in done.stdout
    assert done.stderr.startswith("1 records are lost")
    assert shop.read("commands") == []


def batches(receiver: Receiver) -> list[list[dict[str, Any]]]:
    """The events that were taken, by request."""
    return [post.content["batch"] for post in receiver.taken]


def picky(post: Post) -> Answer:
    """A Segment-compatible endpoint that doesn't take events of one user."""
    return Answer(400) if any(event.get("userId") == "u-3" for event in post.content["batch"]) else OK


def test_audience_events_reach_a_segment_endpoint_in_batches(shop: Deployment) -> None:
    """With the write key, in each user's order; a batch that is refused goes in pieces, down to the event at fault."""
    users = [*(f"u-{number}" for number in range(9)), "anon:a-7"]
    feed(shop, [change(user, number) for number in range(1, 31) for user in users], "segment-changes")
    with Receiver(picky) as receiver:
        process = start(shop, audiences_url=receiver.url, audiences_write_key="the-key")
        wait_until(lambda: outcomes(process, "audiences").get("delivered") == 270, "not everything is delivered")
        wait_until(lambda: outcomes(process, "audiences").get("dead_letter") == 30, "the refused ones aren't counted")
        assert process.stop() == 0
        assert {post.headers["authorization"] for post in receiver.posts} == {"Basic dGhlLWtleTo="}
        assert max(map(len, batches(receiver))) == 100
        events = [event for batch in batches(receiver) for event in batch]
    for event in events:
        AudienceEvent.model_validate(event)
    for user in ("u-1", "u-8"):
        named = [event["messageId"] for event in events if event.get("userId") == user]
        assert named == [short_hash(user, number) for number in range(1, 31)]
    anonymous = [event for event in events if event.get("anonymousId") == "a-7"]
    assert [event["event"] for event in anonymous[:2]] == ["Audience Entered", "Audience Exited"]
    assert anonymous[0]["properties"] == {"value_tier:high": True, "audience_key": "value_tier:high"}
    assert {letter.record_id for letter in letters(shop)} == {short_hash("u-3", number) for number in range(1, 31)}
    assert "the-key" not in process.text


def test_nothing_is_delivered_about_a_user_who_was_erased_since(shop: Deployment) -> None:
    """What was written about her before is dropped and counted; what comes later, after she came back, is delivered."""
    feed(shop, [trigger("u-1", 1), trigger("u-2", 1)], "campaign-triggers")
    run(erase(shop, "u-1"))
    feed(shop, [trigger("u-1", 2)], "campaign-triggers")
    with Receiver() as receiver:
        process = start(shop, **to(receiver))
        wait_until(lambda: len(receiver.taken) == 2, "not everything is delivered")
        wait_until(lambda: outcomes(process, "webhook") == {"delivered": 2, "erased": 1}, "she isn't left out")
        assert {post.id for post in receiver.posts} == {short_hash("u-2", 1), short_hash("u-1", 2)}


async def erase(shop: Deployment, user: str) -> None:
    """Ask for an erasure."""
    command = EraseCommand(
        requested_by=None, id=short_hash("erase", user), command="erase", user_id=user, requested_at=now()
    )
    await append(shop.settings, "commands", command.id, command)


def test_several_share_the_partitions(shop: Deployment) -> None:
    """Two processes have a partition each; one is killed, and the other delivers for it."""
    with Receiver() as receiver:
        processes = [shop.start_worker(name, role="sinks", **{**HASTY, **to(receiver)}) for name in ("one", "two")]
        until_shared(processes)
        feed(shop, [trigger(f"u-{user}", 1) for user in range(40)], "campaign-triggers")
        wait_until(lambda: len({post.id for post in receiver.taken}) == 40, "not everything is delivered")
        processes[0].kill()
        feed(shop, [trigger(f"u-{user}", 2) for user in range(40)], "campaign-triggers")
        wait_until(lambda: len({post.id for post in receiver.taken}) == 80, "nobody takes over")
        assert processes[1].stop() == 0


def until_shared(processes: list[Process]) -> None:
    """Wait until each has a partition."""

    def owned(process: Process) -> int:
        return len(json.loads(got(process.http_port, "/ready")[1])["partitions"])

    wait_until(lambda: [owned(process) for process in processes] == [1, 1], "the partitions aren't shared")


@pytest.mark.faults
def test_how_far_a_quiet_sink_is_outlasts_what_brokers_remember(prefix: str) -> None:
    """They drop after a minute here what nobody commits again, of a group that lives too: nothing is delivered anew."""
    forgetful = {"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"}
    with Broker(forgetful) as broker, Deployment(broker, prefix) as shop, Receiver() as receiver:
        feed(shop, [trigger("u-quiet", 1)], "campaign-triggers")
        first = start(shop, without=["hasty_renewal"], **to(receiver))
        wait_until(lambda: outcomes(first, "webhook").get("delivered") == 1, "it isn't delivered")
        time.sleep(FORGOTTEN_SECONDS)
        assert first.stop() == 0
        second = start(shop, **to(receiver))
        feed(shop, [trigger("u-quiet", 2)], "campaign-triggers")
        wait_until(lambda: outcomes(second, "webhook").get("delivered") == 1, "it isn't delivered")
        assert [record["campaign"] for record in bodies(receiver.posts)] == ["campaign-1", "campaign-2"]
