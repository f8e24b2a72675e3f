"""The commands that ask: why a user is where she is, and what took effect when."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.shared import (
    DEMO_OUTPUT,
    JsonOption,
    PrefixOption,
    ServersOption,
    WaitOption,
    app,
    console,
    print_json,
    progress,
    run,
    settings_of,
)
from worker.errors import WrongUsage

__all__: list[str] = []


@app.command(short_help="Say why a user is where she is.")
def explain(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id, as in memberships.")],
    *,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The --out folder of a finished replay or demo.", show_default="demo-output"),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the running workers; the default where SHOAL_BOOTSTRAP_SERVERS is set.")
    ] = False,
    wait: WaitOption = 10,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Say why a user is where she is: every segment's clauses with values, the next instant, recent transitions."""
    from worker.files import explanation

    if live and state is not None:
        raise WrongUsage("--live asks the workers, and --state reads a folder: leave one of them out.")
    if live or (state is None and (bootstrap_servers or os.environ.get("SHOAL_BOOTSTRAP_SERVERS"))):
        explained = _ask_workers(user, wait, bootstrap_servers, topic_prefix)
    else:
        explained = explanation.explain(user, state or DEMO_OUTPUT, settings_of(None, None).pseudonym_keys)
    if as_json:
        print_json(explained)
    else:
        console().print(explanation.as_text(explained))


def _ask_workers(user: str, wait: float, bootstrap_servers: str | None, topic_prefix: str | None) -> dict[str, Any]:
    from worker.operations.explaining import explain as ask

    with progress("waiting for the workers", "answers") as tell:
        return run(ask(settings_of(bootstrap_servers, topic_prefix), user, wait, tell))


@app.command(short_help="Print what took effect before which record.")
def points(
    partition: Annotated[int, typer.Argument(metavar="PARTITION", min=0, help="A partition of the input.")],
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Print a partition's points as JSON lines: with them, `shoal replay` of its records writes what its worker did."""
    from worker.files.points import Place, as_lines
    from worker.operations.pointing import points_of

    checkpoint, found = run(points_of(settings_of(bootstrap_servers, topic_prefix), partition))
    place = Place(checkpoint.topic, checkpoint.partition, checkpoint.partitions, checkpoint.grace_ms, checkpoint.clock)
    for line in as_lines(place, found):
        print(line)
