"""What the trainer knows, as records of `learner-state`: see `kept_state.py`.

Its part `report` is JSON: what the learning reports to people, who can read it here; nothing goes on from it.
"""

from typing import Any

import msgspec

from worker.kafka.kept_state import PART

__all__ = ["REPORT", "Progress", "reported"]

FORMAT = 1
REPORT = "report"  # the part of that name


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How far the trainer is."""

    format: int = FORMAT
    offsets: dict[str, dict[int, int]] = {}  # next to be read: by topic of the table, by partition
    samples: int = 0  # learnt, each id once
    observations: int = 0
    clock_ms: int | None = None  # the newest time of a record that was learnt
    version: int = 0  # the latest model that it has published, or has seen published
    asked_ms: int | None = None  # the clock when it was last asked for a model
    asked_at: int = 0  # and `samples` then
    frozen: bool = False
    commands_offset: int = 0  # the next command
    parts: dict[str, str] = {}  # digests by name


def reported(key: bytes | None, value: bytes | None) -> list[dict[str, Any]] | None:
    """Return the report, if that is what the record of this key and value holds."""
    if key != PART + REPORT.encode() or value is None:
        return None
    return msgspec.json.decode(value, type=list[dict[str, Any]])
