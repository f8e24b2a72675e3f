"""Files as they lie on disk, turned into lines of bytes or rows of columns, a piece at a time.

What a file is packed with (gzip, Zstandard, xz) is told by its first bytes, whether it is Parquet likewise; a name that
says so (`.gz`, `.zst`, `.xz`, `.parquet`) has to be right. CSV is told by its name (`.csv`, `.tsv`, before the suffix
of the packing); everything else is JSON lines. Nothing here holds a file in memory, and a line longer than any record
may be is kept only as far as it takes to see that. What isn't a file (a pipe, /dev/stdin) is opened once and kept open.
"""

import csv
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

import pyarrow
import pyarrow.parquet
import zstandard

from schemas.events import PAYLOAD_BYTES_MAX
from worker.errors import JobFailed, WrongUsage

__all__ = ["CSV_FIELD_MAX", "LINE_BYTES_MAX", "InputFile", "inspect", "lines", "table"]

MAGIC_BYTES = 6
CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = PAYLOAD_BYTES_MAX + 1  # enough to be refused as too large
PARQUET_ROWS = 8_192
CSV_FIELD_MAX = 1 << 24  # characters: a longer one is a quote that nobody closed, and has to end before memory does
csv.field_size_limit(CSV_FIELD_MAX)

Format = Literal["jsonl", "csv", "parquet"]
_MAGIC = {
    b"\x1f\x8b": "gz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"\xfd7zXZ\x00": "xz",
    b"PAR1": "parquet",
    b"PK\x03\x04": "zip",
}
_NAMED = {".gz": ("gz", "gzip"), ".zst": ("zst", "Zstandard"), ".xz": ("xz", "xz"), ".parquet": ("parquet", "Parquet")}
_PACKED = {".gz", ".zst", ".xz"}
_DAMAGED = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zstandard.ZstdError,
    pyarrow.ArrowException,
    UnicodeDecodeError,
)


@dataclass
class InputFile:
    """A file to read: its format and packing, its size in bytes (None: a pipe), and how far reading has come."""

    path: Path
    format: Format
    packing: str
    bytes_total: int | None
    pipe: IO[bytes] | None = None  # from its first byte on
    lines: int = 0  # lines (rows, of Parquet) read so far
    raw: IO[bytes] | None = None

    @property
    def bytes_read(self) -> int:
        """How far into the packed file reading has come; of a pipe nobody knows."""
        if self.raw is None or self.bytes_total is None:
            return 0
        return self.bytes_total if self.raw.closed else self.raw.tell()


@dataclass(frozen=True)
class Rows:
    """A table: the names of its columns, and its rows as (line or row number from 0, values in column order)."""

    columns: list[str]
    rows: Iterator[tuple[int, Sequence[Any]]]


def inspect(path: Path) -> InputFile:
    """What kind of file this is.

    Raises:
        WrongUsage: it is not there, can't be read, or is packed in a way that isn't supported.
        JobFailed: it isn't what its name says.
    """
    start, pipe = _begun(path)
    packing = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")
    if packing == "zip":
        raise WrongUsage(f"{path} is a zip archive: unpack it, or pack it with gzip, zstd or xz instead.")
    if packing == "parquet" and pipe:
        raise WrongUsage(f"{path} is Parquet in a pipe, and Parquet is read from its end: write it into a file first.")
    _check_name(path, packing)
    return InputFile(path, _format(path, packing), packing, None if pipe else path.stat().st_size, pipe)


def _begun(path: Path) -> tuple[bytes, IO[bytes] | None]:
    """The first bytes; and, of what can't be opened again from its start, itself, with these still to come."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(MAGIC_BYTES), None
        rest = path.open("rb")
        start = rest.read(MAGIC_BYTES)
    except IsADirectoryError as error:
        raise WrongUsage(f"{path} is a folder: name the files in it, such as {path}/*.jsonl.") from error
    except OSError as error:
        raise WrongUsage(f"Can't read {path}: {error.strerror or error}; check the path.") from error
    return start, io.BufferedReader(_Pipe(start, rest), CHUNK_BYTES)


class _Pipe(io.RawIOBase):
    """A pipe from its first byte on, though its first few have been looked at."""

    def __init__(self, start: bytes, rest: io.BufferedReader) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is something; 0 at the end."""
        piece = self._start or self._rest.read1(len(buffer))
        size = min(len(buffer), len(piece))
        buffer[:size], self._start = piece[:size], piece[size:]
        return size

    def close(self) -> None:
        self._rest.close()
        super().close()


def _check_name(path: Path, packing: str) -> None:
    """What a name ends in is kept: else a file that lost its first bytes would be lines that nobody can read."""
    suffix = path.suffix.lower()
    packed_as, name = _NAMED.get(suffix, (packing, ""))
    if packing != packed_as:
        raise JobFailed(f"{path} is named {suffix} but is not {name}: fetch or write it again, or rename it.")
    if suffix in _PACKED and path.stem.lower().endswith(".parquet"):
        raise JobFailed(f"{path} is packed Parquet: unpack it first, Parquet is packed inside.")


def _format(path: Path, packing: str) -> Format:
    """Parquet by its first bytes, CSV by its name, else JSON lines."""
    if packing == "parquet":
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _PACKED]
    return "csv" if suffixes and suffixes[-1] in {".csv", ".tsv"} else "jsonl"


@contextmanager
def unpacked(file: InputFile) -> Iterator[IO[bytes]]:
    """The file's bytes after unpacking.

    Raises:
        JobFailed: the file is damaged or cut short (also while its bytes are being read inside the `with`).
    """
    try:
        with file.pipe or file.path.open("rb") as raw:
            file.raw = raw
            yield _stream(raw, file.packing)
    except _DAMAGED as error:
        raise JobFailed(f"{file.path} is damaged or cut short ({_line(error)}): fetch or write it again.") from error
    except OSError as error:
        raise JobFailed(f"Reading {file.path} failed: {error.strerror or _line(error)}.") from error


def _line(error: Exception) -> str:
    """What a library says, as one line of it."""
    return " ".join(str(error).split()).rstrip(".")


def _stream(raw: IO[bytes], packing: str) -> IO[bytes]:
    if packing == "gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if packing == "zst":
        return cast("IO[bytes]", io.BufferedReader(_ZstandardFrames(raw), CHUNK_BYTES))
    if packing == "xz":
        return cast("IO[bytes]", lzma.LZMAFile(raw))
    return raw


class _ZstandardFrames(io.RawIOBase):
    """Unpacks frame after frame. The library's own reader takes a file cut short for one that has ended."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._unpacked = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there is something; 0 at the end. Raises EOFError in the middle of a frame."""
        while not self._unpacked:
            packed = self._frame.unused_data if self._frame.eof else b""
            if not (packed := packed or self._packed.read(CHUNK_BYTES // 8)):
                if self._begun and not self._frame.eof:
                    raise EOFError("it ends in the middle of a Zstandard frame")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._unpacked = self._frame.decompress(packed)
        size = min(len(buffer), len(self._unpacked))
        buffer[:size], self._unpacked = self._unpacked[:size], self._unpacked[size:]
        return size


def lines(file: InputFile) -> Iterator[list[bytes]]:
    """The lines of a JSON lines file, without their newline, blank ones included, in lists of some thousands.

    A line of more than `LINE_BYTES_MAX` bytes is cut to that many.

    Raises:
        JobFailed: the file is damaged.
    """
    with unpacked(file) as stream:
        rest = b""
        while chunk := stream.read(CHUNK_BYTES):
            found = chunk.split(b"\n")
            found[0] = rest + found[0]
            rest = found.pop()[:LINE_BYTES_MAX]
            file.lines += len(found)
            yield [line[:LINE_BYTES_MAX] for line in found]
        if rest:
            file.lines += 1
            yield [rest]


@contextmanager
def table(file: InputFile, encoding: str = "utf-8") -> Iterator[Rows]:
    """The rows of a CSV or Parquet file, to be read inside the `with`.

    Raises:
        WrongUsage: a CSV without a header line.
        JobFailed: the file is damaged, or a quote in a CSV swallows the lines after it.
    """
    with unpacked(file) as stream:
        if file.format == "parquet":
            yield _parquet_rows(file, stream)
            return
        buffered = io.BufferedReader(cast("io.RawIOBase", stream), CHUNK_BYTES)
        with io.TextIOWrapper(buffered, encoding, errors="replace", newline="") as text:
            yield _csv_rows(file, text)


def _csv_rows(file: InputFile, text: IO[str]) -> Rows:
    """A row's number is that of its first line in the file: a quoted field may hold newlines."""
    rows = _csv_lines(file, text)
    _, header = next(rows, (0, []))
    if not header:
        raise WrongUsage(f"{file.path} has no header line: the first line must name the columns.")
    header[0] = header[0].removeprefix("\ufeff")
    return Rows(header, ((line, row) for line, row in rows if row))


def _csv_lines(file: InputFile, text: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """Every row, the header's and empty ones too. A stray quote ends it: the lines it swallows would be lost unseen."""
    reader = csv.reader(text, delimiter="\t" if ".tsv" in file.path.name.lower() else ",", strict=True)
    try:
        for row in reader:
            line, file.lines = file.lines, reader.line_num
            yield line, row
    except csv.Error as error:
        raise JobFailed(
            f"{file.path} can't be read as CSV from line {file.lines + 1} on ({_line(error)}): look there for a quote "
            "that isn't closed, or isn't doubled inside a field."
        ) from error


def _parquet_rows(file: InputFile, stream: IO[bytes]) -> Rows:
    parquet = pyarrow.parquet.ParquetFile(stream)

    def rows() -> Iterator[tuple[int, Sequence[Any]]]:
        for batch in parquet.iter_batches(batch_size=PARQUET_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                file.lines += 1
                yield file.lines - 1, row

    return Rows(list(parquet.schema_arrow.names), rows())
