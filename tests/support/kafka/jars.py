"""Kafka's jars, copied once by Maven into a cache of the user's; and the Java that they run on.

What is missing (a JDK of 17 or newer, Maven) is installed where that is possible without asking: on Debian, as root.
The rule: whoever asks for the jars gets all of them or an error, however many ask at the same time.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.packages import need, run_quietly

__all__ = ["jars", "openssl"]

POM = Path(__file__).with_name("pom.xml")
JAVA_VERSION_MIN = 17
NEEDED = "run against a real Kafka, which needs a JDK (17 or newer), Maven and OpenSSL"


def jars() -> Path:
    """Return the folder that holds Kafka's jars, filled if it isn't yet.

    Raises WrongUsage if tools are missing that can't be installed here, JobFailed if installing or copying fails.
    """
    home = cache() / version()
    if not _complete(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        with (home.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _complete(home):
                need(_missing, NEEDED)
                _copy(home)
    elif shutil.which("java") is None:
        need(_missing, NEEDED)
    return home / "libs"


def cache() -> Path:
    """Return the folder of every version's jars."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoal-kafka"


def version() -> str:
    """Return the version of Kafka that the pom names."""
    found = ET.parse(POM).findtext("{*}properties/{*}kafka.version")  # noqa: S314  our own file
    assert found is not None
    return found


def openssl(*arguments: str) -> None:
    """Run OpenSSL. Raises JobFailed with its last words."""
    run_quietly("openssl", *arguments)


def _complete(home: Path) -> bool:
    """Whether the jars are those of the pom as it is now: the copy of it that lies beside them says so."""
    copied = home / POM.name
    return copied.is_file() and copied.read_bytes() == POM.read_bytes()


def _copy(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent) as made:
        whole = Path(made) / "whole"
        whole.mkdir()
        shutil.copy(POM, whole)
        run_quietly("mvn", "-q", "-B", "-f", str(whole / POM.name), "dependency:copy-dependencies",
             f"-DoutputDirectory={whole / 'libs'}")  # fmt: skip
        shutil.rmtree(home, ignore_errors=True)
        whole.rename(home)


def _missing() -> list[str]:
    """Return Debian's packages of the tools that aren't here."""
    there = {"default-jre-headless": _has_java(), "maven": shutil.which("mvn"), "openssl": shutil.which("openssl")}
    return [package for package, found in there.items() if not found]


def _has_java() -> bool:
    java = shutil.which("java")
    if java is None:
        return False
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    return found is not None and int(found[1]) >= JAVA_VERSION_MIN
