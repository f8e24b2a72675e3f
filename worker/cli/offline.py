"""The commands that need no broker: files in, files and words out."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from worker.cli.shared import (
    DEMO_OUTPUT,
    JsonOption,
    MappingOption,
    app,
    console,
    definitions_app,
    instant_ms,
    print_json,
    progress,
    say,
    settings_of,
)
from worker.errors import WrongUsage

__all__: list[str] = []


@app.command(short_help="Show it all at work, on a simulated shop.")
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the outputs.")] = DEMO_OUTPUT,
    as_json: JsonOption = False,
) -> None:
    """Run 60 days of a simulated shop through the engine, live on a terminal, under a minute."""
    from rich.live import Live
    from rich.text import Text

    from worker.files import demo as job
    from worker.files import demo_view, lift_report

    screen = console()
    if as_json or not screen.is_terminal:
        summary = job.demo(out)
    else:
        waiting = Text("Compiling the engine; the first time takes some seconds.", style="dim")
        with Live(waiting, console=screen, transient=True, auto_refresh=False, vertical_overflow="crop") as live:
            live.refresh()
            summary = job.demo(out, show=demo_view.View(live))
    if as_json:
        print_json(summary.as_json())
        return
    screen.print(summary.as_table())
    results = lift_report.read_folder(out)
    screen.print(lift_report.as_table(results))
    print("\n".join([*lift_report.sentences(results), f"With pictures: {out / job.REPORT}", ""]))
    print(demo_view.what_next(out, _somebody(out), _called()))


@app.command(short_help="Run the engine over files of events.")
def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSONL, CSV or Parquet; .gz, .zst and .xz too.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the outputs and the state.")],
    definitions: Annotated[
        Path | None, typer.Option(metavar="F", help="Definitions file; default: the demo's.")
    ] = None,
    mapping: MappingOption = None,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Let time run on to T, RFC 3339; default: the largest event time.")
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="Records per step; no result depends on it.")
    ] = 10_000,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="F", help="Points of a partition (shoal points): versions, pauses and ticks are taken from there."
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="F", help="Begin under this model: a snapshot, or the last of models.jsonl.")
    ] = None,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn/--no-learn",
            help="Learn on the way, as the definitions ask; a model takes effect at a UTC midnight.",
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Run the engine over files: segment changes, decisions and triggers out, and a summary."""
    from worker.files import configuration
    from worker.files.models import read_model
    from worker.files.points import Points
    from worker.files.replay import Request
    from worker.files.replay import replay as run

    if points is not None and definitions is not None:
        raise WrongUsage("--points has the definitions in it: leave --definitions out.")
    if points is not None and model is not None:
        raise WrongUsage("--points has the models in it: leave --model out.")
    under = configuration.load(definitions, mapping)
    until_ms = None if until is None else instant_ms(until, "--until")
    request = Request(
        files,
        out,
        until_ms,
        batch,
        Points.load(points, settings_of(None, None).pseudonym_keys) if points else None,
        read_model(model) if model else None,
        learn,
    )
    with progress("replaying", "events") as tell:
        summary = run(under, request, tell)
    if as_json:
        print_json(summary.as_json())
        return
    console().print(summary.as_table())
    written = f"Written into {out}. Why a user is where she is: shoal explain USER --state {out}"
    say(written)


@definitions_app.command("check", short_help="Find all mistakes in a definitions file.")
def definitions_check(
    file: Annotated[Path, typer.Argument(metavar="F", help="Definitions file.")],
    mapping: MappingOption = None,
) -> None:
    """Validate a definitions file: all mistakes at once, each with its definition, line and column."""
    from worker.files import configuration

    found = configuration.load(file, mapping).checked.definitions
    counts = (
        f"{len(part)} {name if len(part) == 1 else f'{name}s'}"
        for part, name in ((found.segments, "segment"), (found.campaigns, "campaign"), (found.tests, "test"))
    )
    said = f"{file} is right: version {found.version}, {', '.join(counts)}."
    say(said)


@definitions_app.command("test", short_help="Run the tests in a definitions file.")
def definitions_test(
    file: Annotated[Path, typer.Argument(metavar="F", help="Definitions file.")],
    mapping: MappingOption = None,
) -> None:
    """Run the `tests` of a definitions file: each with what was expected and, where it isn't so, why."""
    from worker.files import configuration, stories

    under = configuration.load(file, mapping)
    verdicts = list(stories.run(under.checked, under.mapping))
    for verdict in verdicts:
        print(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.name}")
        for failure in verdict.failures:
            print(f"      {failure}")
    failed = sum(not verdict.passed for verdict in verdicts)
    print(f"{len(verdicts) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


def _somebody(out: Path) -> str | None:
    """A user with something to tell: the one of the last trigger."""
    last = None
    with (out / "campaign-triggers.jsonl").open("rb") as lines:
        for line in lines:
            last = line
    return msgspec.json.decode(last)["user_id"] if last else None


def _called() -> str:
    """How this program is called from here: by its name, if that is on the path."""
    if shutil.which("shoal"):
        return "shoal"
    program = Path(sys.argv[0])
    if program.name == "shoal":
        return os.path.relpath(program)
    return f"{Path(sys.executable).name} -m worker"
