"""Whether the worker lives, and whether it is ready: two questions with two owners.

Alive means that the event loop turns, whatever the brokers do: a worker is never restarted for Kafka's sake. Ready
means that every owned partition runs, or gets nearer to it. Pure: `now` is an argument, in monotonic seconds.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["STALE_SECONDS", "STATES", "Health"]

STATES = ("fencing", "restoring", "running", "backing_off", "stopped")
STALE_SECONDS = 30.0  # a heartbeat older than this, or a restore that hasn't moved for so long, is no good sign


@dataclass
class _Partition:
    """What is known of an owned partition."""

    state: str
    since: float
    detail: str
    progress: float | None
    grew: float

    def is_ready(self, now: float) -> bool:
        return self.state == "running" or (self.state == "restoring" and now - self.grew < STALE_SECONDS)

    def body(self, now: float) -> dict[str, Any]:
        said = {"state": self.state, "seconds": round(now - self.since, 1), "detail": self.detail}
        return said | ({} if self.progress is None else {"progress": self.progress})


class Health:
    """What the parts of a worker say of themselves, and what follows from it."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._joined = False
        self._beat: float | None = None

    def partition(self, partition: int, state: str, now: float, *, detail: str = "",
                  progress: float | None = None) -> None:  # fmt: skip
        """Say that an owned partition is in one of `STATES`; `progress` of a restore is any number that grows."""
        assert state in STATES, f"{state} is none of {STATES}"
        known = self._partitions.get(partition)
        if known is None or known.state != state:
            self._partitions[partition] = _Partition(state, now, detail, progress, grew=now)
            return
        if progress is not None and (known.progress is None or progress > known.progress):
            known.grew = now
        known.detail, known.progress = detail, progress

    def forget(self, partition: int) -> None:
        """The partition isn't owned any more."""
        self._partitions.pop(partition, None)

    def beat(self, now: float) -> None:
        """The event loop has come round."""
        self._beat = now

    def joined(self, assigned: bool) -> None:
        """Whether the group has given us an assignment, be it empty."""
        self._joined = assigned

    def ready(self, now: float) -> tuple[bool, dict[str, Any]]:
        """Whether what is owned is worked on, and how each partition does."""
        ready = self._joined and all(partition.is_ready(now) for partition in self._partitions.values())
        states = {str(number): state for number, state in self.states(now).items()}
        return ready, {"ready": ready, "joined": self._joined, "partitions": states}

    def states(self, now: float) -> dict[int, dict[str, Any]]:
        """How each owned partition does, since when and why."""
        return {number: partition.body(now) for number, partition in sorted(self._partitions.items())}

    def live(self, now: float) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop has come round lately, and how long ago it did (null: not yet)."""
        age = None if self._beat is None else now - self._beat
        alive = age is not None and age < STALE_SECONDS
        return alive, {"live": alive, "heartbeat_seconds": None if age is None else round(age, 1)}
