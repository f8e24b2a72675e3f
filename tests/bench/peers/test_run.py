"""The benchmark of the peers on a real broker, with few events: what it says, not how fast anything is.

Faust stands for all others: it is the one that needs nothing beyond what the tests have.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.bench.peers.cluster import Cluster
from tests.bench.peers.contenders import PEERS, Program, Shoal
from tests.bench.peers.run import measure
from tests.bench.peers.watch import Mark, figures
from tests.support.kafka.broker import Broker
from worker.bench import peers
from worker.bench.peers_report import as_table
from worker.bench.processes import cpu_seconds, is_local, listener
from worker.errors import JobFailed, WrongUsage

pytestmark = pytest.mark.xdist_group("kafka-0")

Data = dict[str, Any]
EVENTS = 2_000
SPIN = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker to measure on."""
    with Broker() as running:
        yield running


@pytest.fixture(scope="module")
def result(broker: Broker) -> Data:
    """What is said of Faust and of Shoal, under both definitions."""
    faust = Program("Faust", "at least once", lambda: [sys.executable, "-m", "tests.bench.peers.faust_app"])
    return measure(broker.bootstrap, EVENTS, peers=[faust, *(peer for peer in PEERS if isinstance(peer, Shoal))])


def test_each_peer_does_the_job(result: Data) -> None:
    """They were given all events and left every user in the right tier; Faust wrote every change of one."""
    assert [peer["events"] for peer in result["peers"]] == [EVENTS] * 3
    faust, shoal, demo = result["peers"]
    assert faust["results"] == faust["results_expected"] > 0
    assert faust["differences"] == shoal["differences"] == []
    assert shoal["results"] > 0
    assert demo["results"] > 0


def test_what_nobody_can_say_is_left_open(result: Data) -> None:
    """Other definitions give other results, and of what time changes the others know nothing."""
    _, shoal, demo = result["peers"]
    assert shoal["results_expected"] is demo["results_expected"] is demo["differences"] is None


def test_its_cpu_and_the_brokers_are_told(result: Data) -> None:
    """Both took some, and there is a line for each run."""
    for peer in result["peers"]:
        assert peer["cold_us"] > 0
        assert peer["broker_cold_us"] > 0
        assert peer["events_per_second"] > 0
        assert [run["cold_us"] for run in peer["runs"]] == [peer["cold_us"]]


def test_nothing_is_left_on_the_broker(result: Data, broker: Broker) -> None:
    """The topics of a run are gone, the peer's own too."""

    async def all_gone() -> bool:
        async with asyncio.timeout(60), Cluster(broker.bootstrap) as cluster:
            while await cluster.topics("peers-"):  # noqa: ASYNC110  only the broker knows when
                await asyncio.sleep(0.05)
        return True

    assert result["peers"]
    assert asyncio.run(all_gone())


def test_the_table_is_uncut_on_80_columns(result: Data) -> None:
    """A person sees each peer with its figures and what it promises; a ratio to Shoal only where there is one."""
    console = Console(width=80, file=None)
    with console.capture() as capture:
        console.print(as_table(result))
    shown = capture.get()
    assert "at least once" in shown
    assert f"{EVENTS:,}" in shown
    assert "…" not in shown


def test_a_peer_that_ends_is_named_with_its_last_words(broker: Broker) -> None:
    """One that doesn't come up fails the job in a sentence, followed by what it said."""
    broken = Program("Broken", "never", lambda: [sys.executable, "-c", "import sys; sys.exit('no such setting')"])
    with pytest.raises(JobFailed, match=r"^Broken ended with status 1 after 0 events; .*\nno such setting$"):
        measure(broker.bootstrap, 1_000, peers=[broken])


@pytest.mark.parametrize(("bootstrap", "events"), [("localhost", 1_000), ("127.0.0.1:9092", 5)])
def test_wrong_arguments_are_refused(bootstrap: str, events: int) -> None:
    """An address without a port, and too few events, are told before anything is done."""
    with pytest.raises(WrongUsage):
        measure(bootstrap, events)


def test_figures_are_per_event_between_marks() -> None:
    """Warm is the second half, cold is all of it; what wasn't seen or took no events is None."""
    marks = [Mark(0, 0.0, 0.0, None), Mark(10, 1.0, 0.5, None), Mark(50, 2.0, 1.0, None), Mark(100, 4.0, 1.1, None)]
    told = figures(marks)
    assert (told["warm_us"], told["cold_us"], told["first_tenth_us"]) == (2_000.0, 11_000.0, 50_000.0)
    assert (told["events_per_second"], told["events_per_second_warm"]) == (25, 25)
    assert told["broker_warm_us"] is None
    assert figures([marks[0], *[marks[3]] * 3])["warm_us"] is None


def test_cpu_time_is_the_process_own() -> None:
    """A process that spins until it has used 0.3 s is said to have used as much, to a tick of the kernel's clock."""
    with subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_seconds(process.pid) >= 0.28


def test_the_listener_of_a_port_is_found() -> None:
    """It is this process while its socket listens, and nobody afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = listener(port)
    assert found == os.getpid()
    assert listener(port) is None


def test_this_machine_is_told_from_others() -> None:
    """Loopback is here; an address that only documentation uses is not, nor is a name that nobody has."""
    assert is_local("127.0.0.1")
    assert not is_local("192.0.2.1")
    assert not is_local("nobody.invalid")


def test_without_a_checkout_there_are_no_peers(tmp_path: Path) -> None:
    """What is installed has them not; a sentence says where they are."""
    with pytest.raises(WrongUsage, match="from a checkout"):
        peers.run(EVENTS, lambda _: None, tmp_path)
