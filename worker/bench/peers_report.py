"""The figures of `shoal bench peers` as a table for people."""

from typing import Any, Final

from rich.console import Group
from rich.table import Table

__all__ = ["as_table"]

Data = dict[str, Any]

# Fits 80 columns, so that a figure is never cut, wherever it is printed.
COLUMNS: Final = (
    ("events", "events"), ("warm_us", "warm"), ("ratio", "ratio"), ("cold_us", "cold"), ("broker_warm_us", "broker"),
    ("events_per_second_warm", "events/s"), ("results", "results"), ("results_expected", "due"), ("wrong", "wrong"),
)  # fmt: skip
REFERENCE: Final = "Shoal"
LEGEND: Final = (
    "µs of CPU per event: warm, the second half of the events; ratio, to Shoal's; cold, from the start to the last "
    "event; the broker's in the second half. events/s: by the wall, in the second half, beside whatever else ran on "
    "these cores. results: changes that were written; due: that there were; wrong: users whose last tier isn't what it "
    "should be; -: not known."
)


def as_table(result: Data) -> Group:
    """Return a line per peer, what each promises, and what was measured on."""
    table = Table(
        title=f"{result['users']:,} users", title_justify="left", caption=LEGEND, caption_justify="left",
        box=None, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("peer")
    for _, name in COLUMNS:
        table.add_column(name, justify="right")
    reference_us = next((peer["warm_us"] for peer in result["peers"] if peer["name"] == REFERENCE), None)
    for peer in result["peers"]:
        row = _row(peer, reference_us)
        table.add_row(peer["name"], *(_number(row[field]) for field, _ in COLUMNS))
    measured_on = result["machine"]
    return Group(
        table,
        *(f"{peer['name']}: {peer['guarantee']}{_which(peer['differences'])}" for peer in result["peers"]),
        f"{measured_on['processor']}, {measured_on['cores']} cores, Python {measured_on['python']}",
    )


def _row(peer: Data, reference_us: float | None) -> Data:
    """The peer's figures, with what follows from them."""
    ratio = round(peer["warm_us"] / reference_us, 2) if peer["warm_us"] and reference_us else None
    wrong = peer["differences"]
    return {**peer, "ratio": ratio, "wrong": None if wrong is None else len(wrong)}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def _which(users: list[str] | None) -> str:
    """The first of the users that are wrong."""
    return f"; wrong: {', '.join(users[:5])}{', …' * (len(users) > 5)}" if users else ""
