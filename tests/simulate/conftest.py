"""One small shop, simulated once for all tests that only look at it."""

import pytest

from tests.simulate.shops import Shop, run


@pytest.fixture(scope="session")
def shop() -> Shop:
    """300 users over 25 days with many faults."""
    return run(users=300, days=25, seed=7, late=0.05, duplicates=0.05, malformed=0.03)
