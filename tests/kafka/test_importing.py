"""`shoal import` and `shoal simulate --to kafka`: everything onto the input topic, each record under its user's id."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.files.support import shop as shop_lines
from tests.kafka.commands import Deployment
from tests.support.kafka.broker import Broker
from worker.kafka.writing import partition_of
from worker.language.mapping import Mapping
from worker.operations.keys import key_of

MAPPING = Mapping.load()
SIMULATED = ("simulate", "--users", "40", "--days", "3", "--malformed", "0.05")


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own, of three partitions."""
    return Deployment.made(broker, prefix, 3)


def test_every_line_of_the_files_gets_there_under_its_users_id(shop: Deployment, tmp_path: Path) -> None:
    """In the files' order within a partition; what nobody can read goes without a key, blank lines included."""
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    lines = [*shop_lines(50), b"", b"{", b'{"type":"page","anonymousId":"a-9"}']
    files[0].write_bytes(b"\n".join(lines[:20]) + b"\n")
    files[1].write_bytes(b"\n".join(lines[20:]))
    said = shop.shoal("import", *files).stdout
    assert said == f"{len(lines):,} records of {len(lines):,} lines are on {shop.settings.events_topic}.\n"
    wanted = defaultdict(list)
    for line in lines:
        key = key_of(line, MAPPING)
        wanted[0 if key is None else partition_of(key, 3)].append((key, line))
    found = defaultdict(list)
    for record in shop.read(shop.settings.events_topic):
        found[record.partition].append((record.key, record.value))
    assert found == wanted
    assert len(found) > 1


def test_a_table_is_imported_by_its_mapping(shop: Deployment, tmp_path: Path) -> None:
    """Lines become events of Segment's form; those left out are told by reason."""
    table, mapping = tmp_path / "orders.csv", tmp_path / "mapping.yaml"
    table.write_text("who,at\nu-1,1767614400\n,1767614400\nu-2,1767614401\n", encoding="utf-8")
    mapping.write_text(
        "columns: {who: id, at: epoch_seconds}\nuser: who\ntime: at\nevents: [{event: Order Completed}]\n"
        "leave_out: [{reason: nobody, where: {who: {absent: true}}}]\n"
    )
    assert "1 lines left out: nobody" in shop.shoal("import", table, "--mapping", mapping).stdout
    records = shop.read(shop.settings.events_topic)
    assert {(record.key, json.loads(record.value)["event"]) for record in records} == {
        (b"u-1", "Order Completed"), (b"u-2", "Order Completed"),
    }  # fmt: skip


def test_the_simulated_shop_is_the_same_on_kafka_as_in_a_file(shop: Deployment, tmp_path: Path) -> None:
    """Every record of the file is there once, broken ones too; keys are those that the decoder asks for."""
    file, truth = tmp_path / "shop.jsonl", tmp_path / "truth.json"
    shop.shoal(*SIMULATED, "--out", file)
    shop.shoal(*SIMULATED, "--to", "kafka", "--truth", truth)
    records = shop.read(shop.settings.events_topic)
    assert sorted(record.value for record in records) == sorted(file.read_bytes().splitlines())
    assert len(records) == json.loads(truth.read_text(encoding="utf-8"))["records"]
    keys = [(record.key, key_of(record.value, MAPPING)) for record in records]
    assert {given for given, wanted in keys if wanted not in (None, given)} == set()


def test_a_rate_is_kept(shop: Deployment) -> None:
    """So many records take at least so long."""
    begun = time.monotonic()
    shop.shoal("simulate", "--users", "5", "--days", "1", "--to", "kafka", "--rate", "60")
    count = len(shop.read(shop.settings.events_topic))
    assert time.monotonic() - begun >= count / 60
    assert count > 0


def test_options_of_a_file_and_of_kafka_do_not_mix(shop: Deployment, tmp_path: Path) -> None:
    """Status 2 and which to leave out; nothing is written anywhere."""
    for options in (["--to", "kafka", "--out", tmp_path / "x"], ["--to", "rabbit"], ["--rate", "5"]):
        assert "--to" in shop.shoal("simulate", *options, status=2).stderr
    assert shop.read(shop.settings.events_topic) == []


def test_a_topic_that_is_missing_is_a_sentence(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """It isn't made by the way, whatever the broker would do by itself."""
    nothing = Deployment.on(broker, prefix)
    file = tmp_path / "one.jsonl"
    file.write_bytes(b"\n".join(shop_lines(3)))
    for _ in range(2):
        told = nothing.shoal("import", file, status=1).stderr
        assert told.startswith(f"There is no topic {prefix}events")
