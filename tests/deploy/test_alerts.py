"""Alerts: each fires and stays quiet in Prometheus' own tests, is explained in the runbook, and has a panel."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from ruamel.yaml import YAML

from deploy.alerts import ALERTS, DASHBOARDS, GRAFANA, RECORDED, Alert, panel_of
from deploy.dashboards.panels import RUNBOOK
from tests.support.packages import need_programs
from worker.observe.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
CASES = Path(__file__).with_name("alerts.yml")
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PARTS = ("Means", "Look", "Do", "Over")
ALERT = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
OTHERS = {"up", "ALERTS", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes",
          "process_open_fds", "process_max_fds"}  # fmt: skip


@cache
def cases() -> list[dict[str, Any]]:
    """The tests that promtool runs."""
    return YAML(typ="safe").load(CASES.read_text(encoding="utf-8"))["tests"]


@cache
def rule_of(alert: Alert) -> dict[str, Any]:
    """The alert as it is in the file of rules."""
    groups = YAML(typ="safe").load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    (found,) = (rule for group in groups for rule in group["rules"] if rule.get("alert") == alert.name)
    return found


def checked(*command: str) -> str:
    """What a program says of what it checks, which must please it."""
    need_programs(promtool="prometheus", amtool="prometheus-alertmanager")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_alert_fires_and_stays_quiet_when_it_should() -> None:
    """`promtool test rules` on tests/deploy/alerts.yml, where each has a test of either kind."""
    names = {alert.name for alert in ALERTS}
    fires = {case["name"].split()[0] for case in cases() if case["name"].split()[1] == "fires"}
    quiet = {case["name"].split()[0] for case in cases() if " ".join(case["name"].split()[1:3]) == "is quiet"}
    assert fires == quiet == names
    checked("promtool", "test", "rules", str(CASES))


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["name"].split(" ", 2)[:2]))
def test_a_case_asks_for_what_its_name_says(case: dict[str, Any]) -> None:
    """One that fires expects at last the alert of its name, one that is quiet nothing at all."""
    name, kind = case["name"].split()[:2]
    last = case["promql_expr_test"][-1]
    assert f'alertname="{name}"' in last["expr"]
    assert bool(last["exp_samples"]) == (kind == "fires")
    assert all(f'alertname="{name}"' in sample["labels"] for sample in last["exp_samples"])


@ALERT
def test_an_alert_has_a_runbook_entry(alert: Alert) -> None:
    """What it means, where to look, what to do, and how to know that it is over; the annotation leads there."""
    entries = dict(ENTRY.findall(PAGE))
    assert set(entries) == {alert.name for alert in ALERTS}
    assert re.findall(r"^\*\*(\w+)\.\*\*", entries[alert.name], re.MULTILINE) == list(PARTS)
    assert rule_of(alert)["annotations"]["runbook_url"] == f"{RUNBOOK}#{alert.name.lower()}"


@ALERT
def test_an_alert_leads_to_a_panel_that_leads_to_the_runbook(alert: Alert) -> None:
    """The dashboard of the link exists, has that panel, and the panel's links have the alert's entry."""
    url = urlparse(rule_of(alert)["annotations"]["dashboard"])
    assert f"{url.scheme}://{url.netloc}" == GRAFANA
    uid, panel_id = panel_of(alert)
    assert url.path == f"/d/{uid}"
    assert parse_qs(url.query)["viewPanel"] == [str(panel_id)]
    file = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / f"{uid}.json").read_text(encoding="utf-8"))
    (panel,) = (panel for panel in file["panels"] if panel["id"] == panel_id)
    assert f"{RUNBOOK}#{alert.name.lower()}" in [link["url"] for link in panel["links"]]


@ALERT
def test_an_alert_speaks_only_of_labels_that_it_has(alert: Alert) -> None:
    """What its texts name is among the labels of the series that its test expects; each is a sentence or so."""
    case = next(case for case in cases() if case["name"].startswith(f"{alert.name} fires"))
    expected = case["promql_expr_test"][-1]["exp_samples"][0]["labels"]
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule_of(alert)["annotations"].values())))
    assert {f'{label}="' in expected for label in named} == {True}
    assert rule_of(alert)["labels"]["severity"] in ("page", "ticket")
    assert alert.summary
    assert alert.description.endswith(".")


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', "", expression)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"(?<!\$)\b(?:shoal|kafka|process)[a-z0-9_:]+|\bup\b|\bALERTS\b", bare))


def test_every_metric_in_rules_and_dashboards_is_in_the_catalogue() -> None:
    """Or is recorded by a rule, or is Prometheus' own or its client's."""
    shown = {family.name for family in CATALOGUE}
    shown |= {f"{family.name}_{part}" for family in CATALOGUE if family.kind == "histogram"
              for part in ("bucket", "sum", "count")}  # fmt: skip
    panels = [query.expression for board in DASHBOARDS for panel in board.panels for query in panel.queries]
    variables = [variable.metric for board in DASHBOARDS for variable in board.variables]
    asked = [*panels, *variables, *RECORDED.values(), *(alert.expression for alert in ALERTS)]
    named = set().union(*map(metrics_in, asked))
    assert named - shown - OTHERS - set(RECORDED) == set()
    assert len(named) > 40


def test_every_panel_has_a_unit_a_description_and_an_id_of_its_own() -> None:
    """So that nobody has to guess what it shows; ids are what alerts link to."""
    for board in DASHBOARDS:
        ids = [panel.id for panel in board.panels] + [row.id for row in board.rows]
        assert len(ids) == len(set(ids)), board.uid
        assert [panel.title for panel in board.panels if not panel.description or not panel.unit] == []
        assert {name for panel in board.panels for name in panel.alerts} <= {alert.name for alert in ALERTS}


def test_the_configurations_are_such_as_their_programs_take() -> None:
    """Prometheus with its rules, Alertmanager with its routes: a page goes where pages go, a ticket isn't one."""
    assert "SUCCESS" in checked("promtool", "check", "config", "prometheus.yml")
    assert "SUCCESS" in checked("amtool", "check-config", "alertmanager.yml")
    for severity in ("page", "ticket"):
        routed = checked("amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}")
        assert routed.split()[-1] == f"{severity}s"
