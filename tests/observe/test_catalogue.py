"""The catalogue of metrics: what is shown is what it says, by the rules of Prometheus' own linter."""

import subprocess
from collections.abc import Callable

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric

from schemas.access import Role
from tests.observe.support import (
    everything,
    everything_learnt,
    everything_measured,
    everything_sent,
    everything_verified,
)
from tests.support.packages import need_programs
from worker.errors import JobFailed
from worker.kafka.partition import cause_of
from worker.observe.catalogue import CATALOGUE, FAMILIES, RESTART_CAUSES, families_of
from worker.observe.family import ENDINGS, SERIES_MAX
from worker.observe.metrics import Metrics
from worker.observe.verified import VerifyMetrics

SHOWN: dict[Role, Callable[[], Metrics | VerifyMetrics]] = {
    "worker": everything,
    "trainer": everything_learnt,
    "lift": everything_measured,
    "sinks": everything_sent,
    "auditor": everything_verified,
}
PROCESS = "process_"  # of Prometheus' own client


def families(metrics: Metrics | VerifyMetrics) -> dict[str, Metric]:
    """What is shown, by the names under which it is scraped."""
    found = {family.name + ENDINGS.get(family.type, ""): family for family in metrics.registry.collect()}  # type: ignore[call-overload]
    return {name: family for name, family in found.items() if not name.startswith(PROCESS)}


@pytest.mark.parametrize("role", SHOWN)
def test_a_role_shows_what_the_catalogue_says(role: Role) -> None:
    """All of it and nothing else, each of its kind, with its help text and its labels."""
    shown = families(SHOWN[role]())
    assert set(shown) == {family.name for family in families_of(role)}
    for name, family in shown.items():
        expected = FAMILIES[name]
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert (family.type, family.documentation, labels) == (
            expected.kind, expected.meaning, set(expected.labels),
        ), name  # fmt: skip


@pytest.mark.parametrize("role", SHOWN)
def test_prometheus_own_linter_finds_nothing(role: Role) -> None:
    """Names, units, endings and help texts: `promtool check metrics` on what is scraped."""
    need_programs(promtool="prometheus")
    exposed = generate_latest(SHOWN[role]().registry)
    linted = subprocess.run(["promtool", "check", "metrics"], input=exposed, capture_output=True, check=False)  # noqa: S607
    assert (linted.returncode, linted.stderr.decode()) == (0, "")


def test_a_name_is_there_once_and_every_cell_is_filled() -> None:
    """Two rows of a name would be two meanings; a table in Markdown has no room for a bar."""
    assert len(FAMILIES) == len(CATALOGUE)
    cells = [text for family in CATALOGUE for text in (family.unit, family.meaning, family.wrong, family.name)]
    assert all(cells)
    assert [text for text in cells if "|" in text or "\n" in text] == []


def test_labels_are_bounded_and_none_is_a_user() -> None:
    """No family can have more than 5,000 series in a process."""
    assert all(1 <= family.series_max <= SERIES_MAX for family in CATALOGUE)
    assert {label for family in CATALOGUE for label in family.labels} & {"user", "user_id", "key", "email"} == set()


def test_every_cause_of_a_restart_is_known() -> None:
    """What isn't counts as `unexpected`."""
    assert cause_of(TimeoutError()) in RESTART_CAUSES
    assert cause_of(JobFailed("No broker answers.")) == "kafka"
    assert cause_of(ZeroDivisionError()) == "unexpected"
    assert "unexpected" in RESTART_CAUSES
