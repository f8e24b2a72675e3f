"""Random numbers without a generator: every draw is a hash of what it is about.

A shopper's type is a hash of (seed, "type", her number), a session's third product one of (seed, "product", the
session's key, 3). So nothing has to be remembered, the order of asking is of no account, and the same seed gives the
same numbers in any process, on any day and under any release of numpy (whose generators may change).

The rule: only integers, tables and + - * / decide anything. `log` and `exp` differ in the last bit between processors,
so they appear only in tables that are rounded when built.
"""

import math
from hashlib import blake2b
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dice", "Floats", "Integers", "Unsigned", "exponential_table", "lognormal_table", "look_up"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Unsigned = NDArray[np.uint64]

TABLE_STEPS = 1024


def mix(numbers: Unsigned) -> Unsigned:
    """splitmix64 of each number: a bijection of 64 bits that leaves no visible pattern."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


class Dice:
    """Draws of one seed. `purpose` names what a draw is for; the columns say for whom, and broadcast."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._beginnings: dict[str, np.uint64] = {}

    def bits(self, purpose: str, *columns: NDArray[np.integer]) -> Unsigned:
        """64 random bits for each row of the columns (at least one; any integer dtype)."""
        state: Unsigned = mix(columns[0].astype(np.uint64) + self._beginning(purpose))
        for column in columns[1:]:
            state = mix(state + column.astype(np.uint64))
        return state

    def uniform(self, purpose: str, *columns: NDArray[np.integer]) -> Floats:
        """A number in [0, 1) for each row of the columns."""
        numbers: Floats = (self.bits(purpose, *columns) >> np.uint64(11)).astype(np.float64)
        return numbers * 2.0**-53

    def below(self, limit: int, purpose: str, *columns: NDArray[np.integer]) -> Integers:
        """A whole number in [0, limit) for each row of the columns."""
        return (self.uniform(purpose, *columns) * limit).astype(np.int64)

    def _beginning(self, purpose: str) -> np.uint64:
        beginning = self._beginnings.get(purpose)
        if beginning is None:
            digest = blake2b(f"{self.seed}\x1f{purpose}".encode(), digest_size=8).digest()
            beginning = self._beginnings[purpose] = np.uint64(int.from_bytes(digest, "big"))
        return beginning


def exponential_table() -> Floats:
    """Quantiles of the exponential distribution with mean 1 at the middles of 1,024 steps."""
    return np.array([round(-math.log(1 - (step + 0.5) / TABLE_STEPS), 6) for step in range(TABLE_STEPS)])


def lognormal_table(sigma: float) -> Floats:
    """Quantiles of the lognormal distribution with median 1 at the middles of 1,024 steps."""
    normal = NormalDist()
    return np.array(
        [round(math.exp(sigma * normal.inv_cdf((step + 0.5) / TABLE_STEPS)), 6) for step in range(TABLE_STEPS)]
    )


def look_up(table: Floats, uniform: Floats) -> Floats:
    """The table's value for each number in [0, 1)."""
    return table[(uniform * len(table)).astype(np.int64)]
