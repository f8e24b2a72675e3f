"""Golden files: what the code writes is held to files that are reviewed as a diff.

`pytest tests/golden --update-golden` rewrites them all.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the flag that rewrites golden files."""
    parser.addoption("--update-golden", action="store_true", default=False, help="rewrite the golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return a function that compares a golden file to a text, or writes it under `--update-golden`."""
    update = bool(request.config.getoption("--update-golden", default=False))

    def check(path: Path, text: str) -> None:
        if update:
            path.write_text(text, "utf-8")
        assert path.exists(), f"{path.name} is missing: pytest tests/golden --update-golden"
        assert text == path.read_text("utf-8"), f"{path.name} is outdated: pytest tests/golden --update-golden"

    return check
