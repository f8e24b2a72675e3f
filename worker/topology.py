"""The flow through Shoal as a table, and the picture that is printed from it.

`FLOW` is the one place that says which part hands what to which. The README's diagram is `python -m worker.topology`,
word for word, and a test holds it to that: change the table, print it again, paste it.
"""

from dataclasses import dataclass

__all__ = ["FLOW", "OUTPUTS", "diagram"]

INPUTS = 0
CORE = 1
OUTPUTS = 2


@dataclass(frozen=True)
class Step:
    """One box of the picture: its column (`INPUTS`, `CORE`, `OUTPUTS`), its name and a few words on what it does."""

    column: int
    name: str
    does: str


FLOW = (
    Step(INPUTS, "events on Kafka", "in the Segment spec"),
    Step(INPUTS, "event files", "JSONL, CSV, Parquet"),
    Step(INPUTS, "simulated shop", "seeded, with known truth"),
    Step(INPUTS, "definitions.yaml", "segments, campaigns, tests"),
    Step(CORE, "decode", "bytes to columns"),
    Step(CORE, "pass time", "to the very millisecond"),
    Step(CORE, "apply", "one row of state per user"),
    Step(CORE, "rules", "who enters, who leaves"),
    Step(CORE, "campaigns", "whom to reach, and why not"),
    Step(OUTPUTS, "segment-changes", "each with its reason"),
    Step(OUTPUTS, "memberships", "who is where, since when"),
    Step(OUTPUTS, "campaign-decisions", "sent or not, and why"),
    Step(OUTPUTS, "campaign-triggers", "all a sender needs"),
    Step(OUTPUTS, "conversions", "orders after a message"),
    Step(OUTPUTS, "dead-letters", "what no one could read"),
)


def diagram() -> str:
    """The picture of `FLOW` as text: one column of boxes each for what comes in, the core, and what goes out."""
    columns = [_box([step for step in FLOW if step.column == column]) for column in (INPUTS, CORE, OUTPUTS)]
    height = max(len(column) for column in columns)
    centred = [_centre(column, height) for column in columns]
    middle = height // 2
    rows = []
    for at, parts in enumerate(zip(*centred, strict=True)):
        rows.append((" ──► " if at == middle else "     ").join(parts).rstrip())
    return "\n".join(rows)


def _box(steps: list[Step]) -> list[str]:
    """The lines of a box, all of the same width."""
    lines: list[str] = []
    for step in steps:
        lines += [step.name, f"  {step.does}"]
    width = max(map(len, lines))
    return [f"┌─{'─' * width}─┐", *(f"│ {line.ljust(width)} │" for line in lines), f"└─{'─' * width}─┘"]


def _centre(lines: list[str], height: int) -> list[str]:
    """The same lines with blank ones above and below, `height` in all."""
    blank = " " * len(lines[0])
    above = (height - len(lines)) // 2
    return [blank] * above + lines + [blank] * (height - len(lines) - above)


if __name__ == "__main__":
    print(diagram())  # noqa: T201  the module's own command
