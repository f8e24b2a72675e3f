"""A picture of what a job's scores were worth, week by week: AUC and what they save of the floor's log loss.

    shoal simulate --users 2000 --days 150 --seed 11 --incident drift@75 --out shop.jsonl
    shoal replay shop.jsonl --definitions F --out DIR
    python -m worker.bench.learning_figure DIR TARGET FILE.png 2026-03-21

It reads what the job wrote (training-samples.jsonl, models.jsonl) and nothing else; alarms and promotions are marked,
and the day that is named. Needs matplotlib.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import msgspec
import numpy as np

from worker.learning.evaluation import measures

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import date2num

__all__: list[str] = []

WEEK: Final = timedelta(days=7)
SCORED_LEAST: Final = 50  # of a week, to be drawn
MARKS: Final = {"alarm": "tab:red", "promoted": "tab:green", "rolled_back": "tab:orange"}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        yield from map(msgspec.json.decode, lines)


def weeks(folder: Path, target: str) -> list[tuple[datetime, float, float]]:
    """Return (the week's end, AUC, skill) of the scores that users had when they were sampled.

    Skill is the share of the log loss that is saved beside one who knows the week's rate of positives and no user.
    """
    found: dict[int, list[tuple[float, int]]] = {}
    for sample in _records(folder / "training-samples.jsonl"):
        if sample["target"] == target and sample["probability"] is not None:
            week = (datetime.fromisoformat(sample["sampled_at"]) - EPOCH) // WEEK
            found.setdefault(week, []).append((sample["probability"], sample["label"]))
    rows = []
    for week, scored in sorted(found.items()):
        scores, labels = (np.array(column) for column in zip(*scored, strict=True))
        if len(scored) >= SCORED_LEAST:
            known = measures(scores, labels)
            rate = np.full(len(labels), labels.mean())
            rows.append((EPOCH + (week + 1) * WEEK, known.auc, 1.0 - known.log_loss / measures(rate, labels).log_loss))
    return rows


def decisions(folder: Path) -> list[dict[str, Any]]:
    """Return everything that was decided, each once, in order."""
    found = {
        msgspec.json.encode(each): each for model in _records(folder / "models.jsonl") for each in model["decisions"]
    }
    return sorted(found.values(), key=lambda each: each["at_ms"])


def draw(folder: Path, target: str, file: Path, planted: datetime | None) -> None:
    """Draw the picture."""
    times, aucs, skills = zip(*weeks(folder, target), strict=True)
    figure, panels = plt.subplots(2, 1, sharex=True, figsize=(9, 5), layout="constrained")
    for axes, name, values in zip(panels, ("AUC", "log loss saved"), (aucs, skills), strict=True):
        axes.plot(times, values, color="tab:blue", marker=".")
        axes.set_ylabel(name)
        _mark(axes, folder, target, planted)
    panels[0].legend(loc="lower left", fontsize="small")
    panels[0].set_title(f"{target}: what users were scored with, by the week in which they were sampled")
    figure.savefig(file, dpi=90)


def _mark(axes: Axes, folder: Path, target: str, planted: datetime | None) -> None:
    """Draw a line for everything that was decided, each kind named once."""
    named = set()
    if planted is not None:
        axes.axvline(date2num(planted), color="black", linestyle="--", label="shoppers change")  # type: ignore[no-untyped-call]
    for decision in decisions(folder):
        if decision["kind"] in MARKS and decision.get("target", target) == target:
            kind = decision["kind"] + (f": {decision['what']} of {decision['name']}" if "what" in decision else "")
            at = EPOCH + timedelta(milliseconds=decision["at_ms"])
            label = None if kind in named else kind
            axes.axvline(date2num(at), color=MARKS[decision["kind"]], linewidth=1, alpha=0.6, label=label)  # type: ignore[no-untyped-call]
            named.add(kind)


if __name__ == "__main__":
    day = datetime.fromisoformat(sys.argv[4]).replace(tzinfo=UTC) if len(sys.argv) > 4 else None
    draw(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), day)
