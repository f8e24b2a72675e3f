"""Clusters with the Prometheus operator: what the manifests start is scraped, under the labels that rules ask for."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.kustomize import rendered
from tests.support.packages import need_programs

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = ("worker", "trainer", "lift", "sinks")
CONFIG_MAP_BYTES_MAX = 262_144  # what `kubectl apply` can remember of an object
Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    """What is applied, by kind."""
    found = rendered(DEPLOY / "kubernetes", "monitoring", tmp_path_factory.mktemp("kustomize"))
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The pod templates of the example, each with its namespace."""
    found = rendered(DEPLOY / "kubernetes", "example", tmp_path_factory.mktemp("kustomize"))
    return [
        {**one["spec"]["template"], "namespace": one["metadata"]["namespace"]}
        for one in found
        if "replicas" in one.get("spec", {})
    ]


def test_the_operator_gets_the_rules_that_prometheus_gets(objects: dict[str, Object]) -> None:
    """To the letter."""
    rules = YAML(typ="safe").load((DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    assert objects["PrometheusRule"]["spec"] == rules


def test_every_role_is_scraped_under_the_labels_that_rules_ask_for(
    objects: dict[str, Object], pods: list[Object], tmp_path: Path
) -> None:
    """Prometheus itself relabels what it would discover of the example's pods; none of them is passed over."""
    monitor = objects["PodMonitor"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    chosen = [pod for pod in pods if monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()]
    ports = [port["name"] for pod in chosen for port in pod["spec"]["containers"][0]["ports"]]
    assert ports == [endpoint["port"]] * len(ROLES)
    found = relabelled(endpoint["relabelings"], list(map(discovered, chosen)), tmp_path)
    assert {(labels["job"], labels["deployment"]) for labels in found} == {
        (f"shoal-{role}", "shoal-north") for role in ROLES
    }


def discovered(pod: Object) -> dict[str, str]:
    """What Kubernetes tells Prometheus of a pod."""
    labels = {re.sub(r"\W", "_", name): value for name, value in pod["metadata"]["labels"].items()}
    told = {f"__meta_kubernetes_pod_label_{name}": value for name, value in labels.items()}
    return {**told, "__meta_kubernetes_namespace": pod["namespace"]}


def relabelled(relabelings: list[Object], pods: list[dict[str, str]], folder: Path) -> list[dict[str, str]]:
    """The labels that Prometheus gives to the targets that it discovers."""
    need_programs(promtool="prometheus")
    targets = [{"targets": [f"10.0.0.{place}:8080"], "labels": labels} for place, labels in enumerate(pods)]
    (folder / "pods.json").write_text(json.dumps(targets))
    config = {
        "job_name": "pods", "file_sd_configs": [{"files": [str(folder / "pods.json")]}],
        "relabel_configs": [{_snake(name): value for name, value in one.items()} for one in relabelings],
    }  # fmt: skip
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [config]}))
    command = ["promtool", "check", "service-discovery", "--timeout=1s", str(folder / "prometheus.yml"), "pods"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [target["labels"] for target in json.loads(done.stdout)]


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name)


def test_grafana_gets_every_dashboard_from_a_config_map(tmp_path: Path) -> None:
    """Each in one of its own, small enough to be applied, with the label that its sidecar looks for."""
    files = {file.name: file.read_text(encoding="utf-8") for file in (DEPLOY / "grafana" / "dashboards").iterdir()}
    found = rendered(DEPLOY, "grafana", tmp_path)
    assert {name: text for one in found for name, text in one["data"].items()} == files
    assert {one["metadata"]["labels"]["grafana_dashboard"] for one in found} == {"1"}
    assert all(len(json.dumps(one)) < CONFIG_MAP_BYTES_MAX for one in found)
