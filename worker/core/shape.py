"""What pydantic has to say about a definitions file, in the words of this project.

pydantic names the place by keys and indices and says what is wrong; the rule here: every message says what to do, at
the spot of the very key or value, with the nearest valid name where a name is wrong.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.definitions import (
    Campaign,
    Cap,
    Conversion,
    Definitions,
    Expect,
    Given,
    Holdout,
    QuietHours,
    Segment,
    Target,
    Test,
    Tier,
    Trigger,
    Variant,
    zone_names,
)
from worker.core.document import Document, Path, Spot
from worker.core.vocabulary import nearest

__all__ = ["judged"]

Complaint = tuple[Path, Spot, str, str | None]
"""Place in the data, spot in the text, message, nearest valid name."""

_MODELS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    (): Definitions, ("holdout",): Holdout, ("segments",): Segment, ("segments", "tiers"): Tier,
    ("targets",): Target, ("campaigns",): Campaign, ("campaigns", "trigger"): Trigger,
    ("campaigns", "quiet_hours"): QuietHours, ("campaigns", "conversion"): Conversion,
    ("campaigns", "variants"): Variant, ("caps",): Cap, ("tests",): Test, ("tests", "given"): Given,
    ("tests", "expect"): Expect,
}  # fmt: skip

_ADVICE: Final = {
    "string_type": "write text here, in quotes if it looks like a number",
    "int_type": "write a whole number here",
    "float_type": "write a number here",
    "bool_type": "write `true` or `false` here",
    "list_type": "write a list here, such as `[a, b]`",
    "dict_type": "write keys with values here, such as `{{key: value}}`",
    "model_type": "write keys with values here, such as `{{key: value}}`",
    "greater_than": "write a number above {gt:g}",
    "greater_than_equal": "write a number of at least {ge:g}",
    "less_than_equal": "write a number of at most {le:g}",
    "too_long": "keep to {max_length} of these: from here on there are more",
    "too_short": "write at least {min_length} of these, or take the key away",
    "string_too_short": "write at least one character here",
    "string_too_long": "write at most {max_length} characters here",
    "literal_error": "write {expected}",
}


def judged(document: Document) -> tuple[Definitions | None, list[Complaint]]:
    """Return the definitions in a document, None if they are none, and all that pydantic has against them."""
    data = document.data
    if not isinstance(data, dict):
        return None, [((), (1, 1), "write at least `version` and `segments`, as keys with values", None)]
    try:
        return Definitions.model_validate(data), []
    except ValidationError as error:
        return None, [_complaint(line, document) for line in error.errors(include_url=False)]


def _complaint(error: ErrorDetails, document: Document) -> Complaint:
    place, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            near = nearest(str(place[-1]), _keys(place[:-1]))
            return place, document.key_spot(place), f"use a known key instead of `{place[-1]}`", near
        case "missing":
            return place, document.start_spot(place[:-1]), f"add `{place[-1]}`: it is required", None
        case "literal_error":
            near = nearest(str(error["input"]), re.findall(r"'([^']*)'", context["expected"]))
            return place, document.value_spot(place), f"write {context['expected']}", near
        case "unknown_zone":
            near = nearest(str(error["input"]), zone_names())
            return place, document.value_spot(place), str(context["sentence"]), near
        case "too_long":
            place = (*place, context["max_length"])
        case "value_error":
            message = _advice(error, context)
            return place, document.value_spot(place), message, _nearest_duration(error["input"], message)
    if place[-1:] == ("[key]",):
        place = place[:-1]
        return place, document.key_spot(place), _advice(error, context), None
    return place, document.value_spot(place), _advice(error, context), None


def _advice(error: ErrorDetails, context: dict[str, Any]) -> str:
    if error["input"] is None and error["type"] != "contradiction":
        return "give this key a value, or take it away"
    if error["type"] == "string_pattern_mismatch":
        if "A-Z" in context["pattern"]:
            return "write a currency as three letters, such as EUR"
        return "write an id of 1 to 64 of the characters a to z, 0 to 9, `_` and `-`"
    if error["type"] in _ADVICE:
        return _ADVICE[error["type"]].format(**context)
    return str(context.get("sentence", error["msg"])).removeprefix("Value error, ")


def _nearest_duration(written: object, message: str) -> str | None:
    """Return `10m` for `10min`, if it is a duration that is wanted."""
    match = re.match(r"([0-9]{1,9}) ?([smhdw])", written) if isinstance(written, str) else None
    return match[1] + match[2] if match is not None and "duration as" in message else None


def _keys(place: Path) -> list[str]:
    """Return the keys that may stand in the mapping at `place`."""
    names = tuple(step for step in place if isinstance(step, str))
    if names[:2] == ("campaigns", "variants"):
        names = names[:2]
    model = _MODELS.get(names)
    return [field.alias or name for name, field in model.model_fields.items()] if model is not None else []
