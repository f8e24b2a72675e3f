"""The figures of the peers as a table for people."""

from typing import Any, Final

from rich.console import Group
from rich.table import Table

__all__ = ["as_table"]

Data = dict[str, Any]

# Fits 80 columns, so that a figure is never cut, wherever it is printed.
COLUMNS: Final = (
    ("events", "events"), ("warm_us", "warm"), ("cold_us", "cold"), ("broker_warm_us", "broker"),
    ("events_per_second_warm", "events/s"), ("results", "results"), ("results_expected", "due"),
)  # fmt: skip
LEGEND: Final = (
    "µs of CPU per event: warm, the second half of the events; cold, from the start to the last event; the broker's in "
    "the second half. events/s: by the wall, in the second half, beside whatever else ran on these cores. results: "
    "changes of tier that were written; due: that there were; wrong: users whose last tier isn't what it should be."
)


def as_table(result: Data) -> Group:
    """Return a line per peer, what each promises, and what was measured on."""
    table = Table(
        title=f"{result['users']:,} users", title_justify="left", caption=LEGEND, caption_justify="left",
        box=None, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("peer")
    for name in (*(name for _, name in COLUMNS), "wrong"):
        table.add_column(name, justify="right")
    for peer in result["peers"]:
        table.add_row(peer["name"], *(_number(peer[field]) for field, _ in COLUMNS), f"{len(peer['differences']):,}")
    measured_on = result["machine"]
    return Group(
        table,
        *(f"{peer['name']}: {peer['guarantee']}{_which(peer['differences'])}" for peer in result["peers"]),
        f"{measured_on['processor']}, {measured_on['cores']} cores, Python {measured_on['python']}",
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def _which(users: list[str]) -> str:
    """The first of the users that are wrong."""
    return f"; wrong: {', '.join(users[:5])}{', …' * (len(users) > 5)}" if users else ""
