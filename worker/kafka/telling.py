"""How the partitions of a process stand, told to whoever asks with `shoal status`.

The rule: it is told outside of any transaction, so that a partition tells of itself also while it is stopped, waits or
begins again.
"""

import asyncio
import time
from typing import Any

from aiokafka.errors import KafkaError

from schemas.access import Role
from schemas.control import StatusCommand
from worker.errors import ShoalError
from worker.kafka.hotpath import HotPath
from worker.kafka.points import answer, is_waited_for
from worker.kafka.writing import append
from worker.observe.logs import log

__all__ = ["Telling"]

LOOK_SECONDS = 0.2


class Telling:
    """Answers for every partition that a process owns."""

    def __init__(self, role: Role, hotpath: HotPath) -> None:
        self.role = role
        self.hotpath = hotpath
        self._commands_seen = 0

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            for command in self._new():
                await self._tell(command)
            await asyncio.sleep(LOOK_SECONDS)

    def _new(self) -> list[StatusCommand]:
        """Return the questions that came since, and that somebody still waits for."""
        issued, now_ms = self.hotpath.control.since(self._commands_seen), self.hotpath.wall.now_ms()
        self._commands_seen = issued[-1].offset + 1 if issued else self._commands_seen
        asked = [one.command for one in issued if isinstance(one.command, StatusCommand)]
        return [command for command in asked if is_waited_for(command, now_ms)]

    async def _tell(self, command: StatusCommand) -> None:
        hotpath, now_ms = self.hotpath, self.hotpath.wall.now_ms()
        answers = [
            answer(command.id, partition, hotpath.partitions, body, now_ms, self.role)
            for partition, body in self._standings().items()
        ]
        try:
            if answers:
                await append(hotpath.settings, "answers", command.id, *answers)
        except (ShoalError, KafkaError, TimeoutError, OSError) as error:
            log("status").warning("Whoever asked for the status isn't told.", error=error)

    def _standings(self) -> dict[int, dict[str, Any]]:
        """Return the state of every owned partition and why it is in it; of one that runs also what it knows itself."""
        states, known = self.hotpath.health.states(time.monotonic()), self.hotpath.known()
        instance = {"instance": self.hotpath.settings.instance_id}
        return {partition: instance | state | known.get(partition, {}) for partition, state in states.items()}
