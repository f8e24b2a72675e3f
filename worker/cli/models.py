"""The commands about models: list them, see whom they serve, keep new ones from coming, go back to an earlier one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.shared import (
    JsonOption,
    PrefixOption,
    ServersOption,
    WaitOption,
    app,
    console,
    plain,
    print_json,
    progress,
    run,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.models import Snapshot
    from worker.operations.models import PublishedModel

__all__: list[str] = []

models_app = typer.Typer(help="List models, freeze them, go back to an earlier one.")
app.add_typer(models_app, name="models")


@models_app.command("list", short_help="List the published models.")
def models_list(
    *,
    wait: WaitOption = 10,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """List the published models, the newest last: what they were learnt from, how they do, and who runs them."""
    from worker.operations import models

    settings = settings_of(bootstrap_servers, topic_prefix)
    published, frozen = run(models.history(settings)), run(models.are_frozen(settings))
    with progress("waiting for the workers", "answers") as tell:
        running = run(models.running(settings, wait, tell)) if published else {}
    if as_json:
        print_json({"frozen": frozen, "models": [_listed(model, running) for model in published]})
        return
    if not published:
        say("No model is published yet: shoal trainer does it when there is enough to learn from.")
    for model in published:
        for line in _told(model, _partitions(model, running)):
            say(line)
    if frozen:
        say("Models are frozen: shoal models freeze --release lets new ones come again.")


def _partitions(model: "PublishedModel", running: dict[str, list[int]]) -> list[int]:
    return running.get(model.snapshot.label, []) if model.snapshot else []


def _by(model: "PublishedModel") -> str:
    return "trainer" if model.again is None else f"rollback to {model.again}"


def _listed(model: "PublishedModel", running: dict[str, list[int]]) -> dict[str, Any]:
    content = model.snapshot.model_dump(mode="json") if model.snapshot else {}
    known = {name: content.get(name) for name in ("hash", "evidence", "training", "metrics", "decisions")}
    return {
        "version": model.version, "published_at": model.published_at, "by": _by(model), "refused": model.refused,
        "partitions": _partitions(model, running), **known, "clusters": (content.get("clusters") or {}).get("cards"),
    }  # fmt: skip


def _told(model: "PublishedModel", partitions: list[int]) -> list[str]:
    """A model for people: a line of its own, one for each target and one for the clusters."""
    where = f"  partitions {', '.join(map(str, partitions))}" if partitions else ""
    if model.snapshot is None:
        return [f"{model.published_at}  {model.label:<20}refused: {model.refused}"]
    first = f"{model.published_at}  {model.label:<20}{_by(model):<16}{where}".rstrip()
    lines = [first, *(_target(model.snapshot, name) for name in sorted(model.snapshot.evidence))]
    if model.snapshot.clusters:
        cards = sorted(model.snapshot.clusters.cards.items(), key=lambda card: (-card[1].size, card[0]))
        lines.append(f"  clusters: {', '.join(f'{name} {card.size:.0%}' for name, card in cards)}")
    return lines


def _target(snapshot: "Snapshot", name: str) -> str:
    found = snapshot.evidence[name]
    scored = f"scored by {snapshot.targets[name].kind}" if name in snapshot.targets else "no probability yet"
    told = [f"  {name}: {found.samples:,} samples, {found.positives:,} positive, {scored}"]
    for model, metrics in sorted(snapshot.metrics.get(name, {}).items()):
        numbers = {"AUC": metrics.auc, "log loss": metrics.log_loss, "calibration error": metrics.ece}
        known = [f"{label} {value:.3f}" for label, value in numbers.items() if value is not None]
        told += [f"{model} {', '.join(known)}"] if known else []
    return "; ".join(told)


@models_app.command("report", short_help="Say whether groups of users are served alike.")
def models_report(
    *,
    as_json: JsonOption = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Say how the live models do for each value of the declared traits, as the trainer saved it last.

    Reads `learner-state`: where brokers say who may, run it as the trainer's user.
    """
    from worker.operations import models

    groups = run(models.report(settings_of(bootstrap_servers, topic_prefix)))
    if as_json:
        print_json({"groups": groups})
    elif groups:
        console().print(_report_table(groups))
    else:
        say("There is nothing to compare yet: it takes `traits` in the definitions, a model, and samples it scored.")


def _report_table(groups: list[dict[str, Any]]) -> "Table":
    """A row for each group, and in it a line for each threshold."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("target", "group"):
        table.add_column(name, overflow="fold")
    for name in ("scores", "positive", "error", "at", "called", "right"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        thresholds = group["thresholds"]
        names = group["target"], escape(f"{group['trait']}={plain(group['value'])}")
        numbers = f"{group['n']:,}", f"{group['rate']:.1%}", f"{group['calibration']:+.3f}"
        at = "\n".join(f"{called['threshold']:g}" for called in thresholds)
        called = "\n".join(f"{called['selection_rate']:.1%}" for called in thresholds)
        right = "\n".join("-" if called["precision"] is None else f"{called['precision']:.1%}" for called in thresholds)
        table.add_row(*names, *numbers, at, called, right)
    return table


@models_app.command("freeze", short_help="Keep new models from coming.")
def models_freeze(
    *,
    release: Annotated[bool, typer.Option("--release", help="Let new models come again.")] = False,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Have the trainer publish no new models, from now on, while it learns on; a restart changes nothing about it."""
    from worker.operations import models

    settings = settings_of(bootstrap_servers, topic_prefix)
    run(models.release(settings) if release else models.freeze(settings))
    say("Models are released: new ones come again." if release else "Models are frozen: no new one comes.")


@models_app.command("rollback", short_help="Put an earlier model in force again.")
def models_rollback(
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="Default: the one before the newest.", min=1)
    ] = None,
    bootstrap_servers: ServersOption = None,
    topic_prefix: PrefixOption = None,
) -> None:
    """Publish an earlier model under a new version, and freeze models: every partition takes it within seconds."""
    from worker.operations import models

    again = run(models.rollback(settings_of(bootstrap_servers, topic_prefix), version))
    say(f"Published {again.label}, the content of version {again.again}: it is in force now, and models are frozen.")
