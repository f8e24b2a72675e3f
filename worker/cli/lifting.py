"""`shoal lift`: the long-running role that measures what campaigns bring; `shoal lift report`: what it has found."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.shared import JsonOption, PrefixOption, ServersOption, app, console, print_json, run, say, settings_of

__all__: list[str] = []

lift_app = typer.Typer(invoke_without_command=True)
app.add_typer(lift_app, name="lift", short_help="Measure what campaigns bring, against their holdouts.")


@lift_app.callback()
def lift(context: typer.Context, bootstrap_servers: ServersOption = None, topic_prefix: PrefixOption = None) -> None:
    """Measure what campaigns bring, until SIGTERM: one does the work, others wait. Settings are SHOAL_*."""
    if context.invoked_subcommand is not None:
        return
    from worker.agents.lift import run as work

    run(work(settings_of(bootstrap_servers, topic_prefix)))


@lift_app.command("report", short_help="What campaigns brought, as a table or a page.")
def lift_report(
    *,
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A folder that replay or demo wrote, instead of Kafka.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page too, with pictures, all in one file.")
    ] = None,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Tell what each campaign brought: users, orders, money, each with bounds that hold however often one looks."""
    from worker.files import lift_report as report

    if folder is None:
        from worker.operations.lift import results

        found = run(results(settings_of(bootstrap_servers, topic_prefix)))
    else:
        found = report.read_folder(folder)
    if html is not None:
        report.write_page(html, found)
    if as_json:
        print_json({"campaigns": found})
        return
    if not found:
        say("No campaign has decided anything yet: shoal lift writes results a minute after it has.")
        return
    console().print(report.as_table(found))
    for line in report.sentences(found):
        say(line)
    if html is not None:
        say(f"The page with pictures: {html}")
