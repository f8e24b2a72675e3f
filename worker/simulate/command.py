"""`shoal simulate`: a simulated shop's events as Segment-spec JSON lines, and the truth about them."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from worker.simulate.files import write_jsonl
from worker.simulate.shop import Incident, Settings
from worker.simulate.stream import Batch, Simulation

__all__ = ["simulate"]


def simulate(
    *,
    users: Annotated[int, typer.Option(help="How many shoppers, 1 to 10,000,000.")] = 1_000,
    days: Annotated[int, typer.Option(help="How many days, 1 to 2,000.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same bytes.")] = 1,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First day, UTC, such as 2026-01-05.")
    ] = datetime(2026, 1, 5),  # noqa: DTZ001
    out: Annotated[str, typer.Option(help="File to write, .gz or .zst to compress, - for stdout.")] = "-",
    late: Annotated[float, typer.Option(help="Share of events that arrive late (minutes to two days).")] = 0.01,
    duplicates: Annotated[float, typer.Option(help="Share of events that arrive twice.")] = 0.005,
    malformed: Annotated[float, typer.Option(help="Broken records, as a share of events.")] = 0.001,
    incident: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@DAY[+HOURS]", help="outage, backlog, spike or drift; may be given again."),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="File for the truth, as JSON.")] = None,
) -> None:
    """Write the events of a simulated shop as JSON lines, with a truth to check results against."""
    settings = _settings(
        users=users,
        days=days,
        seed=seed,
        start=start.date(),
        late=late,
        duplicates=duplicates,
        malformed=malformed,
        incidents=incident or [],
    )
    simulation = Simulation(settings)
    try:
        with _progress(settings) as progress:
            written = write_jsonl(simulation, out, progress)
        if truth is not None:
            truth.write_text(json.dumps(simulation.truth(), indent=1) + "\n", encoding="utf-8")
    except BrokenPipeError:
        # Whoever read us has enough (`| head`). Nothing more can go there, not even what Python flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"shoal simulate: can't write {error.filename or out}: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    if sys.stderr.isatty():
        typer.echo(f"{written:,} records of {users:,} users over {days:,} days", err=True)


def _settings(**options: Any) -> Settings:
    try:
        options["incidents"] = tuple(Incident.parse(text) for text in options["incidents"])
        return Settings(**options)
    except ValidationError as error:
        mistakes = (f"--{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise typer.BadParameter("; ".join(mistakes)) from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--incident") from error


@contextmanager
def _progress(settings: Settings) -> Iterator[Callable[[Batch], None] | None]:
    """Something to call after each batch: a bar on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]:,} records"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = settings.end_ms - settings.start_ms
        task = bar.add_task("simulating", total=total, records=0)
        count = 0

        def show(batch: Batch) -> None:
            nonlocal count
            count += len(batch.payloads)
            bar.update(task, completed=batch.until_ms - settings.start_ms, records=count)

        yield show
