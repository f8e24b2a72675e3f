"""What a partition's task leaves behind when it starts again: nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from worker.kafka.partition import PartitionTask
from worker.settings import Settings


class Held:
    """Turns that hold something open."""

    is_open = True

    async def close(self) -> None:
        """Put it away."""
        self.is_open = False


def test_what_turns_hold_open_is_put_away() -> None:
    """Of every role: the task knows nothing of it afterwards, and it is closed."""
    membership = SimpleNamespace(pause=lambda _: None)
    task = PartitionTask(cast("Any", SimpleNamespace(settings=Settings(), membership=membership)), 0)
    held = task.running = cast("Any", Held())
    asyncio.run(task._discard())
    assert (held.is_open, task.running) == (False, None)
