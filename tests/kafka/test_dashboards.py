"""Grafana's dashboards on a real Prometheus that scrapes real processes: every query of every panel has an answer."""

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.working import got
from tests.support.grafana import Asked, asked, variables
from tests.support.kafka.broker import Broker
from tests.support.prometheus import Prometheus, QueryFailed
from tests.support.shop_under_watch import Watched, watched

FILES = sorted((Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json"))
SHOWN_SECONDS = 120.0


@pytest.fixture(scope="module")
def world(broker: Broker) -> Iterator[Watched]:
    """Everything that there is to see, seen."""
    with watched(broker, "watched.") as found:
        yield found


def answers(prometheus: Prometheus, question: Asked) -> int:
    """Return how many series of an answer have a number somewhere. Raises QueryFailed."""
    if question.instant:
        values = [[series["value"]] for series in prometheus.query(question.expression)]
    else:
        values = [series["values"] for series in prometheus.range(question.expression, SHOWN_SECONDS)]
    return sum(any(not math.isnan(float(value)) for _, value in series) for series in values)


def test_every_query_of_every_panel_and_variable_has_an_answer(world: Watched) -> None:
    """None fails, none is empty; a panel that is empty when all is well would look like one that is broken."""
    count, wrong = 0, []
    for file in FILES:
        values = variables(file, world.prometheus)
        wrong += [f"{file.stem}: ${name} has no values" for name, found in values.items() if not found]
        count += len(values)
        for question in asked(file, values):
            count += 1
            try:
                told = "is empty" if answers(world.prometheus, question) == 0 else ""
            except QueryFailed as error:
                told = str(error)
            if told:
                wrong.append(f"{file.stem}: {question.panel['title']}: {question.expression} {told}")
    print(f"{count} queries of {len(FILES)} dashboards")  # noqa: T201
    assert not wrong, "\n".join(wrong)
    assert len(FILES) == 3


def test_prometheus_own_linter_is_pleased_with_what_is_scraped(world: Watched) -> None:
    """`promtool check metrics` on the page of each role, as it really is."""
    for process in world.processes:
        page = got(process.http_port, "/metrics")[1]
        check = ["promtool", "check", "metrics"]
        linted = subprocess.run(check, input=page, text=True, capture_output=True, check=False)
        assert (linted.returncode, linted.stderr) == (0, ""), process.name


def test_an_empty_answer_and_a_wrong_query_are_found(world: Watched) -> None:
    """The test above can fail."""
    panel: dict[str, object] = {"title": "t"}
    assert answers(world.prometheus, Asked(panel, "shoal_nothing", "", instant=True)) == 0
    with pytest.raises(QueryFailed, match="parse error"):
        answers(world.prometheus, Asked(panel, "sum(", "", instant=False))
