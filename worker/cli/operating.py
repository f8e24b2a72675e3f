"""The commands that tell a running deployment what to do: publish definitions, pause campaigns, let time pass."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.shared import (
    ByOption,
    JsonOption,
    MappingOption,
    PrefixOption,
    ServersOption,
    app,
    campaigns_app,
    definitions_app,
    instant_ms,
    plain,
    print_json,
    run,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from worker.operations.publishing import Publication

__all__: list[str] = []

CampaignArgument = Annotated[str, typer.Argument(metavar="ID", help="A campaign of the newest definitions.")]


@definitions_app.command("publish", short_help="Put a definitions file in force.")
def definitions_publish(
    file: Annotated[Path, typer.Argument(metavar="F", help="Definitions file.")],
    mapping: MappingOption = None,
    by: ByOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Check a definitions file and publish it, without questions: every partition takes it within seconds."""
    from worker.files import configuration
    from worker.operations import publishing

    under = configuration.load(file, mapping)
    written = run(publishing.publish(settings_of(bootstrap_servers, topic_prefix, by), under))
    if written is None:
        label = f"{under.checked.definitions.version}/{under.checked.hash[:12]}"
        say(f"{label} is the newest version already: nothing was published.")
    else:
        _tell_published(written)


@definitions_app.command("history", short_help="List the published versions.")
def definitions_history(
    as_json: JsonOption = False, bootstrap_servers: ServersOption = None, topic_prefix: PrefixOption = None
) -> None:
    """List the published versions in order of publication; the last one is in force."""
    from worker.operations import publishing

    published = run(publishing.history(settings_of(bootstrap_servers, topic_prefix)))
    if as_json:
        print_json({"versions": [_listed(entry, in_force=entry is published[-1]) for entry in published]})
        return
    if not published:
        say("Nothing is published yet: shoal definitions publish F does it.")
    for entry in published:
        size = f"{entry.size_bytes:>9,} bytes"
        who = plain(entry.definitions.published_by or "?")
        say(f"{entry.definitions.published_at}  {entry.label:<24}{size}  {who}{_in_force(entry is published[-1])}")


@definitions_app.command("rollback", short_help="Put an earlier version in force again.")
def definitions_rollback(
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="Default: the one before the newest.", min=0)
    ] = None,
    by: ByOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Publish an earlier version again, so that it is the newest; `history` then has it at the end."""
    from worker.operations import publishing

    _tell_published(run(publishing.rollback(settings_of(bootstrap_servers, topic_prefix, by), version)))


def _tell_published(written: "Publication") -> None:
    definitions = written.definitions
    say(f"Published {written.label} ({written.size_bytes:,} bytes) at {definitions.published_at}: it is in force now.")


def _listed(entry: "Publication", *, in_force: bool) -> dict[str, Any]:
    definitions = entry.definitions
    return {
        "version": definitions.version, "hash": definitions.hash, "published_at": definitions.published_at,
        "published_by": definitions.published_by, "bytes": entry.size_bytes, "offset": entry.offset,
        "in_force": in_force,
    }  # fmt: skip


def _in_force(said: bool) -> str:
    return "  in force" if said else ""


@campaigns_app.command("pause", short_help="Stop a campaign.")
def campaigns_pause(
    campaign: CampaignArgument,
    by: ByOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Have every worker stop a campaign, within seconds: its decisions are then suppressed, blocked by `paused`."""
    from worker.operations import commanding

    run(commanding.brake(settings_of(bootstrap_servers, topic_prefix, by), campaign, paused=True))
    say(f"{campaign} is asked to pause: shoal status shows where it has.")


@campaigns_app.command("resume", short_help="Let a campaign go on.")
def campaigns_resume(
    campaign: CampaignArgument,
    by: ByOption = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Have every worker let a paused campaign go on, from the next decision on."""
    from worker.operations import commanding

    run(commanding.brake(settings_of(bootstrap_servers, topic_prefix, by), campaign, paused=False))
    say(f"{campaign} is asked to go on: shoal status shows where it is still paused.")


@app.command(short_help="Let time pass on a topic.")
def tick(
    until: Annotated[str, typer.Argument(metavar="T", help="An instant, RFC 3339; without an offset UTC's.")],
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Let time pass for everyone up to and including T, without grace, as at the end of a file.

    Meant for `shoal worker --clock event`: there only records move the clock, and the last ones leave users waiting.
    """
    from worker.operations import commanding

    until_ms = instant_ms(until, "T")
    run(commanding.tick(settings_of(bootstrap_servers, topic_prefix), until_ms))
    say(f"Every partition is asked to let time pass until {until}.")
