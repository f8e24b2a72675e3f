"""Panels, variables and dashboards, and the JSON that Grafana reads.

The rule: a panel has a unit and says what it shows and when to worry; a query that is rightly without series when all
is well shows 0. Panels keep their ids: alerts link to them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "GREEN",
    "ORANGE",
    "RED",
    "RUNBOOK",
    "Dashboard",
    "Panel",
    "Query",
    "Row",
    "Variable",
    "at",
    "json_of",
    "or_zero",
]

SCHEMA_VERSION = 38  # of Grafana 10's dashboards, which later ones read
RUNBOOK = "https://shoal.example/docs/runbook.md"  # where docs/runbook.md is published
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GREEN, ORANGE, RED = "green", "orange", "red"

Kind = Literal["timeseries", "stat", "bargauge", "table", "state-timeline"]
Json = dict[str, Any]


def at(name: str, **labels: str) -> str:
    """Return the selector of a metric in the chosen deployments; a value after `~` or `!~` is a pattern.

    >>> at("shoal_lag_seconds", partition="~$partition")
    'shoal_lag_seconds{deployment=~"$deployment",partition=~"$partition"}'
    """
    chosen = {"deployment": "~$deployment", **labels}
    return f"{name}{{{','.join(map(_matcher, chosen, chosen.values()))}}}"


def _matcher(label: str, value: str) -> str:
    sign = "!~" if value.startswith("!~") else "=~" if value.startswith("~") else "="
    return f'{label}{sign}"{value.lstrip("!~")}"'


def or_zero(expression: str) -> str:
    """Return the expression, or 0 where it has no series because nothing of the kind has happened."""
    return f"({expression}) or vector(0)"


@dataclass(frozen=True)
class Query:
    """What is asked of Prometheus, and how its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel: `steps` are thresholds, each a colour from a value on (None: from the beginning)."""

    id: int
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 7
    steps: tuple[tuple[float | None, str], ...] = ((None, GREEN),)
    alerts: tuple[str, ...] = ()
    stacked: bool = False
    minimum: float | None = 0.0
    mappings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Row:
    """A heading and what stands under it."""

    id: int
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice that the reader has: every value of a label of a metric."""

    name: str
    label: str
    metric: str

    @property
    def query(self) -> str:
        """Grafana's own function; a later variable keeps to the deployments that are chosen."""
        metric = self.metric if self.name == "deployment" else at(self.metric)
        return f"label_values({metric}, {self.name})"


@dataclass(frozen=True)
class Dashboard:
    """A page of panels; `uid` is part of its address."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def panels(self) -> list[Panel]:
        """All panels, from the top."""
        return [panel for row in self.rows for panel in row.panels]


def json_of(dashboard: Dashboard, others: Sequence[Dashboard]) -> str:
    """Return the file that Grafana provisions, with links to the other dashboards."""
    content = {
        "uid": dashboard.uid, "title": dashboard.title, "description": dashboard.description, "tags": ["shoal"],
        "editable": False, "graphTooltip": 1, "schemaVersion": SCHEMA_VERSION, "version": 1, "refresh": "30s",
        "timezone": "", "time": {"from": "now-3h", "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0,
        "annotations": {"list": [_alerts_as_annotations()]},
        "links": [_link(other.title, f"/d/{other.uid}?${{__url_time_range}}&${{deployment:queryparam}}")
                  for other in others if other is not dashboard],
        "templating": {"list": [_datasource(), *map(_variable, dashboard.variables)]},
        "panels": list(_placed(dashboard.rows)),
    }  # fmt: skip
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _placed(rows: Sequence[Row]) -> Iterator[Json]:
    """Every row's heading and its panels, left to right and as high as the highest beside them."""
    y = 0
    for row in rows:
        grid = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {"id": row.id, "type": "row", "title": row.title, "collapsed": False, "gridPos": grid, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, height = 0, y + height, 0
            yield _panel(panel, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x, height = x + panel.width, max(height, panel.height)
        y += height


def _panel(panel: Panel, grid: Mapping[str, int]) -> Json:
    return {
        "id": panel.id, "type": panel.kind, "title": panel.title, "description": panel.description,
        "gridPos": dict(grid), "datasource": DATASOURCE, "targets": list(_targets(panel)),
        "fieldConfig": {"defaults": _field(panel), "overrides": []}, "options": _options(panel),
        "links": [_link(f"Runbook: {alert}", f"{RUNBOOK}#{alert.lower()}") for alert in panel.alerts],
    }  # fmt: skip


def _targets(panel: Panel) -> Iterator[Json]:
    at_once = panel.kind in ("stat", "bargauge", "table")
    for number, query in enumerate(panel.queries):
        yield {
            "refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": query.expression,
            "legendFormat": query.legend or "__auto", "instant": at_once, "range": not at_once,
            "format": "table" if panel.kind == "table" else "time_series", "editorMode": "code",
        }  # fmt: skip


def _field(panel: Panel) -> Json:
    custom: Json = {}
    if panel.kind == "timeseries":
        custom = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if panel.stacked else 8, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        }  # fmt: skip
    field: Json = {
        "unit": panel.unit, "custom": custom, "noValue": "no data",
        "color": {"mode": "palette-classic" if panel.kind in ("timeseries", "table") else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in panel.steps]},
    }  # fmt: skip
    if panel.minimum is not None:
        field["min"] = panel.minimum
    if panel.mappings:
        options = {value: {"text": text, "index": index} for index, (value, text) in enumerate(panel.mappings)}
        field["mappings"] = [{"type": "value", "options": options}]
    return field


def _options(panel: Panel) -> Json:
    if panel.kind == "timeseries":
        legend = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind in ("stat", "bargauge"):
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        stat = {"graphMode": "none", "colorMode": "background", "textMode": "auto"}
        return {"reduceOptions": reduce, "orientation": "auto", **(stat if panel.kind == "stat" else {})}
    return {"showHeader": True} if panel.kind == "table" else {"showValue": "auto", "mergeValues": True}


def _datasource() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name, "label": variable.label, "type": "query", "datasource": DATASOURCE,
        "definition": variable.query, "query": {"query": variable.query, "refId": variable.name},
        "multi": True, "includeAll": True, "current": {"text": ["All"], "value": ["$__all"]}, "refresh": 2, "sort": 1,
    }  # fmt: skip


def _alerts_as_annotations() -> Json:
    """Where an alert fired, a mark on every graph."""
    return {
        "name": "Alerts", "datasource": DATASOURCE, "enable": True, "iconColor": RED, "step": "60s",
        "expr": 'ALERTS{alertstate="firing",alertname=~"Shoal.+",deployment=~"$deployment"}',
        "titleFormat": "{{alertname}}", "textFormat": "{{severity}}",
    }  # fmt: skip


def _link(title: str, url: str) -> Json:
    return {"title": title, "url": url, "type": "link", "targetBlank": True}
