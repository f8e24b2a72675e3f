"""`python -m tests.bench.peers.run`: what the same job costs each peer, on the same topic of one broker.

Two CPU times per event: `cold`, from the peer's start to the last event; `warm`, of the second half of the events only,
when caches are filled and a JVM has compiled what is hot (which takes it a million events). They include everything
that the peer's process does; what the broker does at the same time is told beside them.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from tests.bench.peers.cluster import Cluster
from tests.bench.peers.contenders import LOG, PEERS, Peer
from tests.bench.peers.events import Expected, keyed
from tests.bench.peers.watch import figures, watch
from tests.support.kafka.broker import Broker
from worker.bench.meter import machine
from worker.bench.peers_report import as_table
from worker.errors import JobFailed, ShoalError, WrongUsage

__all__ = ["measure"]

Data = dict[str, Any]
Say = Callable[[str], object]

ADDRESS: Final = re.compile(r"[^,:\s]+:\d+")
EVENTS: Final = 2_000_000
EVENTS_MIN: Final = 1_000
USERS: Final = 50_000
STOP_SECONDS_MAX: Final = 30.0
JAVA_OPTIONS: Final = ("-Xmx1g", "-XX:TieredStopAtLevel=4")  # of our own broker: it runs for minutes, not seconds
LAST_WORDS: Final = 5  # lines of a peer's log


@dataclass(frozen=True)
class Given:
    """A topic with events on it, and what has to come of them."""

    topic: str
    events: int
    expected: Expected


def measure(
    bootstrap: str | None,
    events: int = EVENTS,
    repeats: int = 1,
    *,
    peers: Sequence[Peer] = PEERS,
    say: Say = lambda _: None,
) -> Data:
    """Write events onto a new topic and let every peer do the job on it, one after the other, `repeats` times in turn.

    Without `bootstrap` on a broker that is started for it.
    Returns `events`, `users`, `machine` and `peers`: an object for each, with the figures of that of its runs that took
    the least warm CPU, and all `runs`. A run has what `watch.figures` says, `results` (how many records it wrote),
    `results_expected`, and the users whose last tier is wrong, as `differences` (both None where nobody can say). `say`
    is told what is being done. The topics are deleted at the end.

    Raises:
        JobFailed: no broker answers, or a peer ended or stood still before it was done.
        WrongUsage: the address or a number is wrong, or the peers can't be made ready here.
    """
    if bootstrap is not None and not ADDRESS.fullmatch(bootstrap):
        raise WrongUsage(f"{bootstrap} isn't the address of a broker: give host:port, as in 127.0.0.1:9092.")
    if events < EVENTS_MIN or repeats < 1:
        raise WrongUsage(f"At least {EVENTS_MIN:,} events and one run are needed to say anything: ask for more.")
    with _broker(bootstrap) as address:
        return asyncio.run(_measure(address, events, repeats, peers, say))


@contextmanager
def _broker(bootstrap: str | None) -> Iterator[str]:
    """The address of the broker that is given, or of one of our own, made to last rather than to start quickly."""
    if bootstrap is not None:
        yield bootstrap
        return
    with Broker(java_options=JAVA_OPTIONS) as broker:
        yield broker.bootstrap


async def _measure(bootstrap: str, events: int, repeats: int, peers: Sequence[Peer], say: Say) -> Data:
    run = f"peers-{uuid.uuid4().hex[:8]}"
    runs: dict[str, list[Data]] = {peer.name: [] for peer in peers}
    async with Cluster(bootstrap) as cluster:
        try:
            given = {
                share: await _written(cluster, f"{run}.events-{share}", round(events * share), say)
                for share in sorted({peer.share for peer in peers})
            }
            for number in range(repeats):
                for peer in peers:
                    say(f"measuring {peer.name}")
                    group = f"{run}.{peer.name.lower().replace(' ', '-')}-{number}"
                    runs[peer.name].append(await _run(cluster, peer, given[peer.share], group))
        finally:
            await cluster.remove(run)
    best = [_best(peer, runs[peer.name]) for peer in peers]
    return {"events": events, "users": USERS, "peers": best, "machine": machine()}


async def _written(cluster: Cluster, topic: str, events: int, say: Say) -> Given:
    """Write the first so many events of those that are the same for all."""
    say(f"writing {events:,} events")
    expected = Expected()
    await cluster.create(topic)
    await cluster.write(topic, map(expected.told, keyed(events, USERS)))
    return Given(topic, events, expected)


async def _run(cluster: Cluster, peer: Peer, given: Given, group: str) -> Data:
    """Start a peer, wait until it is done, stop it; return its figures. What it made on the broker goes at once."""
    output = f"{group}.segment-changes"
    await cluster.create(output)
    with tempfile.TemporaryDirectory(prefix="shoal-peers-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        process = peer.start(cluster.bootstrap, given.topic, output, group, folder)
        try:
            marks = await watch(cluster, process, given.topic, group, given.events)
        except JobFailed as error:
            raise JobFailed(f"{peer.name} {error}; the last it said:\n{_last_words(folder)}") from None
        finally:
            _stop(process)
    judged = await _judged(cluster, peer, output, given.expected)
    await cluster.remove(group)
    return figures(marks) | judged


def _last_words(folder: Path) -> str:
    said = (folder / LOG).read_text(encoding="utf-8", errors="replace") if (folder / LOG).exists() else ""
    return "\n".join(said.strip().splitlines()[-LAST_WORDS:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _judged(cluster: Cluster, peer: Peer, output: str, expected: Expected) -> Data:
    """Count the results and hold every user's last tier to what it should be, where that is known."""
    results = 0
    tiers: dict[str, str] = {}
    async for value in cluster.read(output):
        results += 1
        peer.fold(json.loads(value), tiers, expected.as_of)
    due, wrong = peer.judged(tiers, expected)
    return {"results": results, "results_expected": due, "differences": wrong}


def _best(peer: Peer, runs: list[Data]) -> Data:
    least = min(runs, key=lambda run: run["warm_us"] or run["cold_us"])
    return {"name": peer.name, "guarantee": peer.guarantee, **least, "runs": runs}


def main() -> int:
    """Return the exit status: 0 done, 1 the job failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers.run", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bootstrap", help="a broker on this machine, host:port (default: one of its own)")
    parser.add_argument("--events", type=int, default=EVENTS, help="how many (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each peer, of which the best is shown")
    parser.add_argument(
        "--peer", action="append", choices=[peer.name for peer in PEERS], help="only this one, or these"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    given = parser.parse_args()
    peers = [peer for peer in PEERS if not given.peer or peer.name in given.peer]
    errors = Console(stderr=True)
    say: Say = errors.print if errors.is_terminal else lambda _: None
    try:
        result = measure(given.bootstrap, given.events, given.repeats, peers=peers, say=say)
    except ShoalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    if given.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        Console().print(as_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
