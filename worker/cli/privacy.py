"""The commands for privacy requests: erase a user, write down all that is known of her."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from worker.cli.shared import (
    ByOption,
    JsonOption,
    PrefixOption,
    ServersOption,
    WaitOption,
    app,
    console,
    print_json,
    progress,
    run,
    say,
    settings_of,
)
from worker.errors import JobFailed, WrongUsage

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.control import Receipt
    from worker.operations.commanding import Place

__all__: list[str] = []

Receipts = dict["Place", "Receipt | None"]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="A user id, as in memberships.")]
READABLE_BY_OWNER = 0o600


@app.command(short_help="Erase a user everywhere, with a receipt.")
def erase(
    user: UserArgument,
    *,
    suppress: Annotated[bool, typer.Option("--suppress", help="Refuse her later events too, for good.")] = False,
    by: ByOption = None,
    wait: WaitOption = 30.0,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Have every partition and the trainer forget a user, and gather their receipts.

    What she did before is ignored from then on; what she does later begins anew, unless she is suppressed. Who doesn't
    run now carries it out when it comes back; the exit status is 1 then.
    """
    from worker.operations import privacy

    settings = settings_of(bootstrap_servers, topic_prefix, by)
    with progress("Waiting for receipts", "receipts") as bar:
        receipts = run(privacy.erase(settings, user, wait, bar, suppress=suppress))
    if as_json:
        print_json(_summary(receipts))
    else:
        _tell(receipts)
        if all(receipt is not None and not receipt.found for receipt in receipts.values()):
            say("Nobody knew her. Whoever has an anonymousId alone is known as anon: and that id.")
    _unless_silent([str(place) for place, receipt in receipts.items() if receipt is None], wait)


def _summary(receipts: Receipts) -> dict[str, Any]:
    given = [receipt for receipt in receipts.values() if receipt is not None]
    return {
        "found": any(receipt.found for receipt in given),
        "complete": len(given) == len(receipts),
        "silent": [str(place) for place, receipt in receipts.items() if receipt is None],
        "receipts": [receipt.model_dump() for receipt in given],
    }


def _tell(receipts: Receipts) -> None:
    """Print who has done what, what is kept until when, and what can't be taken back."""
    console().print(_table(receipts))
    given = [receipt for receipt in receipts.values() if receipt is not None]
    if not given:
        return
    first = given[0]
    say(f"Receipts are in the topic receipts under {first.command_id}, of subject {first.subject[:16]}….")
    kept = {entry.topic: entry.until for receipt in given for entry in receipt.kept}
    if kept:
        say("\nWhat was written before stays until retention takes it, by the table of topics:")
        for topic, until in sorted(kept.items(), key=lambda entry: entry[1]):
            say(f"  {until[:10]}  {topic}")
    for said in dict.fromkeys(said for receipt in given for said in receipt.not_unlearned):
        say(f"Can't be taken back: {said}.")


def _table(receipts: Receipts) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("where")
    table.add_column("found")
    columns = ("segments", "triggers", "samples", "texts", "state_bytes")
    for name in columns:
        table.add_column(name.replace("state_", ""), justify="right")
    for place, receipt in receipts.items():
        if receipt is None:
            table.add_row(str(place), "no answer")
        else:
            removed = receipt.removed.model_dump() if receipt.removed else {}
            counts = [f"{removed[name]:,}" if receipt.found else "" for name in columns]
            table.add_row(str(place), "yes" if receipt.found else "no", *counts)
    return table


def _unless_silent(silent: list[str], wait: float) -> None:
    if silent:
        raise JobFailed(
            f"Not yet done by {', '.join(silent)}, of whom no receipt came within {wait:g} s: they do it when they run "
            "(shoal status); the receipts will be in the topic receipts."
        )


@app.command(short_help="Write down all that is known about a user.")
def export(
    user: UserArgument,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; default: export-, her pseudonym and .json.")
    ] = None,
    by: ByOption = None,
    wait: WaitOption = 30.0,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Ask every partition for all that it knows about a user, and write it to a file that only you can read.

    A receipt says that it was done. The answers are in the topic of that name for an hour.
    """
    from worker.operations import privacy

    settings = settings_of(bootstrap_servers, topic_prefix, by)
    out = out or Path(f"export-{privacy.pseudonym(settings, user)[:16]}.json")
    if out.exists():
        raise WrongUsage(f"{out} is there already: name another file.")
    with progress("Waiting for answers", "answers") as bar:
        answers = run(privacy.export(settings, user, wait, bar))
    known = [answer for answer in answers.values() if answer is not None and answer.found]
    silent = [f"partition {partition}" for partition, answer in answers.items() if answer is None]
    whole = {
        "user_id": user, "complete": not silent, "silent": silent,
        "partitions": [{"partition": answer.partition, **answer.body} for answer in known],
    }  # fmt: skip
    _write(out, msgspec.json.format(msgspec.json.encode(whole), indent=2))
    say(f"{len(known)} of {len(answers)} partitions know something; it is in {out}.")
    if silent:
        raise JobFailed(f"No answer came within {wait:g} s from {', '.join(silent)}: see shoal status, and ask again.")


def _write(out: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER), "wb") as file:
            file.write(content)
    except OSError as error:
        raise JobFailed(f"{out} can't be written ({error.strerror}): name another file.") from error
