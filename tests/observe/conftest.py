"""What several tests begin with."""

import io
import json
from collections.abc import Iterator

import pytest

from tests.observe.support import Lines, logging_to


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Everything is logged from DEBUG on; called, this gives the lines so far."""
    stream = io.StringIO()
    with logging_to(stream, "DEBUG"):
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
