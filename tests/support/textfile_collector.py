"""The textfile collector of Prometheus' node_exporter, which shows what jobs leave in files: Debian's package.

The rule: it shows one folder and nothing else, and is gone after the `with`.
"""

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from tests.support.packages import need_programs
from tests.support.prometheus import free_port

__all__ = ["TextfileCollector"]

PROGRAM = "prometheus-node-exporter"
START_SECONDS_MAX = 30.0
POLL_SECONDS = 0.1


class TextfileCollector:
    """Shows the files `*.prom` of a folder on `port` of this machine, as long as a `with` lasts."""

    def __init__(self, folder: Path) -> None:
        need_programs(**{PROGRAM: PROGRAM})
        self.port = free_port()
        self._process = subprocess.Popen(
            [PROGRAM, "--collector.disable-defaults", "--collector.textfile",
             f"--collector.textfile.directory={folder}", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_up():
            assert self._process.poll() is None, f"{PROGRAM} ends"
            assert time.monotonic() < deadline, f"{PROGRAM} isn't up"
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
