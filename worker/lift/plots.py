"""Pictures of results as SVG text, to stand in a page: colours come from the page's classes, light or dark.

    forest    a row per variant: thin the bounds at all times, thick those for one look, a dot the estimate
    over_time how an estimate and its bounds at all times narrowed, day by day

The rule: a picture says nothing that the page doesn't say in words, and has a label for who can't see it.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from worker.core.timestamps import instant_ms
from worker.lift.wording import per_hundred, span, variant_name

__all__ = ["forest", "over_time"]

WIDTH = 640
LABELS, VALUES = 132, 150  # px to the left and to the right of the plot
ROW = 34
NARROW, HEIGHT = 430, 170  # px of how a lift developed: two stand side by side
TICKS = 5
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 40, 12, 12, 26

Interval = Mapping[str, float]


class Scale:
    """From values to px, linearly; `margin` is what is left free at either end, as a share of the spread."""

    def __init__(self, low: float, high: float, begin: float, end: float, margin: float = 0.06) -> None:
        spread = high - low or 1.0
        self.low, self.high = low - margin * spread, high + margin * spread
        self._begin, self._per_unit = begin, (end - begin) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        """Return where a value is."""
        return round(self._begin + (value - self.low) * self._per_unit, 1)

    def ticks(self) -> list[float]:
        """Return a few round values between the ends."""
        raw = (self.high - self.low) / TICKS
        magnitude = 10.0 ** (len(f"{raw:.0f}") - 1) if raw >= 1 else 10.0 ** -len(f"{1 / raw:.0f}")
        step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10, 20, 50, 100) if factor * magnitude >= raw)
        first = int(self.low / step) - 1
        found = [step * place for place in range(first, first + 3 * TICKS + 3)]
        return [value for value in found if self.low <= value <= self.high]


def forest(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return the forest plot of groups that have a lift."""
    intervals = [group["lift"]["conversion"] for group in groups]
    low, high = min(0.0, *(i["low"] for i in intervals)), max(0.0, *(i["high"] for i in intervals))
    x = Scale(low, high, LABELS, WIDTH - VALUES)
    height = ROW * len(groups) + 40
    parts = [_grid(x, ROW * len(groups) + 8)]
    for row, (group, interval) in enumerate(zip(groups, intervals, strict=True)):
        parts.append(_row(x, ROW * row + ROW // 2 + 4, variant_name(group), interval))
    parts.append(f'<text class="axis" x="{(LABELS + WIDTH - VALUES) / 2}" y="{height - 3}" text-anchor="middle">'
                 "more (or fewer) of 100 users</text>")  # fmt: skip
    said = "; ".join(
        f"{variant_name(group)} {per_hundred(interval['estimate'])}, {span(interval['low'], interval['high'])}"
        for group, interval in zip(groups, intervals, strict=True)
    )
    return _svg(WIDTH, height, f"Lift per 100 users: {said}", parts)


def _grid(x: Scale, bottom: float) -> str:
    lines = []
    for value in x.ticks():
        kind = "zero" if abs(value) < 1e-12 else "grid"
        lines.append(f'<line class="{kind}" x1="{x(value)}" x2="{x(value)}" y1="2" y2="{bottom}"/>')
        lines.append(f'<text class="axis" x="{x(value)}" y="{bottom + 13}" text-anchor="middle">{_tick(value)}</text>')
    return "".join(lines)


def _tick(value: float) -> str:
    return f"{100 * value:+.3g}" if abs(value) >= 1e-12 else "0"


def _row(x: Scale, y: float, name: str, interval: Interval) -> str:
    kind = "works" if interval["low"] > 0 else "harms" if interval["high"] < 0 else "open"
    shown = name if len(name) <= 17 else name[:16] + "…"
    value = f"{per_hundred(interval['estimate'])} ({span(interval['low'], interval['high'])})"
    return (
        f'<g class="{kind}"><text class="name" x="{LABELS - 10}" y="{y + 4}" text-anchor="end">{escape(shown)}</text>'
        f'<line class="always" x1="{x(interval["low"])}" x2="{x(interval["high"])}" y1="{y}" y2="{y}"/>'
        f'<line class="once" x1="{x(interval["fixed_low"])}" x2="{x(interval["fixed_high"])}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{x(interval["estimate"])}" cy="{y}" r="5"/>'
        f'<text class="value" x="{WIDTH - VALUES + 8}" y="{y + 4}">{value}</text></g>'
    )


def over_time(points: Sequence[Mapping[str, Any]], name: str, low: float, high: float) -> str:
    """Return how one variant's lift developed; at least two points, oldest first, within `low` to `high`."""
    times = [instant_ms(point["at"]) for point in points]
    intervals = [point["conversion"] for point in points]
    x = Scale(times[0], times[-1], MARGIN_LEFT, NARROW - MARGIN_RIGHT, margin=0.0)
    y = Scale(low, high, HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    columns = list(map(x, times))
    upper = [f"{at},{y(i['high'])}" for at, i in zip(columns, intervals, strict=True)]
    lower = [f"{at},{y(i['low'])}" for at, i in zip(columns, intervals, strict=True)]
    line = " ".join(f"{at},{y(i['estimate'])}" for at, i in zip(columns, intervals, strict=True))
    parts = [
        *_levels(y),
        f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>',
        f'<polyline class="line" points="{line}"/>',
        _date(columns[0], points[0]["at"], "start"),
        _date(columns[-1], points[-1]["at"], "end"),
    ]
    last = intervals[-1]
    label = f"{name}, from day to day, at last {per_hundred(last['estimate'])}, {span(last['low'], last['high'])}"
    return _svg(NARROW, HEIGHT, label, parts)


def _levels(y: Scale) -> list[str]:
    found, end = [], NARROW - MARGIN_RIGHT
    for value in y.ticks():
        kind = "zero" if abs(value) < 1e-12 else "grid"
        found.append(f'<line class="{kind}" x1="{MARGIN_LEFT}" x2="{end}" y1="{y(value)}" y2="{y(value)}"/>')
        found.append(f'<text class="axis" x="{MARGIN_LEFT - 6}" y="{y(value) + 4}" text-anchor="end">'
                     f"{_tick(value)}</text>")  # fmt: skip
    return found


def _date(x: float, at: str, anchor: str) -> str:
    return f'<text class="axis" x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{escape(at[:10])}</text>'


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="xMidYMid meet">{"".join(parts)}</svg>'
    )
