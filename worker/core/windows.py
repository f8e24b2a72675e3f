"""Sliding windows of hops: a ring of hop sums per measure and width, and a running sum per window.

The rule: a ring's newest hop (its width's head) is that of the user's clock, everything in it is an integer, and a window's running sum is
the sum of its hops; so adding is exact in any order, and reading costs nothing. Rings of one width share a head;
windows of one ring share its hops (`7d` and `30d` are two windows over days).
"""

import numpy as np

from worker.core.catalogue import WIDTHS_MS
from worker.core.compiled import compiled
from worker.core.layout import FOREVER, HEADS

__all__ = ["WIDTHS", "add", "next_change", "roll", "window_value"]

WIDTHS = np.array(WIDTHS_MS, np.int64)


@compiled
def _roll_ring(cells, sums, ring, windows, slot, head, target):
    """Move one ring from `head` to `target`; `cells` holds its hops, `sums` its windows' running sums."""
    length = np.int64(ring["length"])
    at = np.int64(ring["at"])
    for place in range(ring["first"], ring["last"]):
        hops = np.int64(windows[place]["hops"])
        column = windows[place]["sum"]
        if target - head >= hops:
            sums[slot, column] = 0
            continue
        for hop in range(head - hops + 1, target - hops + 1):
            sums[slot, column] -= cells[slot, at + hop % length]
    for hop in range(max(head + 1, target - length + 1), target + 1):
        cells[slot, at + hop % length] = 0


@compiled
def roll(p, wide, narrow, slot, clock):
    """Move every ring of a row on to `clock` (ms): hops that leave are subtracted and cleared."""
    for width in range(len(p.width_rings) - 1):
        first = p.width_rings[width]
        last = p.width_rings[width + 1]
        if first == last:
            continue
        head = np.int64(narrow[slot, HEADS + width])
        target = clock // WIDTHS[width]
        if target <= head:
            continue
        narrow[slot, HEADS + width] = target
        for place in range(first, last):
            ring = p.rings[place]
            # A ring's first window is its longest: with a sum of 0 there is nothing in the ring to move.
            if ring["amount"] == 1:
                if wide[slot, p.windows[ring["first"]]["sum"]] != 0:
                    _roll_ring(wide, wide, ring, p.windows, slot, head, target)
            elif narrow[slot, p.windows[ring["first"]]["sum"]] != 0:
                _roll_ring(narrow, narrow, ring, p.windows, slot, head, target)


@compiled
def _add_ring(cells, ring, windows, slot, age, hop, value):
    length = np.int64(ring["length"])
    if age < length:
        cells[slot, ring["at"] + hop % length] += value
        for place in range(ring["first"], ring["last"]):
            if age < windows[place]["hops"]:
                cells[slot, windows[place]["sum"]] += value


@compiled
def add(p, wide, narrow, slot, kind, time, amount):
    """Count an event of `kind` at `time` (ms, not after the row's clock), and its `amount` (hundredths), in its own hop."""
    for entry in range(p.kinds[kind]["rings_first"], p.kinds[kind]["rings_last"]):
        ring = p.rings[p.kind_rings[entry]]
        hop = time // WIDTHS[ring["width"]]
        age = np.int64(narrow[slot, HEADS + ring["width"]]) - hop
        if ring["amount"] == 1:
            if amount != 0:
                _add_ring(wide, ring, p.windows, slot, age, hop, amount)
        else:
            _add_ring(narrow, ring, p.windows, slot, age, hop, 1)


@compiled
def window_value(p, wide, narrow, slot, place):
    """Return (running sum as a float in the feature's unit) of window `place`."""
    window = p.windows[place]
    if p.rings[window["ring"]]["amount"] == 1:
        return wide[slot, window["sum"]] / 100.0
    return np.float64(narrow[slot, window["sum"]])


@compiled
def next_change(p, wide, narrow, slot, place):
    """Return the ms at which window `place` next loses a hop that isn't empty; `FOREVER` if it is empty."""
    window = p.windows[place]
    ring = p.rings[window["ring"]]
    head = np.int64(narrow[slot, HEADS + ring["width"]])
    hops = np.int64(window["hops"])
    for hop in range(head - hops + 1, head + 1):
        cell = np.int64(ring["at"] + hop % np.int64(ring["length"]))
        value = wide[slot, cell] if ring["amount"] == 1 else np.int64(narrow[slot, cell])
        if value != 0:
            return (hop + hops) * WIDTHS[ring["width"]]
    return FOREVER
