"""The lift report: read from a job's folder, shown as a table, written as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from schemas.control import CampaignResult
from worker.errors import JobFailed, WrongUsage
from worker.lift.page import page
from worker.lift.wording import headline, money, per_hundred, span, title_of, variant_name, verdict, warnings

__all__ = ["as_table", "page", "read_folder", "sentences", "write_page"]

NAME = "campaign-results.jsonl"
COLOURS = {"works": "green", "harms": "red", "open": "yellow", "early": "dim"}

Result = Mapping[str, Any]


def read_folder(folder: Path) -> list[dict[str, Any]]:
    """Return the results in a folder that `replay` or `demo` wrote. Raises WrongUsage."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
        return [CampaignResult.model_validate_json(line).model_dump(mode="json") for line in lines]
    except OSError as error:
        raise WrongUsage(f"{folder} has no {NAME} ({error.strerror}): name a folder that shoal replay wrote.") from None
    except ValidationError:
        raise WrongUsage(f"{folder / NAME} isn't as this release writes it: run the job again.") from None


def write_page(path: Path, results: Sequence[Result]) -> None:
    """Write the report as one HTML file. Raises JobFailed if the disk refuses."""
    try:
        path.write_text(page(results), encoding="utf-8")
    except OSError as error:
        raise JobFailed(f"Writing {path} failed: {error.strerror or error}; choose another --html.") from error


def as_table(results: Sequence[Result]) -> Table:
    """Return the report for a terminal: a row per arm."""
    table = Table(title="What campaigns brought", title_justify="left", caption_justify="left",
                  caption="In brackets: bounds that hold however often you look.")  # fmt: skip
    table.add_column("campaign")
    table.add_column("arm")
    for name in ("users", "sent", "converted", "of 100", "more of 100", "more per user", "cost", "return"):
        table.add_column(name, justify="right")
    for result in results:
        for place, group in enumerate(result["groups"]):
            table.add_row(escape(title_of(result)) if place == 0 else "", *_cells(result, group))
        table.add_section()
    return table


def _cells(result: Result, group: Result) -> list[str]:
    lift, rate = group["lift"] or {}, group["conversion_rate"]
    conversion, revenue, roi = lift.get("conversion"), lift.get("revenue"), lift.get("roi")
    return [
        escape(variant_name(group)),
        f"{group['judged']:,}",
        f"{group['sent']:,}",
        f"{group['judged_converted']:,}",
        "" if rate is None else f"{100 * rate:.1f}",
        f"[{COLOURS[verdict(group)]}]{_of_hundred(conversion)}[/]" if conversion else "",
        f"{revenue['estimate']:+,.2f} ({revenue['low']:+,.2f} to {revenue['high']:+,.2f})" if revenue else "",
        money(group["cost"], result["currency"]) if group["cost"] else "",
        f"{roi['estimate']:+,.1f}" if roi else "",
    ]


def _of_hundred(interval: Mapping[str, float]) -> str:
    return f"{per_hundred(interval['estimate'])} ({span(interval['low'], interval['high'])})"


def sentences(results: Sequence[Result]) -> list[str]:
    """Return the report in words: a line per variant, and what to be careful about."""
    said = []
    for result in results:
        name = title_of(result)
        said += [f"{name}: careful. {warning}" for warning in warnings(result)]
        said += [f"{name}, {headline(result, group)}" for group in result["groups"] if group["arm"] == "variant"]
    return said
