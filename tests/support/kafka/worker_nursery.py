"""Workers without the wait: one process has loaded and compiled everything, and forks itself for each that is started.

A worker's start takes 1.5 s of a processor, nearly all of it imports; tests start hundreds. What is forked goes on as
`worker_under_test` with an environment, a log and a session of its own, and ends as any process does.

    a line in   {"role": "worker", "environment": {…}, "log": path, "status": path}
    a line out  the process id; once it has ended, the file `status` holds the exit status, negative for a signal

The rule: what is forked has no memory of the others; and when the one who asks is gone, so is everything here.
"""

import atexit
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["Forked", "nursery"]

ROOT = Path(__file__).parents[3]
POLL_SECONDS = 0.02


class Forked:
    """A process that was forked: what `subprocess.Popen` is, as far as it is used here."""

    def __init__(self, pid: int, status: Path) -> None:
        self.pid = pid
        self._status = status

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs, frozen or not."""
        return int(self._status.read_text()) if self._status.exists() else None

    def wait(self, seconds: float | None = None) -> int:
        """Return the exit status once it has ended. Raises subprocess.TimeoutExpired."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("worker", seconds or 0)
            time.sleep(POLL_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """The process that forks, as the tests see it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.kafka.worker_nursery"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,  # a signal for the tests' whole group leaves it alive, to kill the others
        )  # fmt: skip
        atexit.register(self.close)

    def start(self, role: str, environment: Mapping[str, str], log: Path, status: Path) -> Forked:
        """Start a worker, or another role, with an environment, all of it, that logs into a file."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"role": role, "environment": dict(environment), "log": str(log), "status": str(status)}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return Forked(int(self._process.stdout.readline()), status)

    def close(self) -> None:
        """Kill every worker that runs, and end."""
        self._process.communicate()


@lru_cache(1)
def nursery() -> Nursery:
    """Return the one of this process, which is started the first time."""
    return Nursery()


# What runs in the process itself.

_statuses: dict[int, Path] = {}


def _reap(*_: object) -> None:
    """Write down who has ended, and how."""
    for pid, path in list(_statuses.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del _statuses[pid]
            new = path.with_suffix(".new")
            new.write_text(str(os.waitstatus_to_exitcode(status)))
            new.rename(path)


def _serve() -> dict[str, Any]:
    """Fork for every line; return what is wanted, and only in what was forked."""
    signal.signal(signal.SIGCHLD, _reap)
    for line in sys.stdin:
        wanted: dict[str, Any] = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            return wanted
        _statuses[pid] = Path(wanted["status"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in list(_statuses):
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _become(wanted: Mapping[str, Any]) -> None:
    """Be a process of its own, as if just started."""
    os.setsid()
    log, nothing = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    random.seed()
    sys.argv = ["shoal", wanted["role"]]


if __name__ == "__main__":
    # A command imports them when it runs: here they are loaded once for all.
    import worker.agents.lift
    import worker.agents.sinks
    import worker.agents.trainer
    import worker.agents.worker  # noqa: F401
    from tests.support.kafka import worker_under_test
    from worker.core.warming import warm_up

    warm_up()
    _become(_serve())
    worker_under_test.main()
