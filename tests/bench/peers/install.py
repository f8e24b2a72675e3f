"""Makes ready what the peers run on: `python -m tests.bench.peers.install`. Instant when it is ready already.

Everything lies in a cache folder of the user's, under a name that follows from what it is made of: for each Python
peer an environment of its own, for Kafka Streams its jars and the compiled class. Nothing is written here.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from worker.errors import JobFailed, ShoalError, WrongUsage

__all__ = ["CLASSES", "LIBS", "install", "python"]

REQUIREMENTS: Final = {
    "quix": "quixstreams==3.28.1",
    "faust": "faust-streaming[orjson]==0.15.3",
}
STREAMS: Final = Path(__file__).with_name("streams")
LIBS: Final = Path("streams", "libs")
CLASSES: Final = Path("streams", "classes")
DONE: Final = "done"


def install() -> Path:
    """Return the folder of all peers, made if it isn't there yet; who asks meanwhile waits.

    Raises WrongUsage if there is no JDK or no Maven, JobFailed if something can't be fetched or compiled.
    """
    home = _home()
    if not (home / DONE).exists():
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / DONE).exists():
                _make(home)
                (home / DONE).touch()
    return home


def python(home: Path, peer: str) -> Path:
    """Return the Python of a peer's environment."""
    return home / peer / "bin" / "python"


def _home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made_of = hashlib.blake2b(repr((sorted(REQUIREMENTS.items()), sys.version_info[:2])).encode(), digest_size=6)
    for path in sorted(path for path in STREAMS.rglob("*") if path.is_file()):
        made_of.update(path.read_bytes())
    return cache / "shoal-peers" / made_of.hexdigest()


def _make(home: Path) -> None:
    if shutil.which("javac") is None or shutil.which("mvn") is None:
        raise WrongUsage(
            "Kafka Streams needs a JDK (17 or newer) and Maven: install them "
            "(on Debian: apt-get install default-jdk-headless maven), then try again."
        )
    for peer, requirement in REQUIREMENTS.items():
        venv.create(home / peer, with_pip=True, clear=True)
        _run(python(home, peer), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)
    # Maven leaves traces beside the pom it is given.
    shutil.copytree(STREAMS, home / "streams", dirs_exist_ok=True)
    _run("mvn", "-q", "-B", "-f", home / "streams", "dependency:copy-dependencies",
         f"-DoutputDirectory={home / LIBS}")  # fmt: skip
    _run("javac", "-d", home / CLASSES, "-cp", f"{home / LIBS}/*", *(home / "streams").rglob("*.java"))


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise JobFailed(f"Making the peers ready broke off ({Path(command[0]).name}: {last[0]}): try it again.")


def main() -> int:
    """Return the exit status: 2 if something has to be installed by hand first, 1 if it failed."""
    try:
        sys.stdout.write(f"{install()}\n")
    except ShoalError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
