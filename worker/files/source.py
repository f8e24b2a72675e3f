"""The files of a job as one run of records: payloads with their offsets, a batch at a time.

The files, in the order given, are one partition: a record's offset is its line number from 0 over all of them, blank
lines included; for an event made of several lines it is that of the first, for Parquet the row stands for the line.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from worker.errors import WrongUsage
from worker.files import readers, tabular
from worker.files.columns import Columns

__all__ = ["Source"]

Batch = tuple[list[bytes], list[int]]

EVENTS_PER_PIECE = 1_024


class Source:
    """Input files, read once from first to last.

    Attributes:
        left_out: lines of tables that are no event, by reason, once their file is read.
    """

    def __init__(self, paths: Sequence[Path], columns: Columns | None) -> None:
        """Look at every file. Raises WrongUsage for one that can't be read, and for a pipe named twice."""
        pipes = Counter(path.resolve() for path in paths if path.is_fifo())
        if pipes and max(pipes.values()) > 1:
            raise WrongUsage("A pipe is named twice, and can only be read once: name it once.")
        self.files = [readers.inspect(path) for path in paths]
        self.left_out: Counter[str] = Counter()
        self._columns = columns

    @property
    def lines(self) -> int:
        """How many lines (rows, of Parquet) have been read, over all files."""
        return sum(file.lines for file in self.files)

    @property
    def bytes_total(self) -> int | None:
        """The size of all files as they lie on disk; None if one is a pipe."""
        sizes = [file.bytes_total for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def bytes_read(self) -> int:
        """How much of `bytes_total` has been read."""
        return sum(file.bytes_read for file in self.files)

    def batches(self, records_max: int) -> Iterator[Batch]:
        """Batches of exactly `records_max` records, and a last one of what is left.

        Raises:
            WrongUsage: a table without the columns that the mapping names.
            JobFailed: a damaged file.
        """
        payloads: list[bytes] = []
        offsets: list[int] = []
        for more_payloads, more_offsets in self._pieces():
            payloads += more_payloads
            offsets += more_offsets
            start = 0
            while len(payloads) - start >= records_max:
                yield payloads[start : start + records_max], offsets[start : start + records_max]
                start += records_max
            del payloads[:start], offsets[:start]
        if payloads:
            yield payloads, offsets

    def _pieces(self) -> Iterator[Batch]:
        """The records as they come out of the files, in pieces of any size."""
        offset = 0
        for file in self.files:
            if file.format == "jsonl":
                yield from _of_lines(file, offset)
            else:
                yield from self._of_table(file, offset)
            offset += file.lines

    def _of_table(self, file: readers.InputFile, offset: int) -> Iterator[Batch]:
        encoding = self._columns.encoding if self._columns else "utf-8"
        with readers.table(file, encoding) as rows:
            tabular.check(file.path, rows.columns, self._columns)
            made = tabular.events(rows.columns, rows.rows, self._columns)
            cut = ((line, payload[: readers.LINE_BYTES_MAX]) for line, payload in made.events)
            while piece := list(islice(cut, EVENTS_PER_PIECE)):
                yield [payload for _, payload in piece], [offset + line for line, _ in piece]
            self.left_out += made.left_out


def _of_lines(file: readers.InputFile, offset: int) -> Iterator[Batch]:
    for payloads in readers.lines(file):
        after = offset + file.lines
        yield payloads, list(range(after - len(payloads), after))
