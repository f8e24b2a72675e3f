"""The manifests, as far as they can be held to something without a cluster.

What `kubectl kustomize` makes of the example obeys the schemas that Kubernetes publishes; its commands and settings are
Shoal's; and its pods may do as little as the restricted pod security standard wants.
"""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.support.command_lines import parsed
from tests.support.kustomize import rendered
from worker.agents.delivering import CLOSE_SECONDS_MAX
from worker.kafka.hotpath import STOP_SECONDS_MAX
from worker.settings import Settings, load

ROOT = Path(__file__).parents[2]
VERSIONS = ("1.30", "1.37")  # the oldest one that is looked after somewhere still, and the newest with schemas
Object = dict[str, Any]
RUNNING = {"worker", "trainer", "sinks", "lift"}
SECONDS_TO_SPARE = 10


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The example, as it would be applied."""
    return rendered(ROOT / "deploy" / "kubernetes", "example", tmp_path_factory.mktemp("kustomize"))


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """The pod templates, by the name of what makes the pods."""
    for found in objects:
        spec = found.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield found["metadata"]["name"], spec["template"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """All containers, also those that begin a pod."""
    for name, template in templates(objects):
        for one in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]:
            yield name, one


def mains(objects: list[Object]) -> dict[str, Object]:
    """The one container of each pod that does its work."""
    return {name: template["spec"]["containers"][0] for name, template in templates(objects)}


def settings_of(objects: list[Object], container: Object) -> dict[str, str]:
    """What a container is told by `SHOAL_*`; what comes from elsewhere as a text that stands for it."""
    (shared,) = (
        found["data"]
        for found in objects
        if found["kind"] == "ConfigMap" and found["metadata"]["name"] == container["envFrom"][0]["configMapRef"]["name"]
    )
    own = {entry["name"]: entry.get("value", "elsewhere") for entry in container["env"]}
    return {name.removeprefix("SHOAL_").lower(): value for name, value in {**shared, **own}.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_obeys_the_schema_of_its_kind(objects: list[Object], version: str) -> None:
    """As published, and strictly: a member that isn't known is refused, which a cluster would ignore."""
    for found in objects:
        kubernetes_validate.validate(found, version, strict=True)
    wrong = deepcopy(next(found for found in objects if found["kind"] == "StatefulSet"))
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = ["worker"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_pods_may_do_little(objects: list[Object]) -> None:
    """The restricted standard, and more: nobody is root, the root is read-only, no capabilities, no token."""
    assert len(list(templates(objects))) >= len(RUNNING) + 1
    for _, template in templates(objects):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(spec)
        assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} <= {
            "emptyDir", "configMap", "secret",
        }  # fmt: skip
    for _, container in containers(objects):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    (space,) = (found for found in objects if found["kind"] == "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {found["metadata"].get("namespace") for found in objects if found is not space} == {"shoal-north"}


def test_commands_and_settings_are_shoals(objects: list[Object]) -> None:
    """Each command with options that it has; each setting with a value that it takes; passwords come from files."""
    for container in mains(objects).values():
        assert parsed(container["args"])
        told = settings_of(objects, container)
        assert set(told) <= set(Settings.model_fields)
        assert not {"sasl_password", "webhook_secret", "audiences_write_key"} & set(told)
        files = {name: value for name, value in told.items() if name.endswith(("_file", "cafile"))}
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert all(any(value.startswith(f"{mount}/") for mount in mounts) for value in files.values())
        given = {name: value for name, value in told.items() if name not in files} | {"sasl_password": "from a file"}
        checked = load(**given)
        assert (checked.topic_prefix, checked.security_protocol) == ("north.", "SASL_SSL")


def test_long_running_roles_are_probed_and_have_stable_names(objects: list[Object]) -> None:
    """Alive by /live alone, ready by /ready; a static member of its group; one at a time but for the workers."""
    found = {name: container for name, container in mains(objects).items() if "livenessProbe" in container}
    assert set(found) == RUNNING & set(mains(objects))
    for name, container in found.items():
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
        assert [probe["path"] for probe in probes] == ["/live", "/live", "/ready"]
        assert settings_of(objects, container)["http_port"] == str(container["ports"][0]["containerPort"])
        assert settings_of(objects, container)["http_host"] == "0.0.0.0"  # noqa: S104  in a pod of its own
        (instance,) = (entry for entry in container["env"] if entry["name"] == "SHOAL_INSTANCE_ID")
        if name == "worker":
            assert instance["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
        else:
            assert instance["value"] == name
    for deployment in (found for found in objects if found["kind"] == "Deployment"):
        assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_pods_have_longer_to_end_than_they_need(objects: list[Object]) -> None:
    """A transaction under way, and for sinks requests, may end before anybody is killed."""
    needed = Settings().commit_deadline_ms / 1000 + STOP_SECONDS_MAX + CLOSE_SECONDS_MAX + SECONDS_TO_SPARE
    for name, template in templates(objects):
        if name in RUNNING:
            assert template["spec"]["terminationGracePeriodSeconds"] >= needed


def test_selectors_select(objects: list[Object]) -> None:
    """Services, budgets and policies are about pods that there are; the policy about all of them."""
    pods = [template["metadata"]["labels"] for _, template in templates(objects)]
    for found in objects:
        spec = found.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if selector is None or found["kind"] == "Job":
            continue
        wanted = selector.get("matchLabels", selector)
        selected = [labels for labels in pods if wanted.items() <= labels.items()]
        assert selected, found["metadata"]["name"]
        if found["kind"] == "NetworkPolicy" and found["metadata"]["name"] == "shoal":
            assert selected == pods


def test_what_has_to_be_there_already_is_told(objects: list[Object]) -> None:
    """Every secret that pods want is named in the guide; a certificate's place is in the example."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    wanted = {
        volume["secret"]["secretName"]
        for _, template in templates(objects)
        for volume in template["spec"]["volumes"]
        if "secret" in volume
    }
    assert {name for name in wanted if f"`{name}`" not in page} == set()
    assert any(found["metadata"]["name"].startswith("kafka-authority") for found in objects)
