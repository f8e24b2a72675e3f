"""What the tests of faults from outside share: a deployment at work, and what it must still do when all is over.

The rule: a fault ends with everything read, a new version in force, a question answered by every partition, workers
that end when they are told to, and a checker that finds nothing wrong.
"""

import asyncio
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.kafka.broker import Broker, Cluster
from tests.support.kafka.checker import Verdict, check
from tests.support.kafka.deployment import SECONDS_MAX, Deployment, events
from tests.support.kafka.worker_process import Process
from worker.core.restoring import versions_of
from worker.operations.commanding import standings

__all__ = ["AGAIN", "LIBRARIES", "RUNS", "Scene", "definitions", "health", "scene_on"]

RUNS = "The partition runs."
AGAIN = "The partition starts again."
ANSWER_SECONDS = 5
# aiokafka and Faust, whose app is told under the name of its module, show where a connection broke.
LIBRARIES = r'"logger": "(aiokafka|faust|mode|worker\.agents\.following)\b'


def definitions(version: int) -> dict[str, Any]:
    """Return definitions that keep everybody moving; each version judges by another threshold."""
    return {
        "version": version,
        "segments": [
            {"id": "viewer", "enter": f"views_24h >= {2 + version % 3}"},
            {"id": "cart_abandoner", "enter": "cart_items > 0 and time_since_cart_add >= 30m"},
            {
                "id": "tier",
                "tiers": [{"id": "high", "enter": "spend_30d >= 200"}, {"id": "low", "enter": "spend_30d > 0"}],
            },
        ],
        "campaigns": [
            {
                "id": "cart_reminder", "trigger": {"entered": "cart_abandoner"}, "channel": "email",
                "cooldown": "1h", "holdout": 0.2, "conversion": {"event": "order", "within": "3d"},
            },
            {"id": "nudge", "trigger": {"exited": "viewer"}, "channel": "push", "delay": "10m"},
        ],
    }  # fmt: skip


class Scene:
    """A deployment and its first worker; what is fed is seeded, and never the same twice."""

    def __init__(self, deployment: Deployment, worker: Process, request: pytest.FixtureRequest) -> None:
        self.deployment, self.worker = deployment, worker
        self.version = 1
        self._properties = request.node.user_properties
        self._fed = 0

    def feed(self, count: int = 400) -> None:
        """Write more events."""
        self._fed += 1
        self.deployment.feed(events(self._fed, count))

    def wait_until_well(self) -> None:
        """Wait until everything is read, and a new version and a question have reached every partition."""
        began = time.monotonic()
        self.deployment.wait_until_read()
        self._properties.append(("recovery_seconds", round(time.monotonic() - began, 1)))
        self.version += 1
        self.deployment.publish(definitions(self.version))
        self._ask()

    def _ask(self) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        found: set[str | None] = set()
        while found != {str(self.version)}:
            assert time.monotonic() < deadline, f"version {self.version} isn't in force everywhere: {found}"
            answers = asyncio.run(standings(self.deployment.settings, ["worker"], ANSWER_SECONDS))
            found = {
                str(given.body.get("definitions")).partition("/")[0] if given else None for given in answers.values()
            }

    def versions(self) -> list[list[int]]:
        """Return which versions took effect in each partition, in order."""
        states = map(self.deployment.state, range(self.deployment.partitions))
        points = [[point for _, point in sorted(state.points.items())] for state in states]
        return [[version.checked.definitions.version for version in versions_of(taken)] for taken in points]

    def end(self) -> Verdict:
        """See that all is well, end all workers, and let the checker look."""
        self.wait_until_well()
        self.feed(50)
        self.deployment.wait_until_read()
        running = [worker for worker in self.deployment.workers if worker.is_running]
        causes = Counter(line["cause"] for worker in running for line in worker.said(AGAIN))
        self._properties.append(("restarts", str(dict(causes))))
        assert [worker.stop() for worker in running] == [0] * len(running)
        return check(self.deployment, tracebacks=LIBRARIES)


@contextmanager
def scene_on(broker: Broker | Cluster, prefix: str, request: pytest.FixtureRequest, *, partitions: int = 2,
             through: str | None = None, **settings: Any) -> Iterator[Scene]:  # fmt: skip
    """A deployment whose worker has read what there is; `through` is where the worker finds brokers (a proxy)."""
    with Deployment(broker, prefix, partitions=partitions, definitions=definitions(1), **settings) as deployment:
        worker = deployment.start_worker("one", bootstrap_servers=through or deployment.settings.bootstrap_servers)
        scene = Scene(deployment, worker, request)
        scene.feed()
        worker.wait_for(RUNS, count=partitions)
        deployment.wait_until_read()
        yield scene


def health(worker: Process, path: str) -> int:
    """Return the HTTP status of `live` or `ready`."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.http_port}/{path}", timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
