"""A soak: one fault after the other for a chosen time, `SOAK_SECONDS` (60), to all roles over a shop under load.

    SOAK_SECONDS=3600 make test-faults ARGUMENTS="-k soak -s"

It prints its seed (`SOAK_SEED` sets it), what it did, and how large each role was; "none" among the faults gives them
time to recover, and to be seen idle. The world is `whole_shop.py`, what happens to it `whole_faults.py`, what must
hold `checker.py` and `whole_checks.py`.
"""

import os
import random
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.kafka.under_fault import LIBRARIES
from tests.kafka.working import RUNS
from tests.support.kafka.broker import Broker
from tests.support.kafka.checker import complaints
from tests.support.kafka.deployment import Deployment
from tests.support.kafka.whole_checks import wrong_with
from tests.support.kafka.whole_evidence import ended
from tests.support.kafka.whole_faults import Faults
from tests.support.kafka.whole_shop import ROLES, Shop, definitions, moody, simulation
from tests.support.kafka.worker_process import Process
from tests.support.receiver import Receiver

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", time.time_ns() % 1_000_000))
PER_SECOND = 200
FAULT_SECONDS = 6.0
READ_SECONDS_MAX = 600.0
USERS = 2_000
PER_DAY = 5_000  # records of so many users, at least
HOUR_MS = 3_600_000
MEMORY_SECONDS_LEAST = 600.0  # of a soak that says anything about memory
MEMORY_GROWTH_MAX = 1.25
MEMORY_MORE_MAX_MB = 30.0

Sizes = dict[str, list[tuple[float, float]]]
"""By role: when, as a share of the soak, and how large a process was, in MB."""


def resident_megabytes(process: Process) -> float:
    """The memory that a process has in use."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def look(shop: Shop, sizes: Sizes, share: float) -> None:
    """Note how large everybody is."""
    for name, process in shop.roles.items():
        if process.is_running:
            sizes[ROLES[name]].append((share, resident_megabytes(process)))


def largest(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """By role: how large a process was at most in the first half, and in the second, in MB."""

    def most(seen: list[tuple[float, float]], *, late: bool) -> int:
        return round(max((size for share, size in seen if (share >= 0.5) == late), default=0))

    return {role: (most(seen, late=False), most(seen, late=True)) for role, seen in sizes.items()}


def soak(shop: Shop, faults: Faults, rng: random.Random) -> Sizes:
    """One fault after the other under load."""
    sizes: Sizes = defaultdict(list)
    began = time.monotonic()
    while (share := (time.monotonic() - began) / SECONDS) < 1:
        faults.spared = list(ROLES)[int(share * len(ROLES))]
        shop.live(int(FAULT_SECONDS * PER_SECOND))
        time.sleep(rng.uniform(0, 1))
        faults.happen()
        time.sleep(rng.uniform(0, FAULT_SECONDS))
        look(shop, sizes, share)
    return sizes


@pytest.mark.faults
def test_soak(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """After any number of faults everything that each role owes is there, once, and none of them has grown."""
    rng = random.Random(SEED)
    with (
        Broker() as broker,
        Receiver(moody) as receiver,
        Deployment(broker, prefix, partitions=4, definitions=definitions(SEED)) as deployment,
    ):
        shop = Shop(deployment, receiver, simulation(SEED, USERS, int(SECONDS * PER_SECOND / PER_DAY) + 4))
        for name in ROLES:
            shop.start(name)
        shop.roles["one"].wait_for(RUNS)
        shop.live_until(time.time_ns() // 1_000_000 - 3 * HOUR_MS)
        faults = Faults(shop, broker, rng, SEED)
        with capsys.disabled():
            print(f"\nseed {SEED}", flush=True)  # noqa: T201
        sizes = soak(shop, faults, rng)
        evidence = ended(shop, READ_SECONDS_MAX)
        verdict = complaints(deployment, tracebacks=LIBRARIES)
    with capsys.disabled():
        counts = {name: len(records) for name, records in evidence.topics.items()} | verdict.counts
        print(f"{dict(faults.done)}, {counts}, {len(evidence.taken)} webhooks taken")  # noqa: T201
        print(f"largest in MB, first half and second: {largest(sizes)}")  # noqa: T201
    wrong = [*wrong_with(evidence), *verdict.wrong]
    assert not wrong, "\n".join(wrong)
    if SECONDS >= MEMORY_SECONDS_LEAST:
        grown = {role: (first, second) for role, (first, second) in largest(sizes).items()
                 if second > first * MEMORY_GROWTH_MAX + MEMORY_MORE_MAX_MB}  # fmt: skip
        assert not grown
