"""A job that learns: models are a function of the records, take effect at midnights, and can be begun with."""

import json
import random
from pathlib import Path

import pytest

from tests.files.support import START_MS, records
from tests.files.test_replay import without_wall
from worker.errors import WrongUsage
from worker.files import configuration
from worker.files.configuration import Configuration
from worker.files.explanation import explain
from worker.files.models import read_model
from worker.files.replay import Request, replay
from worker.files.sinks import TOPICS

DAY_MS = 86_400_000
USERS = 70
DAYS = 36
DEFINITIONS = """
version: 1
segments:
  - {id: coming_back, enter: probability("back") >= 0.6, exit: probability("back") < 0.4}
targets:
  - {id: back, positive: view, horizon: 2d}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keen users who look daily, and others who do once a week."""
    draw, events = random.Random(5), []
    for user in range(USERS):
        every_ms = DAY_MS if user % 2 else 7 * DAY_MS
        time_ms = START_MS + draw.randrange(every_ms)
        while time_ms < START_MS + DAYS * DAY_MS:
            events.append((time_ms, f"u-{user}"))
            time_ms += round(every_ms * draw.uniform(0.7, 1.3))
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    path.write_text("".join(
        json.dumps({"type": "track", "event": "Product Viewed", "userId": user, "timestamp": time_ms}) + "\n"
        for time_ms, user in sorted(events)
    ))  # fmt: skip
    return path


@pytest.fixture(scope="module")
def under(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """Definitions with a target."""
    path = tmp_path_factory.mktemp("definitions") / "definitions.yaml"
    path.write_text(DEFINITIONS)
    return configuration.load(path)


@pytest.fixture(scope="module")
def learnt(log: Path, under: Configuration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay that learnt."""
    out = tmp_path_factory.mktemp("learnt")
    replay(under, Request([log], out))
    return out


def test_what_is_learnt_depends_on_no_batch(log: Path, under: Configuration, learnt: Path, tmp_path: Path) -> None:
    """Samples, models and all that follows from them, record by record."""
    replay(under, Request([log], tmp_path, batch_records=97))
    assert records(learnt / "models.jsonl")
    for topic in TOPICS.values():
        assert without_wall(tmp_path / f"{topic}.jsonl") == without_wall(learnt / f"{topic}.jsonl")


def test_a_model_takes_effect_at_a_midnight(learnt: Path) -> None:
    """Its version is in what follows from then on; the first changes it causes are at the first ms of a UTC day."""
    models = records(learnt / "models.jsonl")
    assert [model["version"] for model in models] == list(range(1, len(models) + 1))
    changes = records(learnt / "segment-changes.jsonl")
    caused = [change for change in changes if change["cause"] == "model"]
    assert caused
    assert all(change["occurred_at"].endswith("T00:00:00.000Z") for change in caused)
    assert {change["model"] for change in changes} <= {f"{model['version']}/{model['hash']}" for model in models}


def test_the_keen_are_told_from_the_others(learnt: Path) -> None:
    """At the end those who come daily are in the segment, and nobody else is."""
    inside = {record["user_id"] for record in records(learnt / "memberships.jsonl") if record["segments"]}
    keen = {f"u-{user}" for user in range(USERS) if user % 2}
    assert len(inside ^ keen) <= USERS // 20


def test_samples_know_the_model_that_scored_them(learnt: Path) -> None:
    """Before there is a model there is no probability; afterwards there is one, with the model's name."""
    samples = records(learnt / "training-samples.jsonl")
    assert {(sample["probability"] is None) == (sample["model"] is None) for sample in samples} == {True}
    assert {sample["model"] is None for sample in samples} == {True, False}


def test_who_is_told_not_to_learn_has_no_model(log: Path, under: Configuration, tmp_path: Path) -> None:
    """Samples are written all the same."""
    replay(under, Request([log], tmp_path, learn=False))
    assert records(tmp_path / "training-samples.jsonl")
    assert not records(tmp_path / "models.jsonl")


def test_a_job_may_begin_under_a_model(log: Path, under: Configuration, learnt: Path, tmp_path: Path) -> None:
    """It scores from the first record on, and stays until everything that it knows is learnt anew."""
    given = read_model(learnt / "models.jsonl")
    replay(under, Request([log], tmp_path, model=given))
    versions = [model["version"] for model in records(tmp_path / "models.jsonl")]
    assert versions == list(range(given.version, given.version + len(versions)))
    assert len(versions) > 1
    assert all(sample["probability"] is not None for sample in records(tmp_path / "training-samples.jsonl"))


def test_an_explanation_reads_the_model_too(learnt: Path) -> None:
    """The state of a job that learnt is asked under the last model."""
    told = explain("u-1", learnt)
    clause = told["segments"][0]["enter"][0]
    assert clause["value"] is not None
    assert clause["contributions"]


def test_a_file_without_a_model_is_refused_in_a_sentence(log: Path, tmp_path: Path) -> None:
    """A log is none, nor is nothing."""
    (tmp_path / "empty.jsonl").touch()
    for path in (log, tmp_path / "empty.jsonl", tmp_path / "missing.jsonl"):
        with pytest.raises(WrongUsage, match=r"models\.jsonl|check the path"):
            read_model(path)
