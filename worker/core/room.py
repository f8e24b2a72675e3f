"""Room for rows: memory straight from the system, given back piece by piece while rows move on to other room.

The rule: a state of gigabytes is never there twice, neither when it grows nor when a version needs larger rows; and
memory that is given back is the first to be taken again, which is several times quicker than memory never used before.
"""

import mmap

import numpy as np
import numpy.typing as npt

__all__ = ["PIECE_ROWS", "Room"]

PIECE_ROWS = 1024


class Room:
    """`rows`, int64[rows, words], zero at first; what nobody writes to takes no memory."""

    def __init__(self, rows: int, words: int) -> None:
        self._memory = mmap.mmap(-1, max(8 * rows * words, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self.rows: npt.NDArray[np.int64] = np.frombuffer(self._memory, np.int64, rows * words).reshape(rows, words)

    def release(self, first: int, last: int) -> None:
        """Give back the whole pages of rows [first, last), which nobody may read again."""
        page, row_bytes = mmap.PAGESIZE, 8 * self.rows.shape[1]
        begin, end = -(-first * row_bytes // page) * page, min(last, len(self.rows)) * row_bytes // page * page
        if begin < end:
            self._memory.madvise(mmap.MADV_DONTNEED, begin, end - begin)

    def move_to(self, larger: "Room", count: int) -> None:
        """Copy the first `count` rows into another room of the same width, giving back what has been copied."""
        for first in range(0, count, PIECE_ROWS):
            last = min(first + PIECE_ROWS, count)
            larger.rows[first:last] = self.rows[first:last]
            self.release(first, last)
