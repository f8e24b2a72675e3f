"""The lift report: read from a job's folder, shown as a table, written as a page."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich import box
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
    """Return the report for a terminal of 80 columns and more: a row per campaign and one per arm.

    Cells of two lines hold a number and what belongs to it, as their headings say.
    """
    table = Table(
        title="What campaigns brought", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        collapse_padding=True, caption="Under what is more: bounds that hold however often you look.",
        caption_justify="left",
    )  # fmt: skip
    table.add_column("campaign\n arm", overflow="fold", min_width=15)
    headings = ("users\nsent", "converted\nof 100", "more\nof 100", "more\nper user", "cost\nreturn")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(f"[bold]{escape(title_of(result))}[/]")
        for group in result["groups"]:
            table.add_row(f" {escape(variant_name(group))}", *map(_two_lines, _cells(result, group)))
        table.add_section()
    return table


def _two_lines(cell: tuple[str, str]) -> str:
    return "\n".join(filter(None, cell))


def _cells(result: Result, group: Result) -> Iterator[tuple[str, str]]:
    lift, rate = group["lift"] or {}, group["conversion_rate"]
    conversion, revenue, roi = lift.get("conversion"), lift.get("revenue"), lift.get("roi")
    yield f"{group['judged']:,}", f"{group['sent']:,}"
    yield f"{group['judged_converted']:,}", "" if rate is None else f"{100 * rate:.1f}"
    bounds = span(conversion["low"], conversion["high"]) if conversion else ""
    yield f"[{COLOURS[verdict(group)]}]{per_hundred(conversion['estimate'])}[/]" if conversion else "", bounds
    bounds = f"{revenue['low']:+,.1f} to {revenue['high']:+,.1f}" if revenue else ""
    yield f"{revenue['estimate']:+,.1f}" if revenue else "", bounds
    yield money(group["cost"], result["currency"]) if group["cost"] else "", f"{roi['estimate']:+,.1f}" if roi else ""


def sentences(results: Sequence[Result]) -> list[str]:
    """Return the report in words: a line per variant, and what to be careful about."""
    said = []
    for result in results:
        name = title_of(result)
        said += [f"{name}: careful. {warning}" for warning in warnings(result)]
        said += [f"{name}, {headline(result, group)}" for group in result["groups"] if group["arm"] == "variant"]
    return said
