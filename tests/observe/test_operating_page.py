"""The page for operators says what the code does: endpoints, states, metrics, log fields, settings."""

import json
import logging
import re
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest
from aiohttp import web
from prometheus_client.core import Metric
from pydantic.fields import FieldInfo

from tests.observe.support import (
    Lines,
    everything,
    everything_learnt,
    everything_measured,
    everything_sent,
    everything_verified,
    raised,
)
from worker.observe.harmless import TEXT_MAX, TRACEBACK_MAX
from worker.observe.health import STALE_SECONDS, STATES, Health
from worker.observe.http import HttpServer
from worker.observe.logs import log
from worker.observe.metrics import Metrics
from worker.observe.repeats import SAID_MAX, WINDOW_SECONDS
from worker.observe.verified import VerifyMetrics
from worker.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
SETTINGS = Settings.model_fields


def families(metrics: Metrics | VerifyMetrics) -> dict[str, Metric]:
    """What is shown, by the names under which it is."""
    endings = {"counter": "_total", "info": "_info"}
    return {family.name + endings.get(family.type, ""): family for family in metrics.registry.collect()}


SHOWN = {
    "Metrics": families(everything()),
    "Metrics of the trainer": families(everything_learnt()),
    "Metrics of lift": families(everything_measured()),
    "Metrics of the sinks": families(everything_sent()),
    "Metrics of a verification": families(everything_verified()),
}


def rows(heading: str) -> dict[str, list[str]]:
    """The tables under a heading: the other columns by the first, without its backticks."""
    section = re.split(r"\n## ", PAGE.split(f"\n## {heading}\n")[1])[0]
    table = [re.split(r" *\| *", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in table}


def labels(family: Metric) -> set[str]:
    """The labels of a family, without the bounds of a histogram."""
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def written_default(field: FieldInfo) -> str:
    """A setting's default as the page writes it."""
    if field.default_factory is not None:
        return "the host's name"
    default: Any = field.default
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def written_values(field: FieldInfo) -> str:
    """The values a setting may have as the page writes them."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in annotation.__args__)
    limits = {name: getattr(rule, name) for rule in field.metadata for name in ("ge", "le") if hasattr(rule, name)}
    if limits:
        return f"{limits['ge']:,} to {limits['le']:,}" if "le" in limits else f"{limits['ge']:,} or more"
    kind = str(annotation)
    return "`true`, `false`" if annotation is bool else "a path" if "Path" in kind else "text"


def test_the_endpoints_are_those_that_are_served() -> None:
    """All of them, and no other."""
    server = HttpServer(Metrics(), Health(), host="127.0.0.1", port=0)
    app = server._runner.app
    served = {route.resource.canonical for route in app.router.routes() if route.resource}
    assert isinstance(app, web.Application)
    assert set(rows("Endpoints")) == served | set(STATES)


@pytest.mark.parametrize("heading", SHOWN)
def test_the_metrics_are_those_that_are_shown(heading: str) -> None:
    """Each with its type and labels; those of the process are named in a sentence."""
    told = {name.partition("{")[0]: (name, cells) for name, cells in rows(heading).items()}
    shown = {name: family for name, family in SHOWN[heading].items() if not name.startswith("process_")}
    assert set(told) == set(shown)
    for name, family in shown.items():
        written, cells = told[name]
        assert cells[0] == ("gauge" if family.type == "info" else family.type), name
        assert set(re.findall(r"\w+", written.partition("{")[2])) == labels(family), name
        assert all(cells), f"{name} has an empty cell"
    assert [name for name in SHOWN[heading] if name not in shown and f"`{name}`" not in PAGE] == []


def test_the_fields_of_a_log_line_are_told(lines: Lines) -> None:
    """Those every line has, and those it may have."""
    log("worker").error("Broke", exc_info=raised(OSError("disk full")))
    for _ in range(SAID_MAX + 1):
        log("worker").info("Again", partition=1)
    (handler,) = (one for one in logging.getLogger().handlers if hasattr(one, "_repeats"))
    for window in handler._repeats._windows.values():
        window.began -= WINDOW_SECONDS
    log("worker").info("Later")
    assert {name for line in lines() for name in line} == set(rows("Logs"))
    assert json.dumps(lines()).count("Again") == SAID_MAX + 1


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    """How old a heartbeat may be, how often a message comes, how long a text may be."""
    text = " ".join(PAGE.split())
    assert f"younger than {STALE_SECONDS:.0f} s" in text
    assert f"within the last {STALE_SECONDS:.0f} s" in text
    assert f"written {SAID_MAX} times in {WINDOW_SECONDS:.0f} s at most" in text
    assert f"cut at {TEXT_MAX} characters, tracebacks to their last {TRACEBACK_MAX:,}" in text


def test_the_settings_are_those_of_the_code() -> None:
    """Each is a row, in the code's order, and no row is for a setting that isn't there."""
    assert list(rows("Settings")) == [f"SHOAL_{name.upper()}" for name in SETTINGS]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_told_as_it_is(name: str) -> None:
    """Default, values and meaning; where the code says no meaning the page does."""
    field = SETTINGS[name]
    meaning = field.description or rows("Settings")[f"SHOAL_{name.upper()}"][2]
    assert rows("Settings")[f"SHOAL_{name.upper()}"] == [written_default(field), written_values(field), meaning]
    assert meaning
