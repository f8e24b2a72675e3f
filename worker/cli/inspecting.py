"""The command that looks at the input before anybody relies on it."""

from typing import Annotated, Any

import typer

from worker.cli.shared import (
    JsonOption,
    PrefixOption,
    ServersOption,
    app,
    plain,
    print_json,
    progress,
    run,
    say,
    settings_of,
)

__all__: list[str] = []

events_app = typer.Typer(help="Look at the input topic.")
app.add_typer(events_app, name="events")

NAMES_SHOWN = 12


@events_app.command("check", short_help="Say what the workers would make of the input.")
def events_check(
    *,
    sample: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many of the last records are looked at.")
    ] = 10_000,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Read the last records of the input as the workers would, and say what they would make of it.

    Kinds of events, names that no rule knows, dead letters to expect, keys that aren't the user's, how late events
    come, and duplicates. Nothing is written.
    """
    from worker.operations.inspecting import inspect

    with progress("reading", "records"):
        found = run(inspect(settings_of(bootstrap_servers, topic_prefix), sample))
    if as_json:
        print_json(found)
        return
    for line in _lines(found):
        say(line)


def _lines(found: dict[str, Any]) -> list[str]:
    """What was found, for people."""
    under = f"definitions {found['definitions']}" if found["definitions"] else "the shipped mapping"
    told = [f"{found['read']:,} records of {found['topic']}, {found['partitions']} partitions, under {under}"]
    if not found["read"]:
        return told
    keys, late, twice = found["key_mismatches"], found["lateness"], found["duplicates"]
    told += _counts("kinds of events", found["kinds"])
    told += _counts("names that no rule knows (kind other)", found["unmapped"])
    told += _counts("dead letters to expect", found["dead_letters"])
    told += _counts("repairs to expect", found["repaired"])
    if keys["count"]:
        where = f"{keys['without_key']:,} of them absent, the first at partition and offset {keys['first']}"
        told += [f"{keys['count']:,} keys aren't the user's id ({where}): shoal rekey copies a topic keyed otherwise"]
    told += _counts("timestamps", found["timestamp_types"])
    if late["with_time"]:
        median, most = late["p50_seconds"], late["p99_seconds"]
        told += [
            f"events come {median:,.1f} s after their own time (median), 99 % of them within {most:,.1f} s",
            f"{late['late_share']:.1%} later than is waited for, {late['future_share']:.1%} more than 5 minutes early",
        ]
    told += [
        f"{twice['by_message_id']:,} repeat a message id of their user, {twice['without_message_id']:,} have none",
    ]
    return told


def _counts(title: str, counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"  {count:>11,}  {plain(name)}" for name, count in shown[:NAMES_SHOWN]]
    more = [f"  {'':>11}  and {len(shown) - NAMES_SHOWN:,} more: --json has them"] if shown[NAMES_SHOWN:] else []
    return [f"{title}:", *lines, *more]
