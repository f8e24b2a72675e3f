"""The command that plays a shop: its events into a file, onto stdout or onto the input topic."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.shared import PrefixOption, ServersOption, app, progress, run, settings_of
from worker.errors import WrongUsage

if TYPE_CHECKING:
    from worker.settings import Settings
    from worker.simulate.shop import Settings as Shop

__all__: list[str] = []


@app.command(short_help="Write a simulated shop's events.")
def simulate(
    *,
    users: Annotated[int, typer.Option(help="How many shoppers, 1 to 10,000,000.")] = 1_000,
    days: Annotated[int, typer.Option(help="How many days, 1 to 2,000.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same bytes.")] = 1,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", show_default="2026-01-05", help="First day, UTC.")
    ] = datetime(2026, 1, 5, tzinfo=UTC),
    out: Annotated[
        str | None, typer.Option(show_default="-", help="File to write, .gz or .zst to compress, - for stdout.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="kafka", help="Write onto the input topic instead, keyed by the user.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="At most N events per second; only with --to kafka.")
    ] = None,
    late: Annotated[float, typer.Option(help="Share of events that arrive late (minutes to two days).")] = 0.01,
    duplicates: Annotated[float, typer.Option(help="Share of events that arrive twice.")] = 0.005,
    malformed: Annotated[float, typer.Option(help="Broken records, as a share of events.")] = 0.001,
    incident: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@DAY[+HOURS]", help="outage, backlog, spike or drift; may be given again."),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="File for the truth, as JSON.")] = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Write the events of a simulated shop as JSON lines, with a truth to check results against."""
    from worker.simulate import command as simulation

    _agree(to, out, rate)
    shares = {"late": late, "duplicates": duplicates, "malformed": malformed}
    under = simulation.settings(incident or [], users=users, days=days, seed=seed, start=start.date(), **shares)
    if to is not None:
        written = _to_kafka(under, settings_of(bootstrap_servers, topic_prefix), rate, truth)
    else:
        with progress("simulating", "records") as tell:
            written = simulation.simulate(under, out or "-", truth, tell)
    if sys.stderr.isatty():
        print(f"{written:,} records of {users:,} users over {days:,} days", file=sys.stderr)


def _agree(to: str | None, out: str | None, rate: float | None) -> None:
    if to not in (None, "kafka"):
        raise WrongUsage(f"--to {to}: the only other place is kafka; --out names a file.")
    if to is not None and out is not None:
        raise WrongUsage("--out names a file, and --to kafka writes none: leave one of them out.")
    if to is None and rate is not None:
        raise WrongUsage("--rate is for --to kafka: a file is written as fast as it can be.")


def _to_kafka(under: "Shop", settings: "Settings", rate: float | None, truth: Path | None) -> int:
    from worker.kafka.writing import Written
    from worker.operations.importing import feed
    from worker.simulate import command as simulation
    from worker.simulate.stream import Simulation

    shop = Simulation(under)
    batches = (list(map(Written, shop.keys(batch), batch.payloads)) for batch in shop.batches())
    with progress("simulating", "records") as tell:
        whole_ms = under.end_ms - under.start_ms
        told = (lambda count: tell(shop.now_ms - under.start_ms, whole_ms, count)) if tell else None
        written = run(feed(settings, batches, rate, told))
    if truth is not None:
        simulation.write_truth(shop, truth)
    return written
