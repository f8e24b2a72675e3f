"""The benchmarks: figures that a person can reproduce with one command."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from worker.cli.shared import (
    JsonOption,
    PrefixOption,
    ServersOption,
    bench_app,
    console,
    print_json,
    run,
    settings_of,
)

__all__: list[str] = []


@bench_app.command("core", short_help="Measure it on one core.")
def bench_core(as_json: JsonOption = False) -> None:
    """Measure the engine on one core: CPU per event, bytes per user, re-evaluation, the storm. Under five minutes."""
    from worker.bench import core

    result = core.run(say=_say())
    if as_json:
        print_json(result)
    else:
        console().print(core.as_table(result))


@bench_app.command("kafka", short_help="Measure workers on a broker.")
def bench_kafka(
    *,
    as_json: JsonOption = False,
    events: Annotated[
        int | None, typer.Option(min=100, metavar="N", help="Events at saturation; default: 1,000,000.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=10, metavar="N", help="Users whose state is restored; default: 1,000,000.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything, in two minutes.")] = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Measure real workers on a broker: CPU per event, latency, restore, takeover, idleness. Under ten minutes.

    Topics are made for it under a prefix of their own, and removed in the end; what is there isn't touched.
    """
    from worker.bench import kafka

    plan = (kafka.QUICK if quick else kafka.FULL).of(events, users)
    result = run(kafka.run(settings_of(bootstrap_servers, topic_prefix), plan, _say()))
    if as_json:
        print_json(result)
    else:
        console().print(kafka.as_table(result))


@bench_app.command("learning", short_help="Measure how well it learns.")
def bench_learning(
    as_json: JsonOption = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with known data sets; default: a simulated shop is the data."),
    ] = None,
) -> None:
    """Measure how well and how fast it learns, beside scikit-learn's models refitted on the same samples.

    Known by their names are online_retail*, taobao* and SYNTHETIC_retentioneering*. Takes about ten minutes.
    """
    from worker.bench import learning

    result = learning.run(data, _say())
    if as_json:
        print_json(result)
    else:
        console().print(learning.as_table(result))


@bench_app.command("peers", short_help="Measure it beside other stream processors.")
def bench_peers(
    as_json: JsonOption = False,
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="How many events.")] = 2_000_000,
) -> None:
    """Have Kafka Streams, Quix Streams, Faust and Shoal do the same job on the same topic. From a checkout only.

    Needs Java and Maven, and starts a broker of its own. The first time the others are fetched.
    """
    from worker.bench import peers

    result = peers.run(events, _say())
    if as_json:
        print_json(result)
    else:
        console().print(peers.as_table(result))


def _say() -> Callable[[str], object]:
    """Say on a terminal what is being measured; in a pipe nothing."""
    errors = Console(stderr=True)
    return errors.print if errors.is_terminal else lambda _: None
