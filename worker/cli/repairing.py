"""The commands that repair: dead letters, driven once more, and topics copied under the right keys."""

from typing import Annotated, Any

import typer

from worker.cli.shared import (
    ByOption,
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
    until_told,
)
from worker.errors import JobFailed, WrongUsage

__all__: list[str] = []

dead_letters_app = typer.Typer(help="List dead letters, and drive them once more.")
app.add_typer(dead_letters_app, name="dead-letters")

ReasonOption = Annotated[str | None, typer.Option(metavar="R", help="Only those of one reason, such as bad_field.")]
SinksOption = Annotated[
    bool, typer.Option("--sinks", help="Those of sinks: what couldn't be delivered, rather than what couldn't be read.")
]
PLACES_SHOWN = 20


@dead_letters_app.command("list", short_help="List the dead letters.")
def dead_letters_list(
    *,
    sinks: SinksOption = False,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many of the newest are shown.")] = 20,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Count the dead letters by reason and show the newest: where each original is, and how it begins."""
    from worker.operations.letters import check_reason, listed

    topic = "sink-dead-letters" if sinks else "dead-letters"
    check_reason(reason, topic)
    with progress("reading", "dead letters") as tell:
        told = (lambda count: tell(0, None, count)) if tell else None
        found = run(listed(settings_of(bootstrap_servers, topic_prefix), topic, reason, limit, told))
    if as_json:
        print_json(found)
        return
    for name, count in found["reasons"].items():
        say(f"{count:>11,}  {name}")
    if not found["reasons"]:
        say("There are no dead letters.")
    for letter in found["dead_letters"]:
        say(_line_of_sinks(letter) if sinks else _line(letter))


def _line(letter: dict[str, Any]) -> str:
    beginning = plain(letter["payload"][:72])
    where = f"{letter['topic']} {letter['partition']}:{letter['offset']}"
    return f"{letter['written_at']}  {letter['reason']}  {where}  letter {letter['at']}\n    {beginning}"


def _line_of_sinks(letter: dict[str, Any]) -> str:
    where = f"{letter['topic']} {letter['partition']}:{letter['offset']}"
    answered = "no answer" if letter["status"] is None else f"status {letter['status']}"
    tried = f"{answered} after {letter['attempts']} attempts"
    return f"{letter['written_at']}  {letter['sink']} {letter['reason']}, {tried}  {where}  letter {letter['at']}"


@dead_letters_app.command("redrive", short_help="Write their originals to the input, or have sinks deliver, again.")
def dead_letters_redrive(
    *,
    sinks: SinksOption = False,
    reason: ReasonOption = None,
    from_offset: Annotated[
        list[str] | None,
        typer.Option(metavar="P:O", help="Begin at offset O in partition P of the dead letters; may be given again."),
    ] = None,
    by: ByOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Write the originals of dead letters to the input again, once what was wrong is mended.

    Each is read from where its letter says, and goes to its partition under its key, or for key_mismatch under its
    user's id. Where retention has taken it, the letter's payload goes instead if it is whole; else the record is lost,
    which is told, with status 1. Letters stay: run it twice, and what has a messageId still counts once while that is
    among its user's last 32, and an order by its order_id; anything else counts twice. --from-offset, as the last run
    printed it, takes the letters that came since.

    With --sinks the sinks are asked to deliver the records again, under their old ids: each once, unless it has expired
    or its user was erased. What is refused again has a letter again.
    """
    from worker.operations.letters import check_reason
    from worker.operations.redelivering import redeliver
    from worker.operations.redriving import redrive

    check_reason(reason, "sink-dead-letters" if sinks else "dead-letters")
    begins = dict(map(_begin, from_offset or []))
    with progress("redriving", "records") as tell:
        told = (lambda count: tell(0, None, count)) if tell else None
        again = redeliver if sinks else redrive
        done = run(again(settings_of(bootstrap_servers, topic_prefix, by), reason, begins, told))
    say(
        f"The sinks are asked for {done.count:,} records."
        if sinks
        else f"{done.count:,} records went back to the input."
    )
    _tell("is gone: its dead letter's payload went instead", list(map(str, done.from_letters)))
    why = "it is gone" if sinks else "it is gone, and its dead letter has only its beginning"
    _tell(f"is lost: {why}", list(map(str, done.lost)))
    rest = " ".join(f"--from-offset {partition}:{offset}" for partition, offset in sorted(done.ends.items()))
    say(f"Letters from now on: {rest}")
    if done.lost:
        raise JobFailed(f"{len(done.lost):,} records are lost: fetch them from where they came from, if they matter.")


def _begin(text: str) -> tuple[int, int]:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        raise WrongUsage(f"--from-offset {text}: write a partition and an offset, such as 0:1200.")
    return int(partition), int(offset)


def _tell(what: str, places: list[str]) -> None:
    for place in places[:PLACES_SHOWN]:
        say(f"{place} {what}")
    if places[PLACES_SHOWN:]:
        say(f"and {len(places) - PLACES_SHOWN:,} more: {what}")


@app.command(short_help="Copy a topic with the user's id as key.")
def rekey(
    *,
    source: Annotated[str, typer.Option("--from", metavar="TOPIC", help="The topic to copy, by its full name.")],
    target: Annotated[
        str | None, typer.Option("--to", metavar="TOPIC", help="Where to, by its full name.", show_default="the input")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--until-end", help="Copy what comes until SIGTERM, or what is there now.")
    ] = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Copy a topic exactly once, each record with its user's id as key and in the partition any Kafka client gives it.

    Values, headers and timestamps stay (a topic with LogAppendTime gives times of its own); a record without a readable
    user keeps its key. Records are taken in the order of their timestamps over all partitions. Whatever ends a run, the
    next one goes on where it stopped: how far it is, is kept with the two topics' names, for as long as the brokers
    keep offsets of groups (a week by default).
    """
    from worker.operations.rekeying import rekey as copy

    settings = settings_of(bootstrap_servers, topic_prefix)
    named = target or settings.events_topic
    with progress("copying", "records") as tell:
        done = run(until_told(lambda stop: copy(settings, source, named, stop=stop, follow=follow, progress=tell)))
    say(f"{done.copied:,} records copied from {source} to {named}, {done.without_user:,} without a readable user.")
