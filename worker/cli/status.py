"""The command that shows a deployment at a glance: who works, how far behind, and what stands still and why."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from worker.cli.shared import (
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

if TYPE_CHECKING:
    from rich.table import Table

__all__: list[str] = []

NAMED = {"worker": "workers"}
TOLD_MAX = 20


@app.command(short_help="Show the deployment at a glance.")
def status(
    *,
    wait: WaitOption = 10,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Show brokers, topics, what is in force, who is there of each role, what it reads and how far it is behind.

    A partition that is stopped or begins again says why; an endpoint that takes nothing is named.
    """
    from worker.operations.overview import overview

    with progress("waiting for the processes", "answers") as tell:
        seen = run(overview(settings_of(bootstrap_servers, topic_prefix), wait, tell))
    if as_json:
        print_json(seen)
        return
    for name, line in _lines(seen):
        say(f"{name:<13}{line}")
    console().print(_roles_table(seen["roles"]))
    partitions = seen["roles"]["worker"]["partitions"]
    if partitions:
        console().print(_progress_table(partitions), _state_table(partitions))
    for trouble in _troubles(seen["roles"])[:TOLD_MAX]:
        say(trouble)


def _lines(seen: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is to be told of each thing, by its name."""
    yield "brokers", ", ".join(f"{broker['id']} at {broker['host']}:{broker['port']}" for broker in seen["brokers"])
    for finding in seen["topics"]:
        yield "topics", f"{finding['severity']}: {', '.join(finding['topics'])}: {finding['said']}"
    yield "definitions", _newest(seen["definitions"])
    yield "model", _newest_model(seen["model"])
    for pause in seen["paused"]:
        yield (
            "paused",
            f"{plain(pause['campaign'])}, by {plain(pause['requested_by'] or '?')} at {pause['requested_at']}",
        )
    for role, known in seen["roles"].items():
        yield NAMED.get(role, role), _members(known)


def _newest(definitions: dict[str, Any] | None) -> str:
    if definitions is None:
        return "none are published: shoal definitions publish F"
    return f"{definitions['version']}/{definitions['hash'][:12]}, published at {definitions['published_at']}"


def _newest_model(model: dict[str, Any] | None) -> str:
    if model is None:
        return "none is published"
    frozen = ", frozen" if model["frozen"] else ""
    return f"{model['version']}/{model['hash'][:12]}, published at {model['published_at']}{frozen}"


def _members(group: dict[str, Any]) -> str:
    members = ", ".join(f"{member['client']} ({member['host']})" for member in group["members"]) or "nobody"
    return f"group {group['name']}, {group['state'].lower()}: {members}"


def _troubles(roles: dict[str, Any]) -> list[str]:
    """Return a line for each partition that has something to say for itself."""
    return [
        f"{role} {partition['partition']} on {plain(partition['instance'])}: {partition['state']}, "
        f"{plain(partition['detail'])}"
        for role, known in roles.items()
        for partition in known["partitions"]
        if partition.get("detail")
    ]


def _roles_table(roles: dict[str, Any]) -> "Table":
    """What each role reads, how far it is behind, and how its partitions are."""
    table = _table("role", "reads", ">unread", ">behind", "partitions")
    for role, known in roles.items():
        named, states = NAMED.get(role, role), _states(known["partitions"])
        for reads in known["reads"] or [{"topic": "nothing yet", "lag_records": None, "lag_seconds": None}]:
            table.add_row(
                named, plain(reads["topic"]), _count(reads["lag_records"]), _span(reads["lag_seconds"]), states
            )
            named = states = ""
    return table


def _states(partitions: list[dict[str, Any]]) -> str:
    states = Counter(partition["state"] if partition["answered"] else "no answer" for partition in partitions)
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in states.most_common())


def _progress_table(partitions: list[dict[str, Any]]) -> "Table":
    """How far each partition is, and with whom."""
    table = _table(">partition", "worker", "state", ">unread", ">behind", "clock")
    for partition in partitions:
        state = partition["state"] if partition["answered"] else "no answer"
        clock = (partition.get("clock") or "")[:19].replace("T", " ")
        table.add_row(
            str(partition["partition"]), plain(partition.get("instance", "")), state,
            _count(partition["lag_records"]), _span(partition["lag_seconds"]), clock,
        )  # fmt: skip
    return table


def _state_table(partitions: list[dict[str, Any]]) -> "Table":
    """What each partition that runs holds, and under which versions."""
    table = _table(">partition", ">users", ">to evaluate", "definitions", "model", "paused")
    for partition in partitions:
        if "users" in partition:
            table.add_row(
                str(partition["partition"]), _count(partition["users"]), _count(partition["backlog_users"]),
                _short(partition["definitions"]), _short(partition["model"]), ", ".join(partition["paused"]),
            )  # fmt: skip
    return table


def _table(*columns: str) -> "Table":
    """Return a table that fits 80 columns; of a column whose name begins with > the cells stand at the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        is_number = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if is_number else "left", overflow="fold")
    return table


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _short(label: str | None) -> str:
    version, _, digest = (label or "").partition("/")
    return f"{version}/{digest[:8]}" if digest else ""


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:,.1f} h" if seconds >= 6000 else f"{seconds / 60:.1f} min"
