"""The reference of definitions files: its examples load, and it leaves nothing out."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas import definitions
from schemas.definitions import UNITS_MS
from schemas.events import KINDS
from schemas.outputs import BLOCKED_BY
from worker.language.catalogue import FEATURE_NAMES, WINDOWS
from worker.language.definitions import load
from worker.language.mapping import Mapping
from worker.language.rules import parse
from worker.language.vocabulary import CALLS, Vocabulary

PAGE = (Path(__file__).parent.parent / "docs" / "definitions.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CONDITIONS = re.findall(r"```conditions\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
VOCABULARY = Vocabulary(
    traits=["country", "age_group"], targets=["purchase_7d"], segments=["value_tier", "value_tier:low"]
)
TABLES: dict[str, type[BaseModel]] = {
    "The file": definitions.Definitions,
    "A segment": definitions.Segment,
    "A target": definitions.Target,
    "A campaign": definitions.Campaign,
    "A cap": definitions.Cap,
    "A test": definitions.Test,
}


def table(heading: str) -> dict[str, str]:
    """Return the second column of the table under a heading, by each name in the first."""
    section = re.split(r"\n#+ ", PAGE.split(f"# {heading}\n")[1])[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: row[1].strip("| ") for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def written(name: str, field: FieldInfo) -> str:
    """Return a field's default as the page writes it; "" where the page says it in words."""
    if field.is_required():
        return "required"
    extra: Any = field.json_schema_extra
    default = extra["default"] if isinstance(extra, dict) else field.default
    if name in ("enter", "exit", "tiers", "name") or default in (None, [], {}):
        return ""
    return (
        f"`{default:g}`" if isinstance(default, float) else f"`{str(default).lower() if default is False else default}`"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_loads(example: str) -> None:
    """Each YAML example is a whole file without a mistake."""
    assert load(example, Mapping.load(None)).definitions.segments


def test_there_are_examples_and_conditions_to_check() -> None:
    """The page has two files and ten conditions, so that the tests beside this one have something to judge."""
    assert (len(EXAMPLES), len(CONDITIONS)) == (2, 10)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_on_the_page_is_valid(condition: str) -> None:
    """Each condition listed is read without a mistake."""
    parse(condition, VOCABULARY)


@pytest.mark.parametrize("heading", TABLES)
def test_a_table_has_every_key_with_its_default_and_no_other(heading: str) -> None:
    """Keys are those of the model, defaults those of the code."""
    fields = {field.alias or name: field for name, field in TABLES[heading].model_fields.items()}
    rows = table(heading)
    assert set(fields) == set(rows)
    for name, field in fields.items():
        default = written(name, field)
        assert rows[name] == default or not default, name


def test_every_key_of_the_smaller_parts_is_on_the_page() -> None:
    """Keys of holdouts, triggers, quiet hours, variants, conversions, tiers and steps of tests are named."""
    parts: list[type[BaseModel]] = [
        definitions.Holdout, definitions.Trigger, definitions.QuietHours, definitions.Variant, definitions.Conversion,
        definitions.Tier, definitions.Given, definitions.Expect, definitions.Retention,
    ]  # fmt: skip
    for part in parts:
        for name, field in part.model_fields.items():
            assert re.search(rf"[`{{ ]{field.alias or name}[`:]", PAGE), f"{part.__name__}.{name}"


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_every_feature_is_on_the_page(name: str) -> None:
    """By its name, or as a stem with a window that the page lists."""
    stem, _, window = name.rpartition("_")
    by_window = f"`{stem}_…`" in PAGE and window in table("Windows")
    by_kind = name.startswith("time_since_") and f"`{name.removeprefix('time_since_')}`" in PAGE
    assert by_window or by_kind or f"| `{name}` |" in PAGE


def test_windows_kinds_calls_checks_and_units_are_all_there() -> None:
    """What the code knows of each, the page names."""
    assert set(WINDOWS) | {"total"} == set(table("Windows"))
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
    assert set(CALLS) == {call.partition("(")[0] for call in table("Calls")}
    assert all(re.search(rf"`[0-9]+{unit}`", PAGE) for unit in UNITS_MS)


def test_the_hops_of_each_window_are_those_of_the_code() -> None:
    """The number of hops in the table is the catalogue's."""
    rows = table("Windows")
    assert {name: hops for name, (_, hops) in WINDOWS.items()} == {name: int(rows[name].split()[0]) for name in WINDOWS}


def test_the_checks_are_listed_with_the_outcomes_they_lead_to() -> None:
    """Each check that can refuse is a row, and may stand in a decision with that row's outcome."""
    section = PAGE.split("# How a campaign decides\n")[1]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`") for row in rows} == {check for checks in BLOCKED_BY.values() for check in checks if check}
    for outcome, checks in BLOCKED_BY.items():
        listed = {row[0].strip("`") for row in rows if f"`{outcome}`" in row[2]}
        assert listed <= {check for check in checks if check}
