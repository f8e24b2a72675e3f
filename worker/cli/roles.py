"""The long-running roles: processes that end when they are told to."""

from typing import Annotated, Literal

import typer

from worker.cli.shared import PrefixOption, ServersOption, app, run, settings_of

__all__: list[str] = []


@app.command(short_help="Work on the events as they come.")
def worker(
    *,
    clock: Annotated[
        Literal["wall", "event"] | None,
        typer.Option(help="What arrival is: the brokers' clock (wall), or each event's own time."),
    ] = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Read the input's partitions and write what follows, exactly once, until SIGTERM; settings are SHOAL_*."""
    from worker import settings as configuration
    from worker.agents.worker import run as work

    run(work(configuration.load(bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, clock=clock)))


@app.command(short_help="Learn from samples, and publish models.")
def trainer(bootstrap_servers: ServersOption = None, topic_prefix: PrefixOption = None) -> None:
    """Learn from what the workers write for it and publish models, until SIGTERM; one does the work, others wait."""
    from worker.agents.trainer import run as work

    run(work(settings_of(bootstrap_servers, topic_prefix)))


@app.command(short_help="Carry triggers and segment changes to other systems.")
def sinks(bootstrap_servers: ServersOption = None, topic_prefix: PrefixOption = None) -> None:
    """Send triggers as signed webhooks and segment changes as audience events, until SIGTERM."""
    from worker.agents.sinks import run as work

    run(work(settings_of(bootstrap_servers, topic_prefix)))
