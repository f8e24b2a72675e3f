"""What the tests of security share: `shoal` in a process that is told by `SHOAL_*` how to log in."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["environment", "shoal"]


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
