"""A soak: one fault after the other for a chosen time, `SOAK_SECONDS` (60), on a broker of its own, under load.

    SOAK_SECONDS=3600 make test-faults ARGUMENTS="-k soak -s"

It prints its seed (`SOAK_SEED` sets it), what it did, and how large the workers were; "none" among the faults gives
them time to recover, and to be seen idle.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kafka.working import RUNS, definitions
from tests.support import random_definitions
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import check
from tests.support.kafka.deployment import Deployment, events
from tests.support.kafka.worker_process import Process

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
PER_SECOND = 200
FAULT_SECONDS = 6.0
READ_SECONDS_MAX = 600.0


class Soak:
    """Two workers on a broker, and what can be done to them."""

    def __init__(self, deployment: Deployment, broker: Broker, rng: random.Random) -> None:
        self.deployment, self.broker, self.rng = deployment, broker, rng
        self.definitions = definitions(SEED)
        self.version = 1
        self.workers = {name: deployment.start_worker(name) for name in ("one", "two")}
        self.megabytes: list[float] = []
        self.faults: dict[str, Callable[[], None]] = {
            "none": lambda: None,
            "kill": self.kill,
            "term": self.term,
            "freeze": self.freeze,
            "freeze_broker": self.freeze_broker,
            "bounce_broker": self.bounce_broker,
            "kill_broker": self.kill_broker,
            "publish": self.publish,
        }

    def _somebody(self) -> str:
        return self.rng.choice(list(self.workers))

    def kill(self) -> None:
        """SIGKILL to a worker, which is started again."""
        name = self._somebody()
        self.workers[name].kill()
        self.workers[name] = self.deployment.start_worker(name)

    def term(self) -> None:
        """SIGTERM to a worker, which ends with 0 and is started again."""
        name = self._somebody()
        assert self.workers[name].stop() == 0
        self.workers[name] = self.deployment.start_worker(name)

    def freeze(self) -> None:
        """SIGSTOP to a worker, for less or more than its session lasts."""
        worker = self.workers[self._somebody()]
        worker.freeze()
        time.sleep(self.rng.uniform(0.5, 6))
        worker.thaw()

    def freeze_broker(self) -> None:
        """SIGSTOP to the broker."""
        self.broker.freeze()
        time.sleep(self.rng.uniform(0.5, 8))
        self.broker.thaw()

    def bounce_broker(self) -> None:
        """SIGTERM to the broker, which is started again."""
        self.broker.stop()
        self.broker.restart()

    def kill_broker(self) -> None:
        """SIGKILL to the broker, which is started again."""
        self.broker.kill()
        self.broker.restart()

    def publish(self) -> None:
        """Another version of the definitions."""
        self.version += 1
        self.definitions = random_definitions.changed(self.rng, self.definitions, new_reads=True)
        self.deployment.publish(self.definitions | {"version": self.definitions["version"] + self.version})

    def look(self) -> None:
        """Note how large the workers are."""
        self.megabytes += [resident_megabytes(worker) for worker in self.workers.values() if worker.is_running]


def resident_megabytes(worker: Process) -> float:
    """The memory that a process has in use."""
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


@pytest.mark.faults
def test_soak(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """After any number of faults everything that was written is there exactly once."""
    rng = random.Random(SEED)
    log = events(SEED, int(SECONDS * PER_SECOND))
    done: Counter[str] = Counter()
    with Broker() as broker, Deployment(broker, prefix, partitions=4, definitions=definitions(SEED)) as deployment:
        soak = Soak(deployment, broker, rng)
        soak.workers["one"].wait_for(RUNS)
        ending = time.monotonic() + SECONDS
        place = 0
        while time.monotonic() < ending:
            deployment.feed(log[place : place + int(FAULT_SECONDS * PER_SECOND)])
            place += int(FAULT_SECONDS * PER_SECOND)
            fault = rng.choice(list(soak.faults))
            soak.faults[fault]()
            done[fault] += 1
            time.sleep(rng.uniform(0, FAULT_SECONDS))
            soak.look()
        deployment.wait_until_read(READ_SECONDS_MAX)
        assert [worker.stop() for worker in soak.workers.values()] == [0, 0]
        verdict = check(deployment)
    with capsys.disabled():
        half = len(soak.megabytes) // 2
        first, second = (round(max(part, default=0)) for part in (soak.megabytes[:half], soak.megabytes[half:]))
        print(f"\nseed {SEED}: {dict(done)}, {verdict.counts}, largest worker {first} MB, then {second} MB")  # noqa: T201
