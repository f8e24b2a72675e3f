"""What the demo looks like: a live view on a terminal while it runs, and what to look at next when it is over.

The view reads counts the job keeps anyway and the effects of the latest hour; it holds nothing but the last few lines.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.files.demo import EVENTS, Moment
from worker.files.sinks import DEFINITIONS, TOPICS

__all__ = ["View", "what_next"]

NEWS_LINES = 9
BAR_WIDTH = 24
HOURS_PER_FRAME = 6
HOURS_PER_DAY = 24
CURVE_DAYS = 30
CURVE = "▁▂▃▄▅▆▇█"  # from an AUC of 0.5 to one of 1
UNSHOWN = ("prior", "live")
DAY_MS = 86_400_000


class View:
    """The live view: call it with every `Moment`."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._hours = 0
        self._curves: dict[tuple[str, str], deque[float]] = {}

    def __call__(self, moment: Moment) -> None:
        """Take the hour's news; every few hours draw."""
        for trigger in moment.effects.triggers:
            reason = "; ".join(f"{part.clause} ({part.value})" for part in trigger.reason)
            when, campaign, user_id = trigger.due_at[5:16].replace("T", " "), trigger.campaign, trigger.user_id
            self._news.append(
                f"[green]{when}[/green] [bold]{escape(campaign)}[/bold] to {escape(user_id)}, {escape(reason)}"
            )
        self._hours += 1
        if self._hours % HOURS_PER_DAY == 0:
            self._follow_curves(moment)
        if self._hours % HOURS_PER_FRAME == 0:
            self._live.update(self._frame(moment), refresh=True)

    def _follow_curves(self, moment: Moment) -> None:
        """Note today's AUC of every learner."""
        for figure in moment.job.lessons.learning.figures() if moment.job.lessons else ():
            if figure.name == "auc" and figure.labels["model"] not in UNSHOWN:
                key = (figure.labels["target"], figure.labels["model"])
                self._curves.setdefault(key, deque(maxlen=CURVE_DAYS)).append(figure.value)

    def _frame(self, moment: Moment) -> RenderableType:
        news = Text.from_markup("\n".join(self._news) or "nothing sent yet", overflow="ellipsis")
        news.no_wrap = True
        return Group(
            _clock(moment),
            Columns([Panel(_members(moment), title="segments"), Panel(_counts(moment), title="so far")]),
            Panel(_learnt(moment, self._curves), title="learnt so far"),
            Panel(news, title="campaign triggers", height=NEWS_LINES + 2),
        )


def _clock(moment: Moment) -> RenderableType:
    day = (moment.now_ms - moment.settings.start_ms) / DAY_MS
    today = datetime.fromtimestamp(moment.now_ms / 1000, UTC)
    line = Table.grid(padding=(0, 2))
    line.add_row(
        f"[bold]A simulated shop[/bold] {today:%a %d %b %Y}",
        ProgressBar(total=moment.settings.days, completed=day, width=40),
        f"day {min(day, moment.settings.days):.0f} of {moment.settings.days}",
    )
    return line


def _members(moment: Moment) -> Table:
    members = moment.job.engine.members()
    most = max(members.values(), default=0) or 1
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    for name, count in members.items():
        table.add_row(escape(name), f"{count:,}", f"[cyan]{'█' * round(BAR_WIDTH * count / most)}[/cyan]")
    return table


def _learnt(moment: Moment, curves: Mapping[tuple[str, str], Sequence[float]]) -> Table:
    """A curve of the AUC per target and learner, by day; the model in force."""
    model = moment.job.engine.version.model
    table = Table.grid(padding=(0, 2))
    table.add_row("model in force", f"version {model.version}" if model else "none yet")
    for (target, name), values in curves.items():
        live = model is not None and target in model.targets
        curve = "".join(CURVE[round((len(CURVE) - 1) * min(1.0, max(0.0, 2 * value - 1)))] for value in values)
        table.add_row(escape(target), f"{escape(name)}{'' if live else ', not live yet'}", f"AUC {values[-1]:.2f}",
                      f"[magenta]{curve}[/magenta]")  # fmt: skip
    return table


def _counts(moment: Moment) -> Table:
    tally = moment.job.tally
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, count in (
        ("events", tally.read),
        ("users", len(moment.job.engine.users)),
        ("transitions", tally.transitions.total()),
        ("- by an event", tally.transitions["event"]),
        ("- by passing time", tally.transitions["timer"]),
        *((f"decisions: {outcome}", count) for outcome, count in sorted(tally.decisions.items())),
        ("conversions", tally.conversions),
        ("duplicates", tally.duplicates),
        ("repaired", tally.repaired),
        ("dead letters", tally.dead_letters.total()),
    ):
        table.add_row(name.replace("_", " "), f"{count:,}")
    return table


def what_next(out: Path, user_id: str | None, shoal: str = "shoal") -> str:
    """Where to go from here, as commands to copy, each under what it is for; `shoal` is how to call the program."""
    topics = {name: out / f"{topic}.jsonl" for name, topic in TOPICS.items()}
    definitions = out / DEFINITIONS
    ways = {
        "why this user is where she is": f"{shoal} explain {user_id or 'USER'} --state {out}",
        "segment changes, each with its reason": f"head -n 3 {topics['transitions']}",
        "who was not written to, and why not": f"grep suppressed {topics['decisions']} | head -n 3",
        "the stories that the definitions are held to": f"{shoal} definitions test {definitions}",
        "all that definitions can say: read it, change it, then": f"{shoal} definitions check {definitions}",
        "the same shop by your rules": f"{shoal} replay {out / EVENTS} --definitions {definitions} --out my-output",
    }
    return "\n".join(["Look at next:", *(f"  # {purpose}\n  {command}" for purpose, command in ways.items())])
