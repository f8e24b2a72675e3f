"""A real Prometheus of a test's own: what it scrapes is told while it runs, and it answers over its HTTP API.

The rule: it scrapes every second, keeps nothing, and is gone after `close`.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tests.support.packages import need_programs

__all__ = ["SCRAPE_SECONDS", "Prometheus", "QueryFailed", "free_port"]

SCRAPE_SECONDS = 1
START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1

Series = dict[str, Any]


class QueryFailed(Exception):  # noqa: N818  what Prometheus says
    """Prometheus refused a query; the message is its own."""


class Prometheus:
    """Scrapes targets, by job, deployment and port; evaluates rules if there are any."""

    def __init__(self, rules: str | None = None) -> None:
        need_programs(prometheus="prometheus")
        self._folder = Path(tempfile.mkdtemp(prefix="shoal-prometheus-"))
        self.port = free_port()
        self._targets = self._folder / "targets.json"
        self.scrape(())
        (self._folder / "prometheus.yml").write_text(json.dumps(self._configuration(rules)))
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["prometheus", f"--config.file={self._folder / 'prometheus.yml'}",  # noqa: S607
             f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _configuration(self, rules: str | None) -> dict[str, Any]:
        if rules is not None:
            (self._folder / "rules.yml").write_text(rules)
        discovery = {"files": [str(self._targets)], "refresh_interval": f"{SCRAPE_SECONDS}s"}
        relabel = [{"source_labels": ["role"], "target_label": "job"}, {"regex": "role", "action": "labeldrop"}]
        interval = f"{SCRAPE_SECONDS}s"
        return {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [] if rules is None else ["rules.yml"],
            "scrape_configs": [{"job_name": "shoal", "file_sd_configs": [discovery], "relabel_configs": relabel}],
        }

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._is_ready():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "Prometheus isn't ready"
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and remove what it kept."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def scrape(self, targets: Iterable[tuple[str, str, int]]) -> None:
        """Scrape these and no others from now on: job, deployment and port on this machine."""
        told = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"role": job, "deployment": deployment}}
            for job, deployment, port in targets
        ]
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.rename(self._targets)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready") as answer:
            return bool(answer.status == 200)
        return False

    # What it is asked.

    def query(self, expression: str) -> list[Series]:
        """Return the series of an expression as they are now. Raises QueryFailed."""
        return self._ask("query", query=expression)["result"]

    def range(self, expression: str, seconds: float, step_seconds: float = 1.0) -> list[Series]:
        """Return the series of an expression over the last while. Raises QueryFailed."""
        end = time.time()
        found = self._ask("query_range", query=expression, start=end - seconds, end=end, step=step_seconds)
        return found["result"]

    def values_of(self, label: str, selector: str) -> list[str]:
        """Return the values of a label among the series of a selector. Raises QueryFailed."""
        return self._ask(f"label/{label}/values", **{"match[]": selector})

    def number(self, expression: str) -> float | None:
        """Return the one value of an expression; None if it has no series. Raises QueryFailed."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {series["metric"]["alertname"] for series in self.query('ALERTS{alertstate="firing"}')}

    def _ask(self, what: str, **arguments: str | float) -> Any:
        asked = f"{what}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{asked}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise QueryFailed(json.load(error)["error"]) from error


def free_port() -> int:
    """Return a port of this machine that nobody listens on just now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
