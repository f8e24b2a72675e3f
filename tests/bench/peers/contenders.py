"""Who does the job: how each peer is started, what it promises, and how its results are read.

The place for one more is PEERS. A peer reads the input topic from its beginning as consumer group `group`, commits its
offsets there, writes to `output_topic` (which is `<group>.segment-changes`), and ends at SIGTERM.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tests.bench.peers.install import CLASSES, LIBS, install, python
from tests.bench.peers.job import NONE

__all__ = ["LOG", "PEERS", "Peer", "Program", "fold_segment_change"]

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

    def fold(self, result: Any, tiers: dict[str, str], as_of: Mapping[str, str]) -> None:
        """Let a result (JSON, parsed) change the tiers by user, unless it is of a time after `as_of` her."""
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

    def fold(self, result: Any, tiers: dict[str, str], as_of: Mapping[str, str]) -> None:  # noqa: ARG002
        """Take the tier; results come with events only, so none is of a later time."""
        tiers[result["user_id"]] = result["tier"]


def fold_segment_change(result: Any, tiers: dict[str, str], as_of: Mapping[str, str]) -> None:
    """Let one of Shoal's segment changes, under `definitions.yaml`, change the tiers by user: `Peer.fold` for Shoal.

    Between a user's events time goes on there; what it changed after the last of them no other peer knows of.
    """
    user = result["user_id"]
    if result["occurred_at"] <= as_of[user]:
        tiers[user] = result["segment"].partition(":")[2] if result["direction"] == "entered" else NONE


def _streams() -> list[str]:
    home = install()
    # Of the collectors the one that takes the least CPU here.
    return ["java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{home / CLASSES}:{home / LIBS}/*", "shoal.peers.Tiers"]


def _quix() -> list[str]:
    return [str(python(install(), "quix")), "-m", "tests.bench.peers.quix_app"]


def _faust() -> list[str]:
    return [str(python(install(), "faust")), "-m", "tests.bench.peers.faust_app"]


PEERS: Final[tuple[Peer, ...]] = (
    Program("Kafka Streams", "exactly once (v2), RocksDB", _streams),
    Program("Quix Streams", "exactly once, RocksDB", _quix),
    Program("Faust", "at least once, table in memory", _faust, share=0.1),
)
