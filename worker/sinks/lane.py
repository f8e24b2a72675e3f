"""One sink's way through one partition: what is on its way, in order where order matters, and what is through.

The rule: at most `WINDOW_RECORDS` are on their way; a parcel begins when the one before it of the same order has an
outcome; and the partition is through up to the first record without one, whatever lies beyond.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from worker.sinks.parcels import Closing, Outcome, Parcel, Received, Sink

__all__ = ["WINDOW_RECORDS", "Lane"]

WINDOW_RECORDS = 1_000


class Lane:
    """The parcels that are on their way, the oldest first."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._under_way: deque[tuple[Parcel, asyncio.Task[list[Outcome]]]] = deque()
        self._last: dict[bytes, asyncio.Task[list[Outcome]]] = {}
        self._records = 0

    @property
    def room(self) -> int:
        """How many records more may be taken."""
        return WINDOW_RECORDS - self._records

    @property
    def oldest(self) -> Received | None:
        """The first record that isn't through yet."""
        return self._under_way[0][0].records[0] if self._under_way else None

    def take(self, records: Sequence[Received]) -> None:
        """Send records on their way."""
        for parcel in self.sink.parcels(records):
            before = self._last.get(parcel.order)
            going = asyncio.create_task(self._deliver(parcel, before), name=f"sink-{self.sink.name}")
            self._last[parcel.order] = going
            going.add_done_callback(lambda ended, order=parcel.order: self._forget(order, ended))  # type: ignore[misc]
            self._under_way.append((parcel, going))
            self._records += len(parcel.records)

    async def _deliver(self, parcel: Parcel, before: asyncio.Task[list[Outcome]] | None) -> list[Outcome]:
        if before is not None:
            await asyncio.wait([before])
            if before.cancelled() or before.exception() is not None:
                raise Closing  # the one before it isn't through, and comes first
        return await self.sink.deliver(parcel)

    def _forget(self, order: bytes, ended: asyncio.Task[list[Outcome]]) -> None:
        if self._last.get(order) is ended:
            del self._last[order]

    def through(self) -> list[Outcome]:
        """Take out what is through, from the oldest on. Raises what a delivery raised, but for Closing."""
        outcomes: list[Outcome] = []
        while self._under_way and self._under_way[0][1].done():
            parcel, ended = self._under_way[0]
            if ended.cancelled() or isinstance(ended.exception(), Closing):
                break
            outcomes += ended.result()
            self._under_way.popleft()
            self._records -= len(parcel.records)
        return outcomes

    async def close(self, seconds: float) -> None:
        """Begin no request any more, and give those under way some time."""
        self.sink.close()
        going = [task for _, task in self._under_way if not task.done()]
        if going:
            _, late = await asyncio.wait(going, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for _, task in self._under_way:
            if not task.cancelled():
                task.exception()  # seen, so that nobody is told of it
