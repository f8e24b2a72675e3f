"""`shoal lift` on a broker: what it counts is counted once, wherever it is killed; an erased user's entry goes."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from schemas.access import MEASURED_FROM
from schemas.control import CampaignResult, EraseCommand, Receipt
from tests.kafka.stopping import stopped
from tests.kafka.working import got, metric, wait_until
from tests.support.kafka import meddling
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment, run
from tests.support.kafka.worker_process import Process
from worker.agents.measuring import READINGS
from worker.core.effects import iso
from worker.files.configuration import checked
from worker.files.demo import SHOP, demo
from worker.files.lift_report import sentences
from worker.kafka import writing
from worker.kafka.kept_state import DamagedError, KeptState
from worker.kafka.lift_state import LiftProgress
from worker.kafka.steps import Step
from worker.kafka.writing import Written
from worker.language.mapping import SHIPPED
from worker.lift.designs import programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.records import Record
from worker.lift.results import results_of
from worker.operations import lift
from worker.operations.standing import roles

SMALL = SHOP.model_copy(update={"users": 60, "days": 9, "incidents": ()})
MEASURES = "Lift is measured."
SIGKILL = -9
KEY = "the key of the year 2026"
QUICK: dict[str, Any] = {"lift_commit_interval_ms": 50, "lift_publish_interval_ms": 50}
KILLS = (Step.STEPPED, Step.SENT, Step.ACKNOWLEDGED, Step.COMMITTED)

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a small shop's campaigns decided, and what followed, as files."""
    folder = tmp_path_factory.mktemp("shop")
    demo(folder, SMALL)
    return folder


@pytest.fixture
def shop(broker: Broker, prefix: str, shop_folder: Path) -> Iterator[Deployment]:
    """A deployment under the shop's definitions, whose topics are empty yet."""
    with Deployment(broker, prefix, definitions=(shop_folder / "definitions.yaml").read_text("utf-8")) as made:
        yield made


def write(shop: Deployment, topic: str, lines: list[bytes], key: str = "user_id") -> None:
    """Write records onto a topic, by user."""
    records = [Written(msgspec.json.decode(line)[key].encode(), line) for line in lines]
    partitions = 1 if topic == "commands" else shop.partitions

    async def writing_them() -> None:
        async with writing.started(shop.settings) as producing:
            await writing.write(producing, shop.settings.topic(topic), partitions, records)

    run(writing_them())


def write_part(shop: Deployment, folder: Path, part: int, parts: int) -> None:
    """Write one of so many parts of everything that lift reads; what follows comes before the decisions."""
    for topic in reversed(MEASURED_FROM):
        lines = (folder / f"{topic}.jsonl").read_bytes().splitlines()
        write(shop, topic, lines[part * len(lines) // parts : (part + 1) * len(lines) // parts])


def start_lift(shop: Deployment, fault: str | None = None, **settings: Any) -> Process:
    """Start measuring, in a hurry."""
    return shop.start_worker("lift", fault, role="lift", **{**QUICK, "pseudonym_key": KEY, **settings})


def counted(shop: Deployment) -> Results:
    """What the records on the topics come to, counted here by their own times."""
    text = shop.read("definitions")[-1].value
    under = checked(msgspec.json.decode(text)["text"], SHIPPED.read_text("utf-8")).checked
    ledger = Ledger(shop.partitions)
    ledger.know(f"{under.definitions.version}/{under.hash}", terms_of(under), programme_of(under.definitions))
    told = [(*READINGS[topic](record.value), record) for topic in MEASURED_FROM for record in shop.read(topic)]
    for _, content, record in sorted(told, key=itemgetter(0)):
        ledger.take(cast("Record", content), record.partition)
    return without_history(results_of(ledger, under.definitions.currency))


def published(shop: Deployment) -> Results:
    """The latest result of every campaign."""
    return without_history(run(lift.results(shop.settings)))


def without_history(results: Any) -> Results:
    """Results by campaign, as their readers have them, without the points that depend on when one looked."""
    found = [CampaignResult.model_validate(result).model_dump(mode="json") for result in results]
    return {result["campaign"]: result | {"history": []} for result in found}


def entries(shop: Deployment) -> set[str]:
    """The users of whom something is kept."""
    return {name.decode() for name in whole(shop)["user"]}


def whole(shop: Deployment) -> dict[str, dict[bytes, bytes]]:
    """The entries that are kept, by kind; as many as lift has counted."""
    state = KeptState(LiftProgress)
    for record in shop.read("lift-state"):
        state.take(record.key, record.value)
    progress = state.progress()
    assert progress is not None
    return state.entries(progress.entries)


def test_lift_may_die_anywhere_and_counts_everything_once(shop: Deployment, shop_folder: Path) -> None:
    """Killed at four steps with records between, what follows from decisions written before them: in the end results
    are those of the records counted once, here.
    """
    for part, step in enumerate(KILLS):
        write_part(shop, shop_folder, part, len(KILLS) + 1)
        process = start_lift(shop, f"{step}:1:kill")
        assert process.wait_until_ended() == SIGKILL
    write_part(shop, shop_folder, len(KILLS), len(KILLS) + 1)
    process = start_lift(shop)
    expected = counted(shop)
    assert expected["cart_reminder"]["groups"][0]["judged"] > 0
    assert sum(group["sent"] for group in expected["cart_reminder"]["groups"]) > 0
    wait_until(lambda: published(shop) == expected, "the results aren't those of the records")
    assert len(sentences(run(lift.results(shop.settings)))) >= len(expected)
    assert got(process.http_port, "/ready")[0] == 200
    told = run(roles(shop.settings, set(), 60))["lift"]
    assert [reads["topic"].removeprefix(shop.settings.topic_prefix) for reads in told["reads"]] == sorted(MEASURED_FROM)
    assert (told["lag_records"], told["lag_seconds"], told["members"][0]["client"]) == (0, 0, "lift")
    assert [(part["state"], part["instance"]) for part in told["partitions"]] == [("running", "lift")]
    shown = metric(got(process.http_port, "/metrics")[1], "shoal_campaign_users")
    group = expected["cart_reminder"]["groups"][0]
    assert shown[f'campaign="cart_reminder",stage="fired",variant="{group["variant"]}"'] == group["fired"]
    assert process.stop() == 0


def test_an_erased_users_entry_goes_and_her_numbers_stay(shop: Deployment, shop_folder: Path) -> None:
    """The command is enough; after it nothing that lift keeps names her, and it lives on over a restart."""
    write_part(shop, shop_folder, 0, 1)
    process = start_lift(shop)
    wait_until(lambda: published(shop) == counted(shop), "the results aren't those of the records")
    before, user = published(shop), min(entries(shop))
    command = EraseCommand(
        id="0" * 32, requested_at=iso(4_000_000_000_000), command="erase", requested_by="dpo", user_id=user
    )
    write(shop, "commands", [command.model_dump_json().encode()], "id")
    wait_until(lambda: user not in entries(shop), "her entry is still there")
    (receipt,) = (Receipt.model_validate_json(record.value) for record in shop.read("receipts"))
    assert (receipt.role, receipt.found, receipt.command_id) == ("lift", True, command.id)
    assert process.stop() == 0
    latest = {record.key: record.value for record in shop.read("lift-state")}
    assert not any(user.encode() + b'"' in (value or b"") for value in latest.values())
    other: dict[str, Any] = {"pseudonym_key": "the key of the year 2027", "pseudonym_key_version": 2}
    forgetful = start_lift(shop, **other)
    assert "version 1 of the pseudonym key" in stopped(forgetful, (0,))[0]
    assert forgetful.stop() == 0
    start_lift(shop, **other, pseudonym_keys_before=f"1:{KEY}").wait_for(MEASURES)
    write(shop, "campaign-decisions", (shop_folder / "campaign-decisions.jsonl").read_bytes().splitlines()[-1:])
    wait_until(
        lambda: published(shop)["*"]["groups"][0]["users"] == before["*"]["groups"][0]["users"], "users are gone"
    )
    assert user not in entries(shop)


def test_a_state_that_is_damaged_is_counted_anew(shop: Deployment, shop_folder: Path) -> None:
    """An entry gone and two come without its progress knowing: the log says so, the records are counted again, each
    once, and what doesn't come of them goes.
    """
    write_part(shop, shop_folder, 0, 1)
    process = start_lift(shop)
    wait_until(lambda: published(shop) == counted(shop), "the results aren't those of the records")
    assert process.stop() == 0
    lost = min(entries(shop))

    ghosts = [(b"user/ghost", b""), (b"user/another", b"")]
    meddling.write(shop, "lift-state", 0, [(b"user/" + lost.encode(), None), *ghosts])
    process = start_lift(shop)
    process.wait_for("What was counted can't be used: what the topics still hold is counted anew.")
    wait_until(lambda: counts_again(shop, lost), "she isn't counted again")
    assert published(shop) == counted(shop)


def counts_again(shop: Deployment, user: str) -> bool:
    """Whether what is kept is whole, and of this user, too."""
    try:
        return user in entries(shop)
    except DamagedError:
        return False
