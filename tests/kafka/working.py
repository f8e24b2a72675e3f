"""What the tests of workers share: definitions, what a worker shows over HTTP, and waiting for things to be so."""

import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.support import random_definitions
from tests.support.kafka.deployment import SECONDS_MAX

__all__ = ["AGAIN", "RUNS", "definitions", "got", "metric", "wait_until"]

RUNS = "The partition runs."
AGAIN = "The partition starts again."
POLL_SECONDS = 0.1


def wait_until(done: Callable[[], bool], failure: str) -> None:
    """Wait until something is so. Raises AssertionError with the failure if it never is."""
    deadline = time.monotonic() + SECONDS_MAX
    while not done():
        assert time.monotonic() < deadline, failure
        time.sleep(POLL_SECONDS)


def definitions(seed: int) -> dict[str, Any]:
    """Random definitions without a model."""
    return random_definitions.definitions(random.Random(seed), model=False)


def got(port: int, path: str) -> tuple[int, str]:
    """The status and the body of a path of a worker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(text: str, name: str) -> dict[str, float]:
    """The values of a metric by its labels, as they are written."""
    lines = re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in lines}
