"""The commands about topics: make them, say what is wrong with them, print who may do what."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.shared import PrefixOption, ServersOption, app, run, say, settings_of

if TYPE_CHECKING:
    from worker.kafka.findings import Finding

__all__: list[str] = []

topics_app = typer.Typer(help="Make and check the topics, print access control lists.")
app.add_typer(topics_app, name="topics")


def _principal(does: str) -> object:
    return typer.Option(metavar="User:NAME", help=f"Who {does}.")


@topics_app.command("create", short_help="Make the topics that are missing.")
def topics_create(
    *,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, metavar="N", help="Of the events and all that goes with them; default: 12."),
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="R", help="Copies of each; default: 3, or one per broker.")
    ] = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Make the topics that are missing, as docs/topics.md has them; what is there is not changed, only judged."""
    from worker.kafka import topics

    settings = settings_of(bootstrap_servers, topic_prefix)
    for creation in run(topics.create(settings, partitions, replication_factor)):
        number = "1 partition" if creation.partitions == 1 else f"{creation.partitions} partitions"
        say(f"{'made     ' if creation.made else 'was there'}  {creation.name}, {number}")
    findings = run(topics.check(settings))
    _tell(findings)
    if any(finding.severity == "fatal" for finding in findings):
        raise typer.Exit(1)


@topics_app.command("check", short_help="Say what is wrong with the topics.")
def topics_check(bootstrap_servers: ServersOption = None, topic_prefix: PrefixOption = None) -> None:
    """Compare the topics with docs/topics.md: what would stop a worker (fatal), what is unwise (advice)."""
    from worker.kafka import topics

    settings = settings_of(bootstrap_servers, topic_prefix)
    findings = run(topics.check(settings))
    _tell(findings)
    if findings:
        raise typer.Exit(1)
    say("The topics are as they should be.")


@topics_app.command("acls", short_help="Print who may do what.")
def topics_acls(
    worker_principal: Annotated[str | None, _principal("runs shoal worker")] = None,
    trainer_principal: Annotated[str | None, _principal("runs shoal trainer")] = None,
    lift_principal: Annotated[str | None, _principal("runs shoal lift")] = None,
    sinks_principal: Annotated[str | None, _principal("runs shoal sinks")] = None,
    auditor_principal: Annotated[str | None, _principal("runs shoal verify")] = None,
    operator_principal: Annotated[str | None, _principal("runs the other commands")] = None,
    producer_principal: Annotated[str | None, _principal("writes events")] = None,
    consumer_principal: Annotated[str | None, _principal("acts upon the results")] = None,
    admin_principal: Annotated[str | None, _principal("runs shoal topics create")] = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Print the kafka-acls.sh commands that allow each of those named what it needs and nothing else."""
    from schemas.access import Deployment, Role, kafka_acls
    from worker.errors import WrongUsage

    settings = settings_of(bootstrap_servers, topic_prefix)
    deployment = Deployment(settings.topic_prefix, settings.group, settings.input_topic)
    principals: dict[Role, str | None] = {
        "worker": worker_principal,
        "trainer": trainer_principal,
        "lift": lift_principal,
        "sinks": sinks_principal,
        "auditor": auditor_principal,
        "operator": operator_principal,
        "producer": producer_principal,
        "consumer": consumer_principal,
        "admin": admin_principal,
    }
    named = {role: principal for role, principal in principals.items() if principal is not None}
    if not named:
        raise WrongUsage("Name at least one principal, such as --worker-principal User:shoal.")
    for role, principal in named.items():
        for line in kafka_acls(role, principal, deployment, settings.bootstrap_servers):
            print(line)


def _tell(findings: "Iterable[Finding]") -> None:
    for finding in findings:
        say(f"{finding.severity:<6}  {finding.said}")
