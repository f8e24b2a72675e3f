"""A simulation to a file of JSON lines, compressed by the file's ending; the same settings give the same bytes."""

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from worker.simulate.stream import Simulation

__all__ = ["Progress", "write_jsonl"]

Progress = Callable[[int, int, int], None]  # simulated ms done, simulated ms in all, records so far


def write_jsonl(simulation: Simulation, out: str | Path, progress: Progress | None = None) -> int:
    """Writes all batches to `out` (`-` for stdout; ending in `.gz` or `.zst`: compressed). Returns how many lines.

    `progress` is called after each batch. Raises OSError.
    """
    written, settings = 0, simulation.settings
    with _opened(str(out)) as target:
        for batch in simulation.batches():
            if batch.payloads:
                target.write(b"\n".join(batch.payloads) + b"\n")
            written += len(batch.payloads)
            if progress is not None:
                progress(batch.until_ms - settings.start_ms, settings.end_ms - settings.start_ms, written)
    return written


@contextmanager
def _opened(out: str) -> Iterator[BinaryIO]:
    if out == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(out).open("wb") as raw:
        if out.endswith(".gz"):
            # Neither name nor time in the header, else equal seeds would give unequal bytes.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=5, fileobj=raw, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        elif out.endswith(".zst"):
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as packed_by_zstd:
                yield cast(BinaryIO, packed_by_zstd)
        else:
            yield raw
