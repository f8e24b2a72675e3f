"""A figure of learning for /metrics: a name, labels and a number; never a user."""

from typing import NamedTuple

__all__ = ["Figure"]


class Figure(NamedTuple):
    """What `shoal_<name>{labels}` shows."""

    name: str
    labels: dict[str, str]
    value: float
