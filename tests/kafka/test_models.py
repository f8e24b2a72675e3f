"""`shoal models list|report|freeze|rollback`: the last record is in force, and while frozen nothing new comes."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.control import Command
from schemas.models import Snapshot, sealed
from tests.kafka.commands import Deployment
from tests.kafka.learning import DEFINITIONS, LEARNS, evidence, feed, learnt, models, samples, start_trainer
from tests.kafka.working import AGAIN, got, metric, wait_until
from tests.learning.support import NAMES, stream
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import Deployment as Live
from tests.support.kafka.deployment import events, run
from worker.core.effects import iso
from worker.kafka.writing import Written, append
from worker.language.observed import OBSERVED_HASH
from worker.learning.inputs import Sample
from worker.operations.commanding import standings

REFUSED = "A model is refused; the last good one stays."


@pytest.fixture
def shop(broker: Broker, prefix: str) -> Deployment:
    """A deployment of the test's own."""
    return Deployment.made(broker, prefix)


def model(version: int, samples: int = 7, **content: Any) -> Snapshot:
    """A model of `buy` that tells how many samples it was learnt from."""
    found = {"buy": {"samples": samples, "positives": 3}}
    numbers = {"auc": 0.75, "log_loss": 0.5, "ece": 0.01, "n": 400}
    known = {"feature_schema": OBSERVED_HASH, "evidence": found, "metrics": {"buy": {"linear": numbers}}}
    return sealed(version, known | content)


def publish(shop: Deployment | Live, *snapshots: Snapshot) -> None:
    """Write models as they are."""
    for snapshot in snapshots:
        run(append(shop.settings, "models", str(snapshot.version), snapshot))


def listed(shop: Deployment) -> dict[str, Any]:
    """What `shoal models list --json` prints."""
    found: dict[str, Any] = json.loads(shop.shoal("models", "list", "--json").stdout)
    return found


def test_models_are_listed_with_what_they_stand_on(shop: Deployment) -> None:
    """Evidence and metrics of each, who made it, and one that can't be used with the reason."""
    assert "No model is published yet" in shop.shoal("models", "list").stdout
    cards = {"few_orders": {"title": "Few orders", "size": 0.6}, "many_views": {"title": "Many views", "size": 0.4}}
    clusters = {
        "inputs": [{"name": "views_90d"}], "names": ["many_views", "few_orders"], "centres": [[9.0], [0.5]],
        "cards": cards,
    }  # fmt: skip
    publish(shop, model(1), model(2, 9, clusters=clusters))
    shop.write(shop.settings.topic("models"), [Written(b"3", b"\x80\x04K\x01.")])
    found = listed(shop)
    assert [(one["version"], one["by"], one["refused"]) for one in found["models"]] == [
        (1, "trainer", None), (2, "trainer", None), (0, "trainer", "malformed")
    ]  # fmt: skip
    assert found["models"][1]["evidence"] == {"buy": {"samples": 9, "positives": 3}}
    assert found["models"][1]["clusters"]["few_orders"]["size"] == 0.6
    assert found["frozen"] is False
    told = shop.shoal("models", "list").stdout
    assert "buy: 9 samples, 3 positive, no probability yet; linear AUC 0.750, log loss 0.500" in told
    assert "  clusters: few_orders 60%, many_views 40%\n" in told


def test_a_rollback_is_a_new_version_of_old_content_and_freezes(shop: Deployment) -> None:
    """The content's hash is the old one's; models are frozen then, and released by a command."""
    publish(shop, model(1), model(2, 9), model(3, 12))
    assert shop.shoal("models", "rollback", "1").stdout.startswith(f"Published 4/{model(1).hash[:12]}, the content of")
    found = listed(shop)
    assert [one["by"] for one in found["models"]] == ["trainer"] * 3 + ["rollback to 1"]
    assert (found["models"][-1]["hash"], found["frozen"]) == (model(1).hash, True)
    assert "Models are frozen" in shop.shoal("models", "list").stdout
    shop.shoal("models", "freeze", "--release")
    assert listed(shop)["frozen"] is False
    commands = [Command.model_validate_json(record.value).root for record in shop.read(shop.settings.topic("commands"))]
    assert [command.command for command in commands] == ["freeze", "release"]


def test_a_rollback_to_nowhere_is_told_in_a_sentence(shop: Deployment) -> None:
    """Nothing earlier, a version that isn't there, the newest itself: status 2, and nothing is frozen."""
    assert "no earlier version" in shop.shoal("models", "rollback", status=2).stderr
    publish(shop, model(1), model(2, 9))
    assert "no version 9, only 1" in shop.shoal("models", "rollback", "9", status=2).stderr
    assert "newest already" in shop.shoal("models", "rollback", "2", status=2).stderr
    assert listed(shop)["frozen"] is False


def test_a_trainer_publishes_nothing_while_frozen_and_learns_on(broker: Broker, prefix: str) -> None:
    """Over a restart too; a rollback made meanwhile stays the newest until models are released."""
    with Live(broker, prefix, definitions=DEFINITIONS) as live:
        shop = Deployment(live.settings)
        trainer = start_trainer(live)
        feed(live, samples(1, 20))
        wait_until(lambda: evidence(live) != [], "no model is published")
        shop.shoal("models", "freeze")
        published = len(models(live))
        feed(live, samples(2, 20))
        trainer.wait_for(AGAIN)
        wait_until(lambda: learnt(live).samples == 40, "it doesn't learn while frozen")
        assert (learnt(live).frozen, len(models(live))) == (True, published)
        assert trainer.stop() == 0
        publish(live, model(100))
        shop.shoal("models", "rollback", "1")
        trainer = start_trainer(live)
        assert trainer.wait_for(LEARNS)["frozen"] is True
        feed(live, samples(3, 20))
        wait_until(lambda: learnt(live).samples == 60, "it doesn't learn after a restart")
        assert models(live)[-1].version == 101
        shop.shoal("models", "freeze", "--release")
        wait_until(lambda: models(live)[-1].version == 102, "nothing is published after the release")
        assert evidence(live)[-1] == {"buy": 60}
        seen = json.loads(shop.shoal("status", "--json").stdout)
        assert (seen["model"]["version"], seen["model"]["frozen"]) == (102, False)
        assert [member["client"] for member in seen["roles"]["trainer"]["members"]] == ["trainer"]
        assert seen["roles"]["trainer"]["lag_records"] == 0
        (at_work,) = seen["roles"]["trainer"]["partitions"]
        assert (at_work["state"], at_work["instance"], at_work["samples"]) == ("running", "trainer", 60)
        told = shop.shoal("status").stdout
        assert f"model        102/{models(live)[-1].hash[:12]}, published at" in told
        assert f"trainer      group {prefix}trainer, stable: trainer (" in told


def test_a_rollback_and_a_hostile_model_at_running_workers(broker: Broker, prefix: str) -> None:
    """A rollback is in force in every partition; what is hostile is refused with its reason, and the good one stays."""
    with Live(broker, prefix, definitions=DEFINITIONS) as live:
        shop, worker = Deployment(live.settings), live.start_worker()
        publish(live, model(1), model(2, 9))
        wait_until(lambda: labels(live) == {model(2, 9).label}, "the model isn't in force")
        shop.shoal("models", "rollback", "1")
        again = f"3/{model(1).hash}"
        wait_until(lambda: labels(live) == {again}, "the rollback isn't in force")
        partitions = next(one["partitions"] for one in listed(shop)["models"] if one["version"] == 3)
        assert partitions == [0, 1]
        for value in (b"\x80\x04K\x01.", b'{"version": 4', model(2).model_dump_json().encode(), b"[" * 900_001):
            shop.write(live.settings.topic("models"), [Written(b"4", value)])
        worker.wait_for(REFUSED, 4)
        assert [line["reason"] for line in worker.said(REFUSED)] == ["malformed", "malformed", "older", "too_large"]
        refused = metric(got(worker.http_port, "/metrics")[1], "shoal_models_refused_total")
        assert (refused['reason="malformed"'], refused['reason="older"'], refused['reason="too_large"']) == (2, 1, 1)
        assert labels(live) == {again}


def labels(live: Live) -> set[Any]:
    """Which model the partitions run."""
    answers = run(standings(live.settings, ["worker"], 10))
    return {given.body.get("model") if given else None for given in answers.values()}


def test_what_is_learnt_decides_who_is_in_a_segment(broker: Broker, prefix: str) -> None:
    """The real learning: from samples of which something can be learnt to a probability that workers judge users by."""
    likely = {"id": "likely", "enter": 'probability("purchase") > 0'}
    target = {"id": "purchase", "positive": "order", "horizon": "7d"}
    definitions = {"version": 1, "segments": [likely], "targets": [target]}
    with Live(broker, prefix, definitions=definitions) as live:
        live.start_worker()
        trainer = start_trainer(live, without=())
        feed(live, map(written, stream(1, 2_500, a_day=200)))
        wait_until(lambda: any(one.targets for one in models(live)), "no model has a probability")
        feed(live, map(written, stream(1, 2_600, a_day=200)[2_500:]))
        live.feed(events(1, 50))
        wait_until(lambda: live.read("segment-changes") != [], "nobody is judged by it")
        changes = [json.loads(record.value) for record in live.read("segment-changes")]
        assert {change["segment"] for change in changes} == {"likely"}
        assert trainer.stop() == 0
        known = learnt(live).samples
        assert start_trainer(live, without=()).wait_for(LEARNS)["samples"] == known


def test_groups_that_are_served_unlike_are_reported(broker: Broker, prefix: str) -> None:
    """The trainer's report as JSON and as a table, before there is one and after; a new trainer goes on with it."""
    definitions = {**DEFINITIONS, "traits": ["country"]}
    scored = [
        one._replace(target="buy", probability=(0.1, 0.9)[place % 2], traits={"country": ("DE", "A[T]")[place % 2]})
        for place, one in enumerate(stream(1, 400, a_day=40))
    ]
    with Live(broker, prefix, definitions=definitions) as live:
        shop = Deployment(live.settings)
        assert "nothing to compare yet" in shop.shoal("models", "report").stdout
        assert json.loads(shop.shoal("models", "report", "--json").stdout) == {"groups": []}
        trainer = start_trainer(live, without=())
        feed(live, map(written, scored[:390]))
        wait_until(lambda: learnt(live).samples == 390, "the samples aren't learnt")
        assert trainer.stop() == 0
        groups = json.loads(shop.shoal("models", "report", "--json").stdout)["groups"]
        assert {(one["target"], one["trait"], one["value"]) for one in groups} == {
            ("buy", "country", "DE"), ("buy", "country", "A[T]")
        }  # fmt: skip
        called = {one["value"]: one["thresholds"][0]["selection_rate"] for one in groups}
        assert called == {"DE": 0.0, "A[T]": 1.0}
        table = shop.shoal("models", "report").stdout
        rows = [line.split() for line in table.splitlines() if "country=" in line]
        assert [(row[1], row[2], *row[5:7]) for row in rows] == [
            (f"country={one['value']}", str(one["n"]), "0.5", f"{called[one['value']]:.1%}") for one in groups
        ]
        start_trainer(live, without=()).wait_for(LEARNS)
        feed(live, map(written, scored[390:]))
        wait_until(lambda: learnt(live).samples == 400, "the new trainer doesn't go on")
        again = json.loads(shop.shoal("models", "report", "--json").stdout)["groups"]
        assert sum(one["n"] for one in again) >= sum(one["n"] for one in groups) > 200


def written(sample: Sample) -> Written:
    """A sample as its record."""
    record = {
        "id": sample.id, "user_id": sample.user_id, "target": sample.target, "sampled_at": iso(sample.sampled_ms),
        "resolved_at": iso(sample.resolved_ms), "label": sample.label, "model": None, "exposed": [],
        "probability": None if np.isnan(sample.probability) else sample.probability, "traits": sample.traits,
        "features": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(NAMES, sample.features, strict=True)
        },
    }  # fmt: skip
    return Written(sample.user_id.encode(), msgspec.json.encode(record))
