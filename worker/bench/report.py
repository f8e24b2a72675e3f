"""The figures as tables for people. What was wanted stands beside what was measured."""

from typing import Any

from rich.console import Group
from rich.table import Table

__all__ = ["as_table"]

Data = dict[str, Any]

WANTED = (
    ("cpu_us_per_event", "CPU per event, bytes to effects", "µs", "8"),
    ("bytes_per_user", "memory per user, index included", "bytes", "3,000"),
    ("reevaluate_seconds", "a definition change for everybody", "s", "5"),
    ("storm_wait_ms_max", "longest wait of a batch in the storm", "ms", "100"),
)
# The grid fits 80 columns, so that a figure is never cut, wherever it is printed.
COLUMNS = (
    ("users", "users"), ("segments", "seg."), ("batch", "batch"), ("cpu_us_per_event", "all"), ("decode_us", "read"),
    ("pass_us", "pass"), ("records_us", "write"), ("other_us", "other"), ("evaluations_per_event", "eval."),
    ("us_per_evaluation", "each"), ("transitions_per_event", "trans."),
)  # fmt: skip
LEGEND = (
    "µs of CPU per event: all of it, reading (decode), the pass, writing records, other; evaluations per event and µs "
    "of the pass for each; transitions per event. first: every user's first event, within a second; skewed: the usual "
    "stream; hot: 90 % of it are one user's; sparse: a tenth of the events a day."
)


def as_table(result: Data) -> Group:
    """Return the main figures, the grid, where the memory goes, the storm and the yardsticks."""
    measured_on = result["machine"]
    where = f"{measured_on['processor']}, {measured_on['cores']} cores, Python {measured_on['python']}"
    return Group(_main(result), _grid(result["runs"]), _memory(result["memory"]), *_sentences(result), where)


def _main(result: Data) -> Table:
    users = result["memory"]["users"]
    table = Table(title=f"One core, {users:,} users, 24 segments", title_justify="left")
    table.add_column("")
    for name in ("is", "wanted, at most"):
        table.add_column(name, justify="right")
    table.add_column("")
    for field, name, unit, wanted in WANTED:
        table.add_row(name, f"{result[field]:,}", wanted, unit)
    return table


def _grid(runs: list[Data]) -> Table:
    table = Table(
        title="CPU per event in µs, and where it goes", title_justify="left", caption=LEGEND, caption_justify="left",
        box=None, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("events")
    for _, name in COLUMNS:
        table.add_column(name, justify="right")
    for row in runs:
        table.add_row(row["what"], *(_number(row[field]) for field, _ in COLUMNS))
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _memory(memory: Data) -> Table:
    table = Table(title="Bytes per user", title_justify="left")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    table.add_row("all, as the system sees it", f"{memory['bytes_per_user']:,}")
    table.add_row("her id and its index", f"{memory['index_bytes']:,}")
    table.add_row("her row", f"{memory['row_bytes']:,}")
    for purpose, size in list(memory["columns"].items())[:8]:
        table.add_row(f"  of it {purpose}", f"{size:,}")
    return table


def _sentences(result: Data) -> list[str]:
    storm, beside = result["storm"], result["beside"]
    lines = [
        f"Re-evaluation of {row['users']:,} users, {row['what']}: {row['seconds']} s, {row['transitions']:,} changes"
        for row in result["reevaluation"]
    ]
    ended = "" if storm["over"] else "; it wasn't over when the measurement ended"
    lines.append(
        f"Storm: {storm['evaluations']:,} evaluations in {storm['seconds']} s beside {storm['events_a_batch']} events "
        f"every {storm['every_ms']} ms; a batch waited {storm['wait_ms_median']} ms (median), "
        f"{storm['wait_ms_max']} ms (longest){ended}"
    )
    return [*lines, *(_yardstick(name, beside[name]) for name in ("twin", "pandas"))]


def _yardstick(name: str, figures: Data) -> str:
    if "missing" in figures:
        return f"{name}: {figures['missing']}"
    told = (
        f"{name}: {figures['us_per_event']} µs per event over {figures['events']:,} events, "
        f"{figures['ratio']} times the engine's {figures['engine_us_per_event']} µs on the same log"
    )
    if "ratio_if_as_fresh" in figures:
        told += (
            f"; that is one recomputation ({figures['seconds']} s), without transitions or campaigns: "
            f"made after every event, to be as fresh, {figures['ratio_if_as_fresh']:,} times"
        )
    return told
