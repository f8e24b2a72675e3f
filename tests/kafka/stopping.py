"""What the tests of partitions that stop share: what they say, and that they have written nothing."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from typing import Any

from schemas.topics import TOPICS
from tests.support.kafka.deployment import SECONDS_MAX, Deployment
from tests.support.kafka.worker_process import Process

__all__ = ["ready", "stopped", "written"]

POLL_SECONDS = 0.1


def stopped(worker: Process, partitions: Collection[int]) -> dict[int, str]:
    """Wait until these partitions have stopped, and no others; return the sentences, which /ready has as well."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        _, states = ready(worker)
        said = {number: state["detail"] for number, state in states.items() if state["state"] == "stopped"}
        if set(said) == set(partitions):
            break
        assert time.monotonic() < deadline, f"{sorted(said)} have stopped\n{worker.last_words()}"
        time.sleep(POLL_SECONDS)
    logged = {line.get("partition"): line["event"] for line in worker.logs if line.get("level") == "error"}
    assert {number: logged.get(number) for number in said} == said
    return said


def ready(worker: Process) -> tuple[bool, dict[int, dict[str, Any]]]:
    """Return what /ready answers: whether it is, and how each partition does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.http_port}/ready", timeout=10) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as refused:
        body = json.load(refused)
    return body["ready"], {int(number): state for number, state in body["partitions"].items()}


def written(deployment: Deployment, partitions: Collection[int]) -> dict[str, dict[int, int]]:
    """Return the ends of everything that workers write, in these partitions."""
    names = [topic.name for topic in TOPICS if topic.direction != "read" and topic.partitions == "as the input"]
    ends = {name: deployment.ends(name, "read_uncommitted") for name in names}
    return {name: {partition: found[partition] for partition in partitions} for name, found in ends.items()}
