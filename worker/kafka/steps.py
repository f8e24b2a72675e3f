"""The numbered steps of a partition's life, in order: where a fault can hit, and what it must leave behind.

    F1  the producer is started: a predecessor's open transaction is aborted, and the predecessor fenced for good
    R1  the end of the state is taken, read_uncommitted, and only now: nothing can be appended by others any more
    R2  the state is read up to that end, by position, read_committed; the checkpoint says where the input goes on
    B1  records are read, beginning with the next offset
    B2  the engine has stepped
    B3  the transaction has begun
    B4  outputs, changed rows and the checkpoint are on their way, as prepared batches
    B5  every one of them was acknowledged
    B6  the group's copy of the offset is in the transaction
    B7  the partition is still ours
    B8  committed: only now do metrics count and the next offset move

Whatever fails between two steps, F1 to R2 find out what became of it. `reached` does nothing: it is the place where
tests make processes die.
"""

from enum import StrEnum

__all__ = ["Step", "reached"]


class Step(StrEnum):
    """The steps, by their numbers."""

    FENCED = "F1"
    END_TAKEN = "R1"
    RESTORED = "R2"
    READ = "B1"
    STEPPED = "B2"
    BEGUN = "B3"
    SENT = "B4"
    ACKNOWLEDGED = "B5"
    OFFSETS = "B6"
    OURS = "B7"
    COMMITTED = "B8"


def reached(step: Step, partition: int) -> None:
    """Say that a partition's task has just done this step."""
    del step, partition
