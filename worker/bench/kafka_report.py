"""The figures of `shoal bench kafka` as tables for people. What was wanted stands beside what was measured."""

from typing import Any, Final

from rich.console import Group
from rich.table import Table

__all__ = ["as_table"]

Data = dict[str, Any]

TAKEOVER_SECONDS_BEYOND: Final = 5
# Fits 80 columns, so that a figure is never cut, wherever it is printed.
COLUMNS: Final = (
    ("workers", "workers"), ("cpu_us_per_event", "CPU"), ("broker_us_per_event", "broker's"),
    ("with_broker_us_per_event", "both"), ("events_per_second", "events/s"), ("events_per_commit", "events/commit"),
)  # fmt: skip
LEGEND: Final = (
    "µs of CPU per event: all workers', the brokers' (-: they can't be seen on this machine), both. events/s: by the "
    "wall, on whatever cores the workers share with the brokers. equivalent: what `shoal bench peers` compares."
)


def as_table(result: Data) -> Group:
    """Return the main figures, the saturation, how the rest was measured, and on what."""
    measured_on = result["machine"]
    where = f"{measured_on['processor']}, {measured_on['cores']} cores, Python {measured_on['python']}"
    return Group(_main(result), _saturation(result["saturation"]), *_sentences(result), where)


def _main(result: Data) -> Table:
    table = Table(title="On Kafka, exactly once", title_justify="left")
    table.add_column("")
    for name in ("is", "wanted, at most"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name, is_, wanted, unit in _rows(result):
        table.add_row(name, _number(is_), _number(wanted), unit)
    return table


def _rows(result: Data) -> list[tuple[str, float | None, float, str]]:
    events, timers = result["latency"]["transitions"], result["latency"]["timers"]
    takeover = result["takeover"]
    limit = takeover["session_timeout_seconds"] + TAKEOVER_SECONDS_BEYOND
    alone = {row["definitions"]: row for row in result["saturation"] if row["workers"] == 1}
    return [
        ("CPU per event, demo's definitions", alone["demo"]["cpu_us_per_event"], 15, "µs"),
        ("event to visible transition, median", events["p50_ms"], 100, "ms"),
        ("event to visible transition, p99", events["p99_ms"], 250, "ms"),
        ("timers beyond the grace, p99", timers["p99_ms"], 2_000, "ms"),
        (f"restore of {result['restore']['users']:,} users", result["restore"]["seconds"], 20, "s"),
        ("takeover after kill -9", takeover["seconds"], limit, "s"),
        ("CPU of an idle worker", result["idle"]["cpu_percent"], 2, "%"),
    ]


def _saturation(rows: list[Data]) -> Table:
    first = rows[0]
    table = Table(
        title=f"Saturation, {first['users']:,} users, {first['partitions']} partitions", title_justify="left",
        caption=LEGEND, caption_justify="left", box=None, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("definitions")
    for _, name in COLUMNS:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row["definitions"], *(_number(row[field]) for field, _ in COLUMNS))
    return table


def _sentences(result: Data) -> list[str]:
    latency, restore = result["latency"], result["restore"]
    takeover, idle = result["takeover"], result["idle"]
    events, timers = latency["transitions"], latency["timers"]
    told = {
        "Latency": f"{latency['events']:,} events at {latency['events_per_second']:,} per second",
        "Transitions by an event": f"{events['count']:,}, the last of them after {_number(events['max_ms'])} ms",
        "Transitions by time": f"{timers['count']:,}; ms beyond the grace: {_number(timers['p50_ms'])} (median), "
        f"{_number(timers['max_ms'])} (longest)",
        "Restore": f"{restore['state_bytes']:,} bytes of rows in {restore['partitions']} partitions side by side; "
        f"{restore['ready_seconds']} s from the start of the process until they ran",
        "Takeover": f"{takeover['partitions']} partitions of one of two workers, under "
        f"{takeover['events_per_second']:,} events per second; session timeout "
        f"{takeover['session_timeout_seconds']:g} s",
        "Idle": f"{idle['partitions']} partitions, {idle['users']:,} users, {idle['seconds']} s, "
        f"{idle['commits']} commits",
    }
    return [f"{name}: {said}" for name, said in told.items()]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
