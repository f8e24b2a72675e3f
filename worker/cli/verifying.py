"""The command that checks the live state against a recomputation."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.shared import (
    JsonOption,
    PrefixOption,
    ServersOption,
    app,
    print_json,
    progress,
    run,
    say,
    settings_of,
)
from worker.errors import WrongUsage

__all__: list[str] = []


@app.command(short_help="Check the live state against a naive recomputation.")
def verify(
    *,
    users: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="How many users, of all partitions together.")
    ] = 1_000,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where users who differ are written to, if there are any.")
    ] = Path("verify-differences.jsonl"),
    metrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write metrics there, for node_exporter's textfile collector.")
    ] = None,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Recompute a sample of users from the log, an event at a time in plain Python, and compare.

    Compared are segments with their times, every clause's value, and what `memberships` says. Exit status 1 if anybody
    differs. It only reads, and asks no worker.
    """
    from worker.observe.verified import VerifyMetrics
    from worker.operations.verifying import NOT_JUDGED
    from worker.operations.verifying import verify as compare

    with progress("recomputing", "records") as tell:
        verdict = run(compare(settings_of(bootstrap_servers, topic_prefix), users, tell))
    left_out = verdict.not_judged.total()
    if verdict.found:
        _write(out, verdict.found)
    if metrics is not None:
        VerifyMetrics(verdict.same, verdict.different, left_out).write(metrics)
    if as_json:
        print_json({
            "users": verdict.users, "same": verdict.same, "different": verdict.different,
            "not_judged": {reason: verdict.not_judged[reason] for reason in NOT_JUDGED},
            "partitions": verdict.partitions, "records": verdict.records,
        })  # fmt: skip
    else:
        say(f"{verdict.users:,} users compared, {verdict.records:,} records of {verdict.partitions} partitions")
        say(f"{verdict.same:,} are the same, {verdict.different:,} differ")
        for reason, count in verdict.not_judged.items():
            say(f"{count:,} not judged: each {NOT_JUDGED[reason]}")
        if verdict.found:
            say(f"Who differs, and in what, is in {out}: it names users, keep it as you keep their data.")
    if verdict.different:
        raise typer.Exit(1)


def _write(path: Path, found: list[dict[str, Any]]) -> None:
    """Write a line per user, for nobody else to read."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in found)
    except OSError as error:
        raise WrongUsage(f"{path} can't be written ({error.strerror}): give --out another place.") from error
