"""`docker-compose.yml` and the image, as far as they can be held to something without Docker.

The file obeys the Compose Specification's schema, its commands and settings are Shoal's, and what it has containers do
is done here by processes, on a broker of the same settings.
"""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from jsonschema import Draft7Validator
from ruamel.yaml import YAML
from typer.exceptions import TyperException

from tests.kafka.secured import running, shoal, within_a_minute
from tests.support.command_lines import parsed
from tests.support.kafka.broker import Broker
from worker.kafka.clients import admin, reader
from worker.settings import Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "shoal"}
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
# Of Kafka's start script, not of its properties.
OF_THE_SCRIPT = {"KAFKA_HEAP_OPTS"}
PROPERTIES = {
    name.removeprefix("KAFKA_").lower().replace("_", "."): value
    for name, value in SERVICES["kafka"]["environment"].items()
    if name not in OF_THE_SCRIPT
}
# A test's broker has addresses, an id and a disk of its own.
ITS_OWN = re.compile(r"node\.id|process\.roles|controller\..*|.*listener.*|log\.dirs")


def test_the_file_obeys_the_compose_specification() -> None:
    """The schema as published; a service without a place in it is refused by the same."""
    schema = json.loads((ROOT / "tests" / "contract" / "compose-spec.json").read_text(encoding="utf-8"))
    validator = Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({**COMPOSE, "services": {"worker": {"comand": ["worker"]}}})


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_the_command_lines(name: str) -> None:
    """With options that it has, and values that they take."""
    assert parsed(OURS[name]["command"])


@pytest.mark.parametrize("wrong", [["topics", "make"], ["topics", "check", "--all"], ["simulate", "--days", "many"]])
def test_a_command_that_is_none_would_be_noticed(wrong: list[str]) -> None:
    """The test above can fail: over a name, an option, a value."""
    with pytest.raises(TyperException):
        parsed(wrong)


@pytest.mark.parametrize("name", OURS)
def test_settings_are_those_of_shoal(name: str) -> None:
    """Each variable is a setting, with a value that it takes; the brokers are those of the file."""
    told = {variable.removeprefix("SHOAL_").lower(): value for variable, value in OURS[name]["environment"].items()}
    assert set(told) <= set(Settings.model_fields)
    host, _, port = load(**told).bootstrap_servers.partition(":")
    assert f"://{host}:{port}" in PROPERTIES["advertised.listeners"]


def test_services_and_volumes_that_are_named_are_there() -> None:
    """What is waited for is a service; what is mounted is a volume of the file, or something that is there."""
    assert {other for service in SERVICES.values() for other in service.get("depends_on", {})} <= set(SERVICES)
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"])
    assert all((ROOT / source).exists() for source in sources if source.startswith("./"))


def test_containers_may_do_little() -> None:
    """None has capabilities or gets new ones; ours run as nobody in particular, on a root that is read-only."""
    for service in SERVICES.values():
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert all(service["read_only"] is True for name, service in SERVICES.items() if name != "kafka")
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["65532:65532"]
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_the_image_copies_is_sent_to_the_builder() -> None:
    """Each source of a COPY is there, and .dockerignore lets it through."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == let_through
    assert all((ROOT / source).exists() for source in copied)
    assert "*" in ignored


@pytest.fixture(scope="module")
def composed() -> Iterator[Broker]:
    """A broker with the settings of the file."""
    with Broker({name: value for name, value in PROPERTIES.items() if not ITS_OWN.fullmatch(name)}) as running:
        yield running


def test_the_brokers_settings_are_kafkas(composed: Broker) -> None:
    """Kafka ignores a setting that it doesn't know: each is one that it does."""

    async def known() -> set[str]:
        async with admin(load(bootstrap_servers=composed.bootstrap)) as client:
            answers = await client.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
        return {entry[0] for answer in answers for resource in answer.resources for entry in resource[4]}

    assert set(PROPERTIES) - within_a_minute(known()) == set()


def test_the_deployment_comes_to_life(composed: Broker, tmp_path: Path) -> None:
    """Commands as in the file, in its order: topics, definitions, a worker that gets healthy, the rest, a shop."""
    port = free_port()
    given = {name: told(service, composed, port) for name, service in OURS.items()}
    shoal(given["topics"], *OURS["topics"]["command"])
    assert shoal(given["topics"], "topics", "check").stdout == "The topics are as they should be.\n"
    published = shoal(given["publish"], *(mounted(OURS["publish"], part) for part in OURS["publish"]["command"]))
    assert published.stdout.startswith("Published")
    files = {name: tmp_path / name for name in ("worker", "trainer", "sinks", "shop")}
    with (
        running(given["worker"], *OURS["worker"]["command"], said=files["worker"]) as worker,
        running(given["trainer"] | {"http_port": "0"}, *OURS["trainer"]["command"], said=files["trainer"]) as trainer,
        running(given["sinks"] | {"http_port": "0"}, *OURS["sinks"]["command"], said=files["sinks"]) as sinks,
    ):
        wait_until(lambda: is_healthy(port), files["worker"])
        wait_until(lambda: "The trainer learns." in files["trainer"].read_text(), files["trainer"])
        with running(given["shop"], *OURS["shop"]["command"], said=files["shop"]):
            prefix = load(**given["worker"]).topic_prefix
            for topic, log in (("segment-changes", files["worker"]), ("audience-events", files["sinks"])):
                wait_until(lambda: within_a_minute(records(given["worker"], prefix + topic)) > 0, log)  # noqa: B023
        for process in (worker, trainer, sinks):
            process.terminate()
        told_last = "".join(file.read_text() for file in files.values())
        assert [process.wait(60) for process in (worker, trainer, sinks)] == [0, 0, 0], told_last


def told(service: dict[str, Any], broker: Broker, port: int) -> dict[str, str]:
    """A service's settings, but for addresses."""
    given = {variable.removeprefix("SHOAL_").lower(): value for variable, value in service["environment"].items()}
    return given | {"bootstrap_servers": broker.bootstrap, "http_host": "127.0.0.1", "http_port": str(port)}


def mounted(service: dict[str, Any], part: str) -> str:
    """A word of a command; the path in the container of what is mounted as the path outside."""
    mounts = {inside: outside for outside, inside, *_ in (volume.split(":") for volume in service.get("volumes", []))}
    return str(ROOT / mounts[part]) if part in mounts else part


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as trying:
        trying.bind(("127.0.0.1", 0))
        return int(trying.getsockname()[1])


def is_healthy(port: int) -> bool:
    """What the health check of the file says, asked at another port."""
    (_, program, *arguments) = OURS["worker"]["healthcheck"]["test"]
    assert program == "python"
    asked = [argument.replace(":8080", f":{port}") for argument in arguments]
    return subprocess.run([sys.executable, *asked], capture_output=True, check=False).returncode == 0


async def records(given: dict[str, str], topic: str) -> int:
    """How many records can be read in a topic."""
    async with reader(load(**given)) as reading:
        partitions = [TopicPartition(topic, number) for number in range(4)]
        return sum((await reading.end_offsets(partitions)).values())


def wait_until(holds: Callable[[], bool], log: Path) -> None:
    """Wait for something that must come within two minutes."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
