"""Header names that are no UTF-8: aiokafka can't get past a batch that has one, and reads it again for ever.

The rule: the records of such a batch are read all the same, with the name's odd bytes replaced. Nobody here looks at
the input's headers. The batch is read a second time by aiokafka's own Python parser, on bytes that decode leniently;
all other batches go the usual way. `install` puts this into aiokafka's fetcher, which has no place for it.
"""

from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

__all__ = ["install"]


def install() -> None:
    """Have every consumer of this process read leniently."""
    fetcher.MemoryRecords = _Records


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
