"""Who does the job: how each peer is started, what it promises, and how its results are read.

The place for one more is PEERS. A peer reads the input topic from its beginning as consumer group `group`, commits its
offsets there, writes to `output_topic` (which is `<group>.segment-changes`), and ends at SIGTERM.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tests.bench.peers.events import Expected, differences, milliseconds
from tests.bench.peers.install import CLASSES, LIBS, install, python
from tests.bench.peers.job import NONE, PARTITIONS
from worker.bench.kafka_place import DEFINITIONS
from worker.errors import JobFailed

__all__ = ["LOG", "PEERS", "Peer", "Program", "Shoal"]

ROOT: Final = Path(__file__).resolve().parents[3]
LOG: Final = "log"


class Peer(Protocol):
    """One that does the job.

    `guarantee` says in words how often a result appears when something dies; `share` is how much of the events it is
    given: a slow one a part, so that it is done in about the time of the others.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def guarantee(self) -> str: ...  # noqa: D102

    @property
    def share(self) -> float: ...  # noqa: D102

    def start(
        self, bootstrap: str, input_topic: str, output_topic: str, group: str, folder: Path
    ) -> subprocess.Popen[bytes]:
        """Start it, with a folder for its state; what it says goes to the file LOG there."""
        ...

    def fold(self, result: Any, tiers: dict[str, str], as_of: Mapping[str, int]) -> None:
        """Let a result (JSON, parsed) change the tiers by user, unless it is of a time after `as_of` her."""
        ...

    def judged(self, tiers: dict[str, str], expected: Expected) -> tuple[int | None, list[str] | None]:
        """Return how many results there have to be, and whose last tier is wrong; None where that can't be said."""
        ...


@dataclass(frozen=True)
class Program:
    """A peer that is a program with the arguments of `start`, and writes what `job.change` gives."""

    name: str
    guarantee: str
    command: Callable[[], list[str]]
    share: float = 1.0

    def start(
        self, bootstrap: str, input_topic: str, output_topic: str, group: str, folder: Path
    ) -> subprocess.Popen[bytes]:
        """Start it."""
        command = [*self.command(), bootstrap, input_topic, output_topic, group, str(folder)]
        with (folder / LOG).open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def fold(self, result: Any, tiers: dict[str, str], as_of: Mapping[str, int]) -> None:  # noqa: ARG002
        """Take the tier; results come with events only, so none is of a later time."""
        tiers[result["user_id"]] = result["tier"]

    def judged(self, tiers: dict[str, str], expected: Expected) -> tuple[int | None, list[str] | None]:
        """Every change of tier is a result."""
        return expected.changes, differences(expected.tiers, tiers)


@dataclass(frozen=True)
class Shoal:
    """Shoal itself: one worker, on topics that are named after the group.

    Under other definitions than those that say what the job does, results are only counted.
    """

    name: str
    definitions: Path
    does_the_job: bool = True
    guarantee: str = "exactly once, rows in memory and a changelog"
    share: float = 1.0

    def start(
        self, bootstrap: str, input_topic: str, output_topic: str, group: str, folder: Path
    ) -> subprocess.Popen[bytes]:
        """Start it; what an operator does before (topics, definitions) has been done then."""
        settings = {
            "bootstrap_servers": bootstrap, "topic_prefix": output_topic.removesuffix("segment-changes"),
            "input_topic": input_topic, "group": group, "clock": "event", "http_port": "0", "instance_id": "peer",
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        environment = inherited | {f"SHOAL_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "worker"]
        create = ["topics", "create", "--partitions", str(PARTITIONS)]
        for before in (create, ["definitions", "publish", str(self.definitions)]):
            done = subprocess.run([*command, *before], cwd=ROOT, env=environment, capture_output=True, check=False)
            if done.returncode:
                raise JobFailed(f"{self.name} can't be started: {done.stderr.decode(errors='replace').strip()}")
        with (folder / LOG).open("wb") as log:
            return subprocess.Popen(
                [*command, "worker"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def fold(self, result: Any, tiers: dict[str, str], as_of: Mapping[str, int]) -> None:
        """Take the tier; what time changed after a user's last event no other peer knows of."""
        user = result["user_id"]
        if milliseconds(result["occurred_at"]) <= as_of[user]:
            tiers[user] = result["segment"].partition(":")[2] if result["direction"] == "entered" else NONE

    def judged(self, tiers: dict[str, str], expected: Expected) -> tuple[int | None, list[str] | None]:
        """A change of tier is an exit, an entry or both, and time makes some that the others don't have."""
        return None, differences(expected.tiers_in_time(), tiers) if self.does_the_job else None


def _streams() -> list[str]:
    home = install()
    # Of the collectors the one that takes the least CPU here.
    return ["java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{home / CLASSES}:{home / LIBS}/*", "shoal.peers.Tiers"]


def _quix() -> list[str]:
    return [str(python(install(), "quix")), "-m", "tests.bench.peers.quix_app"]


def _faust() -> list[str]:
    return [str(python(install(), "faust")), "-m", "tests.bench.peers.faust_app"]


PEERS: Final[tuple[Peer, ...]] = (
    Shoal("Shoal", DEFINITIONS["equivalent"]),
    Shoal("Shoal demo", DEFINITIONS["demo"], does_the_job=False),
    Program("Kafka Streams", "exactly once (v2), RocksDB", _streams),
    Program("Quix Streams", "exactly once, RocksDB", _quix),
    Program("Faust", "at least once, table in memory", _faust, share=0.1),
)
