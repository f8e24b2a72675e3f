"""Files as they lie on disk: packing, formats, line numbers, damage."""

import gzip
import lzma
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from worker.errors import JobFailed, WrongUsage
from worker.files.readers import CSV_FIELD_MAX, LINE_BYTES_MAX, inspect
from worker.files.source import Source

LINES = [b'{"a":1}', b"", b"  ", b'{"b":2}']
TEXT = b"\n".join(LINES) + b"\n"


def two_frames(text: bytes) -> bytes:
    """Zstandard as log shippers write it: one frame after the other."""
    packer = zstandard.ZstdCompressor()
    return packer.compress(text[:9]) + packer.compress(text[9:])


def read(*paths: Path) -> tuple[list[bytes], list[int]]:
    """Everything in some files."""
    payloads: list[bytes] = []
    offsets: list[int] = []
    for batch_payloads, batch_offsets in Source(paths, None).batches(3):
        payloads += batch_payloads
        offsets += batch_offsets
    return payloads, offsets


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, two_frames])
def test_packing_is_told_by_content_and_not_by_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """The same lines come out of a file however it is packed, though its name says nothing."""
    file = tmp_path / "events"
    file.write_bytes(pack(TEXT))
    assert read(file) == (LINES, [0, 1, 2, 3])


def test_offsets_run_on_over_files_and_count_blank_lines(tmp_path: Path) -> None:
    """The second file's first record follows the first file's last line, which needs no newline at its end."""
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_bytes(TEXT[:-1])
    second.write_bytes(TEXT)
    assert read(first, second) == (LINES + LINES, list(range(8)))


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    """No line, no record; a lone newline is one blank line."""
    empty, newline = tmp_path / "empty.jsonl", tmp_path / "newline.jsonl"
    empty.write_bytes(b"")
    newline.write_bytes(b"\n")
    assert (read(empty), read(newline)) == (([], []), ([b""], [0]))


def test_an_endless_line_is_cut_to_what_shows_that_it_is_too_long(tmp_path: Path) -> None:
    """Three megabytes without a newline are kept as one byte more than a record may have; the next line is whole."""
    file = tmp_path / "long.jsonl"
    file.write_bytes(b"x" * 3_000_000 + b"\n" + LINES[0])
    payloads, offsets = read(file)
    assert ([len(payload) for payload in payloads], offsets) == ([LINE_BYTES_MAX, len(LINES[0])], [0, 1])


@pytest.mark.parametrize("records_max", [1, 2, 5, 100])
def test_batches_are_full_but_the_last(tmp_path: Path, records_max: int) -> None:
    """Nothing is lost or moved by the size of batches."""
    file = tmp_path / "many.jsonl"
    file.write_bytes(b"".join(b"%d\n" % number for number in range(11)))
    batches = list(Source([file], None).batches(records_max))
    assert all(len(payloads) == records_max for payloads, _ in batches[:-1])
    assert [offset for _, offsets in batches for offset in offsets] == list(range(11))
    assert [int(payload) for payloads, _ in batches for payload in payloads] == list(range(11))


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_a_file_cut_short_is_told_in_a_sentence(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Half a packed file is a failed job that names the file."""
    file = tmp_path / "half.jsonl.packed"
    packed = pack(b"".join(b'{"n":%d}\n' % (number * 7919 % 10_007) for number in range(5000)))
    file.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(JobFailed, match=r"half\.jsonl\.packed is damaged or cut short"):
        read(file)


@pytest.mark.parametrize("name", ["e.jsonl.gz", "e.csv.GZ", "e.zst", "e.jsonl.xz", "e.parquet", "e.parquet.zst"])
@pytest.mark.parametrize("content", [TEXT, b"", zstandard.ZstdCompressor().compress(TEXT)[1:]])
def test_a_file_that_is_not_what_its_name_says_is_a_failed_job(tmp_path: Path, name: str, content: bytes) -> None:
    """Told before anything is read: else every one of its lines would be a dead letter."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(JobFailed, match=rf"{name} is named \.[a-z]+ but is not [A-Za-z]+: "):
        inspect(file)


def test_parquet_that_is_damaged_or_packed_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Without its end, with text that isn't UTF-8, and inside gzip: each is one line that names the file."""
    whole = tmp_path / "whole.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"userId": [f"user-{n}" for n in range(50)]}), whole, compression="none")
    damaged = {
        "half.parquet": whole.read_bytes()[:200],
        "text.parquet": whole.read_bytes().replace(b"user-7", b"user-\xff"),
        "whole.parquet.gz": gzip.compress(whole.read_bytes()),
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(JobFailed, match=name) as told:
            read(tmp_path / name)
        assert "\n" not in str(told.value)


def test_what_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    """A missing file, a folder and a zip archive are each refused before anything is read."""
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04....")
    for name in ("missing.jsonl", ".", "a.zip"):
        with pytest.raises(WrongUsage):
            inspect(tmp_path / name)


def test_formats_are_told_apart(tmp_path: Path) -> None:
    """CSV by its name under the packing's suffix, Parquet by its first bytes, the rest is JSON lines."""
    for name in ("a.csv", "a.CSV.gz", "a.tsv", "a.jsonl", "a.csv.json", "a"):
        (tmp_path / name).write_bytes(gzip.compress(b"x") if name.endswith(".gz") else b"x")
    pyarrow.parquet.write_table(pyarrow.table({"userId": ["u"]}), tmp_path / "a.dat")
    found = {path.name: inspect(path).format for path in tmp_path.iterdir()}
    assert found == {
        "a.csv": "csv", "a.CSV.gz": "csv", "a.tsv": "csv", "a.jsonl": "jsonl", "a.csv.json": "jsonl", "a": "jsonl",
        "a.dat": "parquet",
    }  # fmt: skip


def through_a_pipe(folder: Path, content: bytes, name: str = "pipe") -> Path:
    """A named pipe with somebody at the other end, who writes a byte, then the rest."""
    pipe = folder / name
    os.mkfifo(pipe)

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as end:
            end.write(content[:1])
            end.write(content[1:])

    Thread(target=write, daemon=True).start()
    return pipe


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, two_frames])
def test_a_pipe_is_read_from_its_first_byte(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Looking what it is packed with takes nothing away, though nothing comes twice; how long it is nobody knows."""
    source = Source([through_a_pipe(tmp_path, pack(TEXT * 99_999))], None)
    batches = list(source.batches(100_000))
    assert [line for payloads, _ in batches for line in payloads] == LINES * 99_999
    assert (source.lines, source.bytes_total, source.bytes_read) == (399_996, None, 0)


def test_a_table_comes_through_a_pipe_too(tmp_path: Path) -> None:
    """CSV as any other; Parquet, whose table of contents is at its end, is refused in a sentence."""
    payloads, offsets = read(through_a_pipe(tmp_path, b"userId,event\nu-1,X\n", "a.csv"))
    assert (payloads, offsets) == ([b'{"userId":"u-1","event":"X","type":"track"}'], [1])
    with pytest.raises(WrongUsage, match="write it into a file first"):
        inspect(through_a_pipe(tmp_path, b"PAR1....", "b"))


def test_a_pipe_can_be_named_once(tmp_path: Path) -> None:
    """Named twice, each would get some of its bytes; /dev/null has none, and may be named as often as one likes."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WrongUsage, match="named twice"):
        Source([tmp_path / "pipe", tmp_path / "." / "pipe"], None)
    assert read(Path(os.devnull), Path(os.devnull)) == ([], [])


def test_only_what_a_name_ends_in_has_to_be_right(tmp_path: Path) -> None:
    """Suffixes further in say where a file comes from, and promise nothing."""
    for name in ("x.parquet.jsonl", "x.2026.gz.jsonl", "x.gz.csv"):
        (tmp_path / name).write_bytes(b"x")
        assert inspect(tmp_path / name).format == ("csv" if name.endswith(".csv") else "jsonl")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('userId,event\nu-1,X\nu-2,"X\nu-3,X\n', 3),
        ('userId,event\n"u-1",X\nu-2,"X\nu-3,"X"\n', 3),
        ('userId,"event\nu-1,X\n', 1),
        (f'userId,event\nu-1,"{"x" * (CSV_FIELD_MAX + 1)}"\n', 2),
    ],
)
def test_a_stray_quote_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    """Else it would swallow the lines after it, to the end of the file or to the next quote."""
    file = tmp_path / "stray.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(JobFailed, match=rf"stray\.csv can't be read as CSV from line {line} on \(.+\): look there"):
        read(file)


def test_a_long_field_is_one_record_that_is_too_large(tmp_path: Path) -> None:
    """The engine refuses it, as it does a line of JSON; the next row is whole, and so are quoted newlines."""
    file = tmp_path / "long.csv"
    file.write_text(f'userId,event\nu-1,{"x" * 200_000}\nu-2,"X\nY"\n', encoding="utf-8")
    payloads, offsets = read(file)
    assert ([len(payload) for payload in payloads], offsets) == ([LINE_BYTES_MAX, 46], [1, 2])
