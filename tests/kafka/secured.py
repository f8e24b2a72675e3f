"""What the tests of security and of whole deployments share: `shoal` in a process that is told all by `SHOAL_*`."""

import asyncio
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["environment", "running", "shoal", "shoal_in_turn", "within_a_minute"]

Result = TypeVar("Result")
IN_TURN = """
import json, sys
from worker.cli import app
for command in json.loads(sys.argv[1]):
    status = app(command, prog_name="shoal", standalone_mode=False)
    assert not status, f"{command}: {status}"
"""


def within_a_minute(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that mustn't hang, and then see its connections closed.

    The library doesn't wait for the first one of a client to close, which over TLS takes a while.
    """

    async def run() -> Result:
        async with asyncio.timeout(60):
            result = await coroutine
            while True:
                if len(selector.get_map()) == 1:  # the loop's own pipe
                    return result
                await asyncio.sleep(0.01)

    selector = selectors.DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(run())


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these settings and no others of Shoal's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    return {**inherited, "NUMBA_DISABLE_JIT": "1", **{f"SHOAL_{name.upper()}": value for name, value in given.items()}}


def shoal(given: Mapping[str, str], *arguments: str | Path, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command and expect its exit status; None: whichever."""
    command = [sys.executable, "-m", "worker", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(given), timeout=120, check=False)
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done


def shoal_in_turn(given: Mapping[str, str], commands: Sequence[Sequence[str]]) -> None:
    """Run commands that must all succeed, in one process: most of a command's time goes into its start."""
    told = [sys.executable, "-c", IN_TURN, json.dumps(commands)]
    done = subprocess.run(told, capture_output=True, text=True, env=environment(given), timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@contextmanager
def running(given: Mapping[str, str], *arguments: str, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that goes on until it is told to end, or the `with` ends; what it says goes to a file."""
    command = [sys.executable, "-m", "worker", *arguments]
    with said.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment(given))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
