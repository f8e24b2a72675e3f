"""What the commands have in common: the groups they are declared in, options, words and JSON on stdout, progress.

A command of a broker is a coroutine, started by `run`, which tells what Kafka has against it in one sentence.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console

from worker.errors import JobFailed, WrongUsage

if TYPE_CHECKING:
    from worker.settings import Settings

__all__ = [
    "DEMO_OUTPUT", "ByOption", "JsonOption", "MappingOption", "PrefixOption", "ServersOption", "WaitOption", "app",
    "bench_app", "campaigns_app", "console", "definitions_app", "instant_ms", "plain", "print_json", "progress", "run",
    "say", "settings_of", "until_told",
]  # fmt: skip

WaitOption = Annotated[
    float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="How long the partitions have time to answer.")
]

app = typer.Typer(
    name="shoal",
    help="Real-time segmentation of a shop's users: events in, segment changes and campaign decisions out.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
definitions_app = typer.Typer(help="Check, test and publish definitions files.")
campaigns_app = typer.Typer(help="Stop campaigns and let them go on.")
bench_app = typer.Typer(help="Measure the engine.")
app.add_typer(definitions_app, name="definitions")
app.add_typer(campaigns_app, name="campaigns")
app.add_typer(bench_app, name="bench")

DEMO_OUTPUT = Path("demo-output")
Progress = Callable[[int, int | None, int], None]  # how much is done, of how much (None: nobody knows), records so far
Result = TypeVar("Result")
MappingOption = Annotated[
    str | None,
    typer.Option(
        metavar="M",
        help="What events or columns mean: segment, ga4, braze or snowplow (one mapping has them all, and is the "
        "default), online_retail, or a file of your own.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
ServersOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Brokers to begin with; default: SHOAL_BOOTSTRAP_SERVERS, else localhost:9092."
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(metavar="PREFIX", help="Begins every topic's name; default: SHOAL_TOPIC_PREFIX, else shoal. ."),
]
ByOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who asks, as the records say; default: SHOAL_OPERATOR, else the login."),
]
CURES = {
    "UnknownTopicOrPartitionError": "shoal topics create makes the topics that are missing",
    "TopicAuthorizationFailedError": "shoal topics acls prints what this user has to be allowed",
    "GroupAuthorizationFailedError": "shoal topics acls prints what this user has to be allowed",
    "ClusterAuthorizationFailedError": "shoal topics acls prints what this user has to be allowed",
    "TransactionalIdAuthorizationFailed": "shoal topics acls prints what this user has to be allowed",
}


@app.callback(invoke_without_command=True)
def shoal(context: typer.Context) -> None:
    """Real-time segmentation of a shop's users: events in, segment changes and campaign decisions out."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def console() -> Console:
    """Return a console on stdout; lines in a pipe are not wrapped."""
    return Console(soft_wrap=not sys.stdout.isatty())


def say(text: str) -> None:
    """Print a text as it is."""
    console().print(text, markup=False, highlight=False)


def plain(text: str) -> str:
    """Return a text of somebody else's as it is, unless a terminal would obey it."""
    return text if text.isprintable() else ascii(text)


def print_json(value: dict[str, Any]) -> None:
    """Print an object as one line of JSON."""
    print(msgspec.json.encode(value).decode())


def settings_of(bootstrap_servers: str | None, topic_prefix: str | None, by: str | None = None) -> "Settings":
    """Return the settings of the environment under the options every command of a broker has. Raises WrongUsage."""
    from worker import settings

    return settings.load(bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, operator=by)


def instant_ms(text: str, named: str) -> int:
    """Return an instant in ms since the epoch; without an offset it is UTC's. Raises WrongUsage."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise WrongUsage(f"{named} {text} is no time: write one like 2011-12-10T00:00:00Z.") from error


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end and return its result. Raises JobFailed for whatever Kafka has against it."""
    from aiokafka.errors import KafkaError

    if not os.environ.get("SHOAL_DEBUG"):
        for name in ("aiokafka", "asyncio"):  # they tell every retry; what matters in the end is told below
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except KafkaError as error:
        name = type(error).__name__
        cure = CURES.get(name, "see that the brokers are well, and try again")
        raise JobFailed(f"Kafka said no ({name}): {cure}.") from error
    except TimeoutError as error:
        raise JobFailed("The brokers took too long to answer: see that they are well, and try again.") from error


async def until_told(work: Callable[[asyncio.Event], Coroutine[Any, Any, Result]]) -> Result:
    """Run work that ends by itself, or soon after the event it is given is set: by SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await work(stop)


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Progress | None]:
    """Something to call after each batch: a bar on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    count = TextColumn(f"{{task.fields[records]:,}} {unit}")
    columns = (TextColumn(doing), BarColumn(), count, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, records=0)
        yield lambda done, total, records: bar.update(task, completed=done, total=total, records=records)
