"""Why a user is where she is: a finished job's state asked about one user, and her recent transitions from its output.

The state is only readable under the definitions and the model it was made with, which is why the folder holds them.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms
from worker.errors import JobFailed, WrongUsage
from worker.files import configuration
from worker.files.models import read_model
from worker.files.sinks import DEFINITIONS, MAPPING, STATE, TOPICS
from worker.files.wording import in_words

__all__ = ["TRUTHS", "as_text", "explain", "shown"]

TRANSITIONS = f"{TOPICS['transitions']}.jsonl"
RECENT_TRANSITIONS = 10
TRUTHS = {True: "true", False: "false", None: "unknown"}


def explain(user_id: str, folder: Path, keys: Mapping[int, bytes] | None = None) -> dict[str, Any]:
    """Return the engine's explanation of a user with `recent`, her last transitions, newest first.

    `keys` are the secrets, by version, under which users were erased.

    Raises:
        WrongUsage: the folder is not that of a finished job.
        JobFailed: the user isn't in it, or the state is damaged.
    """
    engine = _engine(folder, Pseudonyms(keys))
    explanation = engine.explain(user_id)
    if explanation is None:
        raise JobFailed(f"There is no user {user_id} in {folder}: take an id from {folder}/memberships.jsonl.")
    return {**explanation, "recent": _recent(user_id, folder)}


def _engine(folder: Path, pseudonyms: Pseudonyms) -> Engine:
    for name in (STATE, DEFINITIONS, MAPPING, TRANSITIONS):
        if not (folder / name).is_file():
            raise WrongUsage(f"{folder} holds no finished job (no {name}): run shoal replay --out {folder} first.")
    texts = [configuration.text_of(folder / name) for name in (DEFINITIONS, MAPPING)]
    under = configuration.checked(texts[0], texts[1], folder / DEFINITIONS, folder / MAPPING)
    try:
        models = folder / f"{TOPICS['models']}.jsonl"
        model = read_model(models) if models.is_file() and models.stat().st_size else None
        return Engine.from_bytes((folder / STATE).read_bytes(), under.checked, under.mapping, model, pseudonyms)
    except (ValueError, OSError) as error:
        raise JobFailed(f"The state in {folder} can't be read ({error}): run the job again.") from error


def _recent(user_id: str, folder: Path) -> list[dict[str, Any]]:
    """The user's last transitions, newest first."""
    wanted = msgspec.json.encode(user_id)  # a quick look before parsing: most lines are of others
    found: deque[dict[str, Any]] = deque(maxlen=RECENT_TRANSITIONS)
    try:
        with (folder / TRANSITIONS).open("rb") as lines:
            for line in lines:
                if wanted in line and (record := msgspec.json.decode(line))["user_id"] == user_id:
                    found.appendleft(record)
    except (msgspec.DecodeError, OSError) as error:
        raise JobFailed(f"{folder / TRANSITIONS} can't be read ({error}): run the job again.") from error
    return list(found)


def as_text(explanation: dict[str, Any]) -> RenderableType:
    """The explanation for people."""
    user_id, zone = escape(explanation["user_id"]), escape(explanation["timezone"])
    head = (
        f"[bold]{user_id}[/bold]  at {explanation['clock']}  zone {zone}\n"
        f"next instant: {explanation['next_instant'] or 'none: only an event changes anything'}"
    )
    return Group(Text.from_markup(head), _segments(explanation["segments"]), _transitions(explanation["recent"]))


def _segments(segments: list[dict[str, Any]]) -> Table:
    """A block per segment: in or out and since when, then its clauses with their values."""
    table = Table("segment", "clause", "value", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for segment in segments:
        standing = f"in since {segment['since']}" if segment["member"] else "out"
        table.add_row(f"[bold]{escape(segment['id'])}[/bold]", standing)
        for role in ("enter", "exit"):
            for clause in segment[role] or ():
                said = TRUTHS[clause["truth"]]
                table.add_row(f"  {role}", escape(clause["clause"]), escape(shown(clause["value"])), said)
                if "contributions" in clause:
                    table.add_row("", f"  [dim]{escape(in_words(clause['contributions']))}[/dim]")
    return table


def _transitions(transitions: list[dict[str, Any]]) -> RenderableType:
    if not transitions:
        return Text("No transitions yet.")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("recent transitions", no_wrap=True, min_width=len(transitions[0]["occurred_at"]))
    for name in ("segment", "cause", "reason"):
        table.add_column(name)
    for transition in transitions:
        reason = "; ".join(escape(_told(part)) for part in transition["reason"])
        named = f"{transition['direction']} {escape(transition['segment'])}"
        table.add_row(transition["occurred_at"], named, transition["cause"], reason)
    return table


def _told(part: dict[str, Any]) -> str:
    """A clause of a reason with its value and what moves it."""
    moved = f": {in_words(part['contributions'])}" if "contributions" in part else ""
    return f"{part['clause']} ({shown(part['value'])}{moved})"


def shown(value: Any) -> str:
    """A clause's value as text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.10g}" if isinstance(value, float) else str(value)
