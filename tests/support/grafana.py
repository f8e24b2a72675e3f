"""A dashboard's file as Grafana would read it: every query with its variables filled in.

`$__rate_interval` is Grafana's own: four scrapes, or the step and a scrape if that is more. A variable with All chosen
becomes a pattern of all its values.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.prometheus import SCRAPE_SECONDS, Prometheus

__all__ = ["Asked", "asked", "panels", "variables"]

LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


@dataclass(frozen=True)
class Asked:
    """A query of a panel, ready to be asked; `instant` as Grafana would, else over the time that is shown."""

    panel: dict[str, Any]
    expression: str
    legend: str
    instant: bool


def panels(file: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that ask something."""
    return [panel for panel in json.loads(file.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def variables(file: Path, prometheus: Prometheus) -> dict[str, list[str]]:
    """Ask for the values of every variable, in order, with those before it filled in."""
    found: dict[str, list[str]] = {}
    for variable in json.loads(file.read_text(encoding="utf-8"))["templating"]["list"]:
        if variable["type"] == "query":
            query = LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert query is not None, variable["query"]
            found[variable["name"]] = prometheus.values_of(query["label"], _filled(query["selector"], found))
    return found


def asked(file: Path, values: dict[str, list[str]]) -> Iterator[Asked]:
    """Yield every query of every panel, filled in."""
    for panel in panels(file):
        for target in panel["targets"]:
            yield Asked(panel, _filled(target["expr"], values), target["legendFormat"], target["instant"])


def _filled(expression: str, values: dict[str, list[str]]) -> str:
    expression = expression.replace("$__rate_interval", f"{4 * SCRAPE_SECONDS}s")
    for name, chosen in values.items():
        pattern = "(" + "|".join(re.escape(value).replace("\\", "\\\\") for value in chosen) + ")"
        expression = expression.replace(f"${name}", pattern)
    return expression
