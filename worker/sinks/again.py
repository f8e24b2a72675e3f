"""Records that a sink couldn't deliver, delivered again because somebody has asked for it.

    a request     says which records of the partition: offsets of the topic that the sink reads
    its outcomes  one for each of them, as when they came first: what is refused again is a dead letter again

The rule: a request is through when all of its records are; until then whoever takes over begins it anew. Its records go
one after the other, beside those that come meanwhile: a user's may overtake each other.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from worker.sinks.parcels import Outcome, Parcel, Received, Sink, dead

__all__ = ["Again"]

Lookup = Callable[[str, int, Sequence[int]], Awaitable[dict[int, Received]]]


class Again:
    """A sink that takes requests in place of records; `lookup` finds records by topic, partition and offsets."""

    def __init__(self, sink: Sink, lookup: Lookup, now: Callable[[], str]) -> None:
        self.name, self.topic = sink.name, sink.topic
        self._sink, self._lookup, self._now = sink, lookup, now

    @property
    def trouble(self) -> str | None:
        """What keeps it from delivering just now."""
        return self._sink.trouble

    def close(self) -> None:
        """Begin no request any more."""
        self._sink.close()

    def parcels(self, records: Sequence[Received]) -> list[Parcel]:
        """Return each request for itself, after the one before."""
        return [Parcel(b"", [request]) for request in records]

    async def deliver(self, parcel: Parcel) -> list[Outcome]:
        """Return what became of the records that a request is about. Raises Closing."""
        (request,) = parcel.records
        offsets = msgspec.json.decode(request.value, type=list[int])
        found = await self._lookup(self.topic, request.partition, offsets)
        outcomes: list[Outcome] = []
        for offset in offsets:
            record = found.get(offset)
            if record is None:
                outcomes.append(self._gone(request, offset))
            else:
                outcomes += await self._sink.deliver(Parcel(record.key, [record]))
        return outcomes

    def _gone(self, request: Received, offset: int) -> Outcome:
        missing = request._replace(topic=self.topic, offset=offset)
        return dead(self.name, missing, f"{request.partition}/{offset}", "gone", None, 0, self._now())
