"""The commands that ask: why a user is where she is, and how the deployment is doing."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.shared import (
    DEMO_OUTPUT,
    JsonOption,
    PrefixOption,
    ServersOption,
    WaitOption,
    app,
    console,
    plain,
    print_json,
    progress,
    run,
    say,
    settings_of,
)
from worker.errors import WrongUsage

if TYPE_CHECKING:
    from rich.table import Table

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


@app.command(short_help="Show the deployment at a glance.")
def status(
    *,
    wait: WaitOption = 10,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Show brokers, topics, the newest definitions and model, who works and learns, and how each partition does."""
    from worker.operations.overview import overview

    with progress("waiting for the workers", "answers") as tell:
        seen = run(overview(settings_of(bootstrap_servers, topic_prefix), wait, tell))
    if as_json:
        print_json(seen)
        return
    brokers = ", ".join(f"{broker['id']} at {broker['host']}:{broker['port']}" for broker in seen["brokers"])
    say(f"brokers      {brokers}")
    for finding in seen["topics"]:
        say(f"topics       {finding['severity']}: {', '.join(finding['topics'])}: {finding['said']}")
    say(f"definitions  {_newest(seen['definitions'])}")
    say(f"model        {_newest_model(seen['model'])}")
    for pause in seen["paused"]:
        who = plain(pause["requested_by"] or "?")
        say(f"paused       {plain(pause['campaign'])}, by {who} at {pause['requested_at']}")
    say(f"workers      {_members(seen['group'])}")
    say(f"trainer      {_members(seen['trainer'])}{_unlearnt(seen['trainer']['lag_records'])}")
    if seen["partitions"]:
        console().print(_progress_table(seen["partitions"]), _state_table(seen["partitions"]))


def _newest(definitions: dict[str, Any] | None) -> str:
    if definitions is None:
        return "none are published: shoal definitions publish F"
    return f"{definitions['version']}/{definitions['hash'][:12]}, published at {definitions['published_at']}"


def _newest_model(model: dict[str, Any] | None) -> str:
    if model is None:
        return "none is published"
    frozen = ", frozen" if model["frozen"] else ""
    return f"{model['version']}/{model['hash'][:12]}, published at {model['published_at']}{frozen}"


def _unlearnt(records: int | None) -> str:
    return "" if records is None else f"; {records:,} records to learn from"


def _members(group: dict[str, Any]) -> str:
    members = ", ".join(f"{member['client']} ({member['host']})" for member in group["members"]) or "nobody"
    return f"group {group['name']}, {group['state'].lower()}: {members}"


def _progress_table(partitions: list[dict[str, Any]]) -> "Table":
    """How far each partition is, and with whom."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("partition", justify="right")
    table.add_column("worker", overflow="fold", max_width=18)
    table.add_column("state")
    for name in ("unread", "behind"):
        table.add_column(name, justify="right")
    table.add_column("clock", no_wrap=True)
    for partition in partitions:
        number = str(partition["partition"])
        if not partition["answered"]:
            table.add_row(number, "", "no answer")
            continue
        clock = (partition["clock"] or "")[:19].replace("T", " ")
        unread, behind = f"{partition['lag_records']:,}", _span(partition["lag_seconds"])
        table.add_row(number, escape(partition["instance"]), partition["state"], unread, behind, clock)
    return table


def _state_table(partitions: list[dict[str, Any]]) -> "Table":
    """What each partition that answered holds, and under which versions."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("partition", "users", "to evaluate"):
        table.add_column(name, justify="right")
    table.add_column("definitions", no_wrap=True)
    table.add_column("model")
    table.add_column("paused", overflow="fold")
    for partition in partitions:
        if partition["answered"]:
            versions = [_short(partition["definitions"]), _short(partition["model"])]
            users, backlog = f"{partition['users']:,}", f"{partition['backlog_users']:,}"
            paused = escape(", ".join(partition["paused"]))
            table.add_row(str(partition["partition"]), users, backlog, *versions, paused)
    return table


def _short(label: str | None) -> str:
    version, _, digest = (label or "").partition("/")
    return f"{version}/{digest[:8]}" if digest else ""


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:,.1f} h" if seconds >= 6000 else f"{seconds / 60:.1f} min"


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
