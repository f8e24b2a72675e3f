"""Draws what Grafana would show into the documentation: `python -m tests.support.dashboard_pictures`.

From the same queries, asked of the same Prometheus, as the test of the dashboards; laid out as the file says.
"""

import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.support.grafana import Asked, asked, variables
from tests.support.kafka.broker import Broker
from tests.support.prometheus import Prometheus
from tests.support.shop_under_watch import watched

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
COLUMNS, INCHES_A_ROW, INCHES_WIDE = 24, 0.3, 17
LEGEND_MOST = 6
COLORS = {"green": "#3f9142", "orange": "#e08a1e", "red": "#c4342d"}
BACKGROUND, PAPER, INK = "#f4f5f5", "#ffffff", "#24292e"


def main() -> int:
    """Let a shop be watched, and draw every dashboard."""
    mpl.use("Agg")
    plt.rcParams.update({"font.size": 7, "axes.edgecolor": "#c7d0d9", "text.color": INK, "axes.labelcolor": INK})
    began = time.monotonic()
    with Broker() as broker, watched(broker, "drawn.") as world:
        seconds = time.monotonic() - began
        for file in FILES:
            figure = drawn(file, world.prometheus, seconds)
            figure.savefig(ROOT / "docs" / "figures" / f"dashboard_{file.stem.removeprefix('shoal-')}.png", dpi=80)
            plt.close(figure)
    return 0


def drawn(file: Path, prometheus: Prometheus, seconds: float) -> Figure:
    """Return a dashboard's picture, over the last while."""
    content = json.loads(file.read_text(encoding="utf-8"))
    questions = list(asked(file, variables(file, prometheus)))
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in content["panels"])
    figure = plt.figure(figsize=(INCHES_WIDE, rows * INCHES_A_ROW), facecolor=BACKGROUND)
    for panel in content["panels"]:
        place = _place(panel["gridPos"], rows)
        if panel["type"] == "row":
            figure.text(place[0] + 0.003, place[1] + place[3] / 2, panel["title"], weight="bold", size=11, va="center")
            continue
        _draw(figure, place, panel, [one for one in questions if one.panel["id"] == panel["id"]], prometheus, seconds)
    return figure


def _place(grid: dict[str, int], rows: int) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height, as shares of the picture."""
    return grid["x"] / COLUMNS, 1 - (grid["y"] + grid["h"]) / rows, grid["w"] / COLUMNS, grid["h"] / rows


def _draw(figure: Figure, place: tuple[float, float, float, float], panel: dict[str, Any], questions: list[Asked],
          prometheus: Prometheus, seconds: float) -> None:  # fmt: skip
    left, bottom, width, height = place
    card = figure.add_axes((left + 0.002, bottom + 0.002, width - 0.004, height - 0.004), facecolor=PAPER)
    card.set_xticks([])
    card.set_yticks([])
    color = "white" if panel["type"] == "stat" else INK
    figure.text(left + 0.006, bottom + height - 0.004, panel["title"], va="top", weight="bold", size=8, color=color)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "stat":
        _stat(card, panel, prometheus.number(questions[0].expression), unit)
        return
    low = 0.42 if panel["type"] == "timeseries" else 0.15
    axes = figure.add_axes((left + 0.03, bottom + height * low, width - 0.04, height * (0.86 - low)), facecolor=PAPER)
    axes.tick_params(length=2, color="#c7d0d9")
    axes.spines[["top", "right"]].set_visible(False)
    if panel["type"] == "bargauge":
        _bars(axes, questions, prometheus)
        return
    _lines(axes, panel, questions, prometheus, seconds)
    axes.yaxis.set_major_formatter(lambda value, _: written(value, unit))


def _stat(card: Axes, panel: dict[str, Any], value: float | None, unit: str) -> None:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or (value or 0) >= step["value"]]
    card.set_facecolor(COLORS[reached[-1]])
    mapped = panel["fieldConfig"]["defaults"].get("mappings", [{"options": {}}])[0]["options"]
    text = "no data" if value is None else mapped.get(f"{value:g}", {"text": written(value, unit)})["text"]
    card.text(
        0.5, 0.42, text, ha="center", va="center", size=17, color="white", weight="bold", transform=card.transAxes
    )


def _bars(axes: Axes, questions: list[Asked], prometheus: Prometheus) -> None:
    found = [(legend(one, series["metric"]), float(series["value"][1]))
             for one in questions for series in prometheus.query(one.expression)]  # fmt: skip
    names, values = [name or "all" for name, _ in found], [value for _, value in found]
    axes.barh(names, values, color=COLORS["green"], height=0.6)
    axes.tick_params(axis="y", pad=-4, length=0)
    plt.setp(axes.get_yticklabels(), ha="left")


def _lines(axes: Axes, panel: dict[str, Any], questions: list[Asked], prometheus: Prometheus, seconds: float) -> None:
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    end, series = time.time(), []
    for one in questions:
        for found in prometheus.range(one.expression, seconds):
            points = {round(float(at) - end): float(value) for at, value in found["values"]}
            series.append((legend(one, found["metric"]), {at: v for at, v in points.items() if not math.isnan(v)}))
    series.sort(key=lambda one: -sum(one[1].values()))
    if stacked:
        times = sorted({at for _, points in series for at in points})
        rows = [[points.get(at, 0.0) for at in times] for _, points in series]
        axes.stackplot(times, rows, labels=[name for name, _ in series], alpha=0.75, linewidth=0)
    else:
        for name, points in series:
            axes.plot(list(points), list(points.values()), linewidth=1, label=name)
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]:
        if step["value"] <= axes.get_ylim()[1]:
            axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=0.8)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:LEGEND_MOST], [label[:34] for label in labels[:LEGEND_MOST]], loc="upper left",
                bbox_to_anchor=(0, -0.2), ncols=2, frameon=False, fontsize=6.5)  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")


def legend(one: Asked, labels: dict[str, str]) -> str:
    """Return a series' name as Grafana would write it."""
    if one.legend == "__auto":
        return " ".join(labels.values())
    name = one.legend
    for label, value in labels.items():
        name = name.replace(f"{{{{{label}}}}}", value)
    return re.sub(r"{{.*?}}", "", name)


def written(value: float, unit: str) -> str:
    """Return a number in its unit, as short as Grafana does."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        steps = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
        size, name = next(((size, name) for size, name in steps if abs(value) >= size), (0.001, "ms"))
        return f"{value / size:.3g} {name}" if value else "0 s"
    steps_of = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
    size, name = next(((size, name) for size, name in steps_of if abs(value) >= size), (1, ""))
    ends = {"reqps": "/s", "cps": "/s", "bytes": "B"}
    return f"{value / size:.3g}{' ' if name or unit in ends else ''}{name}{ends.get(unit, '')}"


if __name__ == "__main__":
    sys.exit(main())
