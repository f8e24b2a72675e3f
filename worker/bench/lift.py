"""Lift's estimates on a real trial, beside scipy's: `python -m worker.bench.lift --data DIR`.

The data are Kevin Hillstrom's "MineThatData E-Mail Analytics And Data Mining Challenge" of 2008: customers of a shop,
by chance sent a men's e-mail, a women's, or none; who visited, who ordered, and what they spent in two weeks. DIR has
them as `hillstrom_email.csv.xz`, with the columns segment, visit, conversion and spend. The rule: both sides get the
same numbers, and neither knows of the other.
"""

import argparse
import csv
import lzma
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from worker.lift.statistics import Interval, Sums, difference

__all__ = ["compared", "main"]

NAME = "hillstrom_email.csv.xz"
CONTROL = "No E-Mail"
WIDTH = 140
OUTCOMES = {"visit": True, "conversion": True, "spend": False}  # whether they are 0 or 1

Values = NDArray[np.float64]


def read(path: Path) -> dict[str, dict[str, Values]]:
    """Return the outcomes of every customer, float64[customers], by arm and outcome."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in OUTCOMES})
    with lzma.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            for name in OUTCOMES:
                found[row["segment"]][name].append(float(row[name]))
    return {arm: {name: np.array(values) for name, values in of.items()} for arm, of in found.items()}


def compared(treated: Values, control: Values, *, binary: bool) -> tuple[Interval | None, tuple[float, float]]:
    """Return lift's interval, and scipy's Welch interval of the same outcomes (with one of each added if binary)."""
    ours = difference(_sums(treated), _sums(control), binary=binary)
    arms = [np.append(arm, (0.0, 1.0)) if binary else arm for arm in (treated, control)]
    theirs = stats.ttest_ind(*arms, equal_var=False).confidence_interval(0.95)
    return ours, (float(theirs.low), float(theirs.high))


def _sums(values: Values) -> Sums:
    squares = float(np.square(values).sum())
    return Sums(len(values), int(np.count_nonzero(values)), float(values.sum()), squares)


def as_table(arms: dict[str, dict[str, Values]]) -> Table:
    """Return both sides, a row per arm and outcome; shares and currency per customer."""
    table = Table("arm", "outcome", "customers", "lift", "fixed, ours", "fixed, scipy", "at all times")
    for arm, outcomes in arms.items():
        for name, binary in OUTCOMES.items():
            if arm != CONTROL:
                ours, theirs = compared(outcomes[name], arms[CONTROL][name], binary=binary)
                table.add_row(arm, name, f"{len(outcomes[name]):,}", *_cells(ours, theirs))
    return table


def _cells(ours: Interval | None, theirs: tuple[float, float]) -> list[str]:
    if ours is None:
        return ["", "", f"{theirs[0]:+.5f} to {theirs[1]:+.5f}", ""]
    return [
        f"{ours.estimate:+.5f}",
        f"{ours.fixed_low:+.5f} to {ours.fixed_high:+.5f}",
        f"{theirs[0]:+.5f} to {theirs[1]:+.5f}",
        f"{ours.low:+.5f} to {ours.high:+.5f}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m worker.bench.lift", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"a folder with {NAME}")
    path = parser.parse_args(arguments).data / NAME
    if not path.is_file():
        sys.stderr.write(f"{path} isn't there: name the folder that has it with --data.\n")
        return 2
    Console(width=WIDTH).print(as_table(read(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
