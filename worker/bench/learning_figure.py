"""A picture of what a job's scores were worth, week by week: AUC and log loss, alarms and promotions marked.

    shoal simulate --users 2000 --days 150 --seed 11 --incident drift@75 --out shop.jsonl
    shoal replay shop.jsonl --definitions F --out DIR
    python -m worker.bench.learning_figure DIR TARGET FILE.png

It reads what the job wrote (training-samples.jsonl, models.jsonl) and nothing else. Needs matplotlib.
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

__all__: list[str] = []

WEEK: Final = timedelta(days=7)
SCORED_LEAST: Final = 50  # of a week, to be drawn
MARKS: Final = {"alarm": "tab:red", "promoted": "tab:green", "rolled_back": "tab:orange"}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        yield from map(msgspec.json.decode, lines)


def weeks(folder: Path, target: str) -> list[tuple[datetime, float, float]]:
    """Return (the week's end, AUC, log loss) of the scores that users had when they were sampled."""
    found: dict[int, list[tuple[float, int]]] = {}
    for sample in _records(folder / "training-samples.jsonl"):
        if sample["target"] == target and sample["probability"] is not None:
            week = (datetime.fromisoformat(sample["sampled_at"]) - EPOCH) // WEEK
            found.setdefault(week, []).append((sample["probability"], sample["label"]))
    rows = []
    for week, scored in sorted(found.items()):
        scores, labels = (np.array(column) for column in zip(*scored, strict=True))
        if len(scored) >= SCORED_LEAST:
            known = measures(scores, labels.astype(np.bool_))
            rows.append((EPOCH + (week + 1) * WEEK, known.auc, known.log_loss))
    return rows


def decisions(folder: Path) -> list[dict[str, Any]]:
    """Return everything that was decided, each once, in order."""
    found = {
        msgspec.json.encode(each): each for model in _records(folder / "models.jsonl") for each in model["decisions"]
    }
    return sorted(found.values(), key=lambda each: each["at_ms"])


def draw(folder: Path, target: str, file: Path) -> None:
    """Draw the picture."""
    times, aucs, losses = zip(*weeks(folder, target), strict=True)
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(9, 5), layout="constrained")
    above.plot(times, aucs, color="tab:blue", marker=".")
    above.set_ylabel("AUC")
    below.plot(times, losses, color="tab:blue", marker=".")
    below.set_ylabel("log loss")
    said = set()
    for decision in decisions(folder):
        if decision["kind"] in MARKS and decision.get("target", target) == target:
            kind = decision["kind"] + (f": {decision['what']}" if "what" in decision else "")
            at = EPOCH + timedelta(milliseconds=decision["at_ms"])
            for axes in (above, below):
                label = None if kind in said or axes is below else kind
                axes.axvline(at, color=MARKS[decision["kind"]], linewidth=1, alpha=0.6, label=label)
            said.add(kind)
    above.legend(loc="lower right", fontsize="small")
    above.set_title(f"{target}: what users were scored with, by the week in which they were sampled")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
