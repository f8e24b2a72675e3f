"""Sliding windows of hops: a ring of hop sums per window, and their running sum.

The rule: a ring's newest hop is that of the user's clock (windows of one width share this head), everything in it is an
integer, and the running sum is the sum of the ring; so adding is exact in any order, and reading costs nothing.
"""

import numpy as np

from worker.core.compiled import compiled
from worker.core.layout import FOREVER, HEADS
from worker.core.tables import Integer, Program, Row, Table
from worker.language.catalogue import WIDTHS_MS

__all__ = ["WIDTHS", "add", "next_change", "roll"]

WIDTHS = np.array(WIDTHS_MS, np.int64)


@compiled
def _roll_window(cells: Table, window: Row, slot: Integer, head: Integer, target: Integer) -> None:
    """Move one window from hop `head` to hop `target`; `cells` holds its ring and its running sum."""
    hops = window["hops"]
    at = window["at"]
    if target - head >= hops:
        cells[slot, window["sum"]] = 0
        for place in range(at, at + hops):
            cells[slot, place] = 0
        return
    for hop in range(head + 1, target + 1):
        cell = at + hop % hops
        cells[slot, window["sum"]] -= cells[slot, cell]
        cells[slot, cell] = 0


@compiled
def roll(p: Program, wide: Table, narrow: Table, slot: Integer, clock: Integer) -> None:
    """Move every window of a row on to `clock` (ms): hops that leave are subtracted and cleared."""
    for width in range(len(p.width_windows) - 1):
        first = p.width_windows[width]
        last = p.width_windows[width + 1]
        if first == last:
            continue
        head = np.int64(narrow[slot, HEADS + width])
        target = clock // WIDTHS[width]
        if target <= head:
            continue
        narrow[slot, HEADS + width] = target
        for place in range(first, last):
            window = p.windows[place]
            # Hops are never negative: with a sum of 0 there is nothing in the ring to move.
            if window["amount"] == 1:
                if wide[slot, window["sum"]] != 0:
                    _roll_window(wide, window, slot, head, target)
            elif narrow[slot, window["sum"]] != 0:
                _roll_window(narrow, window, slot, head, target)


@compiled
def add(p: Program, wide: Table, narrow: Table, slot: Integer, kind: Integer, time: Integer, amount: Integer) -> None:
    """Count an event of `kind` at `time` (ms, not after the row's clock), its `amount` in hundredths, in its hop."""
    for entry in range(p.kinds[kind]["windows_first"], p.kinds[kind]["windows_last"]):
        window = p.windows[p.kind_windows[entry]]
        hop = time // WIDTHS[window["width"]]
        if narrow[slot, HEADS + window["width"]] - hop >= window["hops"]:
            continue
        cell = window["at"] + hop % window["hops"]
        if window["amount"] == 1:
            wide[slot, cell] += amount
            wide[slot, window["sum"]] += amount
        else:
            narrow[slot, cell] += 1
            narrow[slot, window["sum"]] += 1


@compiled
def next_change(p: Program, wide: Table, narrow: Table, slot: Integer, place: Integer) -> Integer:
    """Return the ms at which window `place` next loses a hop that isn't empty; `FOREVER` if it is empty."""
    window = p.windows[place]
    head = np.int64(narrow[slot, HEADS + window["width"]])
    hops = window["hops"]
    for hop in range(head - hops + 1, head + 1):
        cell = window["at"] + hop % hops
        value = wide[slot, cell] if window["amount"] == 1 else np.int64(narrow[slot, cell])
        if value != 0:
            return (hop + hops) * WIDTHS[window["width"]]
    return FOREVER
