"""`shoal definitions publish`, `history`, `rollback`: what is in force is the topic's last record."""

import json
from pathlib import Path

import pytest

from schemas.control import PublishedDefinitions
from tests.kafka.commands import DEFINITIONS, Deployment
from tests.support.kafka.broker import Broker
from worker import settings


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own."""
    return Deployment.made(broker, prefix)


def versions(shop: Deployment) -> list[int]:
    """The versions that `history` lists, the last of which is in force."""
    listed = json.loads(shop.shoal("definitions", "history", "--json").stdout)["versions"]
    assert [entry["in_force"] for entry in listed] == [False] * (len(listed) - 1) + [True] * bool(listed)
    return [entry["version"] for entry in listed]


def test_a_published_file_is_a_record_that_the_models_accept(shop: Deployment, tmp_path: Path) -> None:
    """Key, value and headers are the contract's; what was published is printed."""
    file = tmp_path / "one.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    assert "Nothing is published yet" in shop.shoal("definitions", "history").stdout
    said = shop.shoal("definitions", "publish", file).stdout
    (record,) = shop.read(shop.settings.topic("definitions"))
    published = PublishedDefinitions.model_validate_json(record.value or b"")
    assert (record.key, published.text, published.mapping) == (b"1", DEFINITIONS, None)
    assert dict(record.headers)["ce_type"] == b"shoal.definitions.published.v1"
    assert dict(record.headers)["ce_source"] == f"/shoal/{shop.settings.topic_prefix}".encode()
    assert said.startswith(f"Published 1/{published.hash[:12]} (")


def test_the_newest_version_is_the_one_published_last(shop: Deployment, tmp_path: Path) -> None:
    """Publishing the newest again writes nothing; a version of another meaning is refused; rollback appends."""
    files = [tmp_path / f"{number}.yaml" for number in (1, 2, 3)]
    for number, file in enumerate(files, start=1):
        text = DEFINITIONS.replace("version: 1", f"version: {number}").replace("30m", f"{29 + number}m")
        file.write_text(text, encoding="utf-8")
        shop.shoal("definitions", "publish", file)
    assert versions(shop) == [1, 2, 3]
    assert "newest version already" in shop.shoal("definitions", "publish", files[2]).stdout
    files[2].write_text(files[2].read_text().replace("32m", "40m"), encoding="utf-8")
    assert "raise `version`" in shop.shoal("definitions", "publish", files[2], status=2).stderr
    assert versions(shop) == [1, 2, 3]
    shop.shoal("definitions", "rollback")
    assert versions(shop) == [1, 3, 2]
    shop.shoal("definitions", "rollback", "1")
    assert versions(shop) == [3, 2, 1]
    told = shop.shoal("definitions", "history").stdout.splitlines()
    assert [line.endswith("in force") for line in told] == [False, False, True]


def test_a_rollback_to_nowhere_is_told_in_a_sentence(shop: Deployment, tmp_path: Path) -> None:
    """Nothing earlier, a version that isn't there, the newest itself: status 2 and what there is."""
    file = tmp_path / "one.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    shop.shoal("definitions", "publish", file)
    assert "no earlier version" in shop.shoal("definitions", "rollback", status=2).stderr
    file.write_text(DEFINITIONS.replace("version: 1", "version: 7").replace("30m", "31m"), encoding="utf-8")
    shop.shoal("definitions", "publish", file)
    assert "no version 9, only 1" in shop.shoal("definitions", "rollback", "9", status=2).stderr
    assert "newest already" in shop.shoal("definitions", "rollback", "7", status=2).stderr


def test_a_mapping_of_ones_own_is_published_with_the_definitions(shop: Deployment, tmp_path: Path) -> None:
    """Its text is in the record; with mistakes nothing is published."""
    file, mapping = tmp_path / "one.yaml", tmp_path / "mapping.yaml"
    file.write_text(DEFINITIONS, encoding="utf-8")
    mapping.write_text("rules:\n- {match: {event: Bought}, kind: order}\n", encoding="utf-8")
    shop.shoal("definitions", "publish", file, "--mapping", mapping)
    mapping.write_text("rules: 7\n", encoding="utf-8")
    assert "mistake" in shop.shoal("definitions", "publish", file, "--mapping", mapping, status=2).stderr
    (record,) = shop.read(shop.settings.topic("definitions"))
    assert "Bought" in (PublishedDefinitions.model_validate_json(record.value or b"").mapping or "")


def test_no_broker_is_a_sentence() -> None:
    """Nobody listens: status 1 and where it was tried."""
    nowhere = Deployment(settings.load(bootstrap_servers="localhost:1"))
    assert nowhere.shoal("definitions", "history", status=1).stderr.startswith("No broker answers at localhost:1")
