"""How records come out of aiokafka's fetcher: none is in the way of the others, and none is wrapped for nothing.

A batch with a header name that is no UTF-8 would be read again for ever. Its records are read all the same, by
aiokafka's own Python parser on bytes that decode leniently; nobody here looks at the input's headers. And records of
the topics that are read by the million are handed on as they were parsed: aiokafka would make an object of eleven
members of each, which takes almost half of the time of reading it.

The rule: what `install` puts into aiokafka, which has no place for it, is here and nowhere else.
"""

from collections.abc import Iterator
from typing import Any, Protocol, SupportsIndex

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

__all__ = ["Record", "install"]


class Record(Protocol):
    """What there is of a record of the topics that were named to `install`."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Its time, ms: of its arrival, where the topic is set so."""

    @property
    def timestamp_type(self) -> int:
        """What that is: 0 the producer's time, 1 that of its arrival."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value."""


def install(*as_parsed: str) -> None:
    """Have every consumer of this process read leniently; records of the topics `as_parsed` are `Record`s."""
    fetcher.MemoryRecords = _Records
    wrapped = PartitionRecords._consumer_record  # noqa: SLF001  see above

    def consumer_record(self: Any, place: TopicPartition, record: Any) -> Any:
        return record if place.topic in as_parsed else wrapped(self, place, record)

    PartitionRecords._consumer_record = consumer_record  # noqa: SLF001


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch response, each with its bytes at hand."""

    def next_batch(self) -> Any:
        raw = self._next_slice
        batch = super().next_batch()
        return batch if batch is None or batch.base_offset is None else _Batch(batch, raw)


class _Batch:
    """A batch as aiokafka reads it; its records by the lenient parser where the strict one fails."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(list(_LenientBatch(self._raw)))


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's parser on lenient bytes."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _LenientBytes(self._buffer)


class _LenientBytes(bytearray):
    """Bytes whose pieces decode with U+FFFD for what is no UTF-8."""

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        piece = super().__getitem__(key)
        return _LenientBytes(piece) if isinstance(piece, bytearray) else piece

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Decode, whatever `errors` says, with replacements."""
        del errors
        return super().decode(encoding, "replace")
