"""Making ready what a broker needs, on machines that lack it and on those that have it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.kafka.java import archive

INSTALL = [sys.executable, "-m", "tests.support.kafka.install"]


def test_a_machine_without_tools_is_told_what_to_install(tmp_path: Path) -> None:
    """Where neither Java nor Debian's packages are at hand: one sentence, exit status 2."""
    bare = os.environ | {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    ended = subprocess.run(INSTALL, env=bare, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == (
        "The tests run against a real Kafka, which needs a JDK (17 or newer), Maven and OpenSSL; "
        "on Debian: apt-get install default-jre-headless maven openssl.\n"
    )


def test_what_is_ready_stays_as_it_is(tmp_path: Path) -> None:
    """A second time nothing is fetched or written: with Java alone, without Maven, there is nothing left to do."""
    subprocess.run(INSTALL, check=True)
    java, before = shutil.which("java"), archive().stat()
    assert java is not None
    (tmp_path / "java").symlink_to(java)
    ended = subprocess.run(INSTALL, env=os.environ | {"PATH": str(tmp_path)}, check=False)
    assert ended.returncode == 0
    assert archive().stat() == before
