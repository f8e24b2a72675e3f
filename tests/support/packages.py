"""Programs that tests need and Debian has: installed where that is possible without asking, which is as root.

The rule: whoever asks gets the programs or a sentence that says what to install, however many ask at the same time.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.errors import JobFailed, WrongUsage

__all__ = ["need", "need_programs", "run_quietly"]

LOCK = Path(tempfile.gettempdir()) / "shoal-packages.lock"


def need_programs(**packages: str) -> None:
    """Have programs, each of the Debian package that is named with it. Raises as `need`."""
    missing = lambda: [package for program, package in packages.items() if shutil.which(program) is None]  # noqa: E731
    need(missing, f"run {', '.join(packages)}")


def need(missing: Callable[[], Sequence[str]], what: str) -> None:
    """Install the Debian packages that are missing; `what` ends a sentence about the tests.

    Raises WrongUsage if they can't be installed here or are too old, JobFailed if installing fails.
    """
    if not missing():
        return
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = missing()
        if not packages:
            return
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise WrongUsage(f"The tests {what}; on Debian: apt-get install {' '.join(packages)}.")
        quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run_quietly("apt-get", "-qq", "update", env=quietly)
        run_quietly("apt-get", "-qq", "install", "--no-install-recommends", "-y", *packages, env=quietly)
        if left := missing():
            raise WrongUsage(f"This Debian's packages are too old for the tests: {', '.join(left)}.")


def run_quietly(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it wrote. Raises JobFailed with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise JobFailed(f"`{' '.join(command)}` ended with {done.returncode}:\n{said}")
    return done.stdout
