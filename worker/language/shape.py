"""What pydantic has to say about a file that a person wrote, in the words of this project.

pydantic names the place by keys and indices and says what is wrong; the rule here: every message says what to do, at
the spot of the very key or value, with the nearest valid name where a name is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.definitions import zone_names
from worker.language.document import Document, Path, Spot
from worker.language.vocabulary import nearest

__all__ = ["Complaint", "judged", "owner"]

Complaint = tuple[Path, Spot, str, str | None]
"""Place in the data, spot in the text, message, nearest valid name."""

Model = TypeVar("Model", bound=BaseModel)

_ADVICE: Final = {
    "string_type": "write text here, in quotes if it looks like a number",
    "int_type": "write a whole number here",
    "float_type": "write a number here",
    "int_parsing": "write a whole number here",
    "float_parsing": "write a number here",
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


def judged(document: Document, model: type[Model], required: str) -> tuple[Model | None, list[Complaint]]:
    """Return what is in a document as this model, None if it isn't one, and all that pydantic has against it.

    `required` names the keys to begin with, for whoever wrote no keys at all. A required key that is only misspelt is
    one mistake and not two.
    """
    data = document.data
    if not isinstance(data, dict):
        return None, [((), (1, 1), f"write at least {required}, as keys with values", None)]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    misspelt = {
        (*line["loc"][:-1], nearest(str(line["loc"][-1]), _keys(model, _written(line["loc"][:-1], data))))
        for line in errors
        if line["type"] == "extra_forbidden"
    }
    told = (line for line in errors if line["type"] != "missing" or line["loc"] not in misspelt)
    return None, [_complaint(line, document, model) for line in told]


def owner(place: Path, data: Any) -> str:
    """Return whose mistake it is: an id, a name, else the place itself, such as `caps[0]`."""
    ids: list[str] = []
    key = ""
    for depth, step in enumerate(place[:4]):
        data = data[step] if _has(data, step) else None
        if isinstance(step, int) and (depth == 1 or place[depth - 1] == "tiers"):
            own = (data.get("id") or data.get("name")) if isinstance(data, dict) else None
            ids.append(own if isinstance(own, str) else f"{place[depth - 1]}[{step}]")
        elif depth == 0:
            key = str(step)
    return ":".join(ids) or key


def _has(data: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(data, list) and step < len(data)
    return isinstance(data, dict) and step in data


def _complaint(error: ErrorDetails, document: Document, model: type[BaseModel]) -> Complaint:
    place, context = _written(error["loc"], document.data), error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            near = nearest(str(place[-1]), _keys(model, place[:-1]))
            return place, document.key_spot(place), f"use a known key instead of `{place[-1]}`", near
        case "missing":
            return place, document.start_spot(place[:-1]), f"add `{place[-1]}`: it is required", None
        case "literal_error" if place[-1:] == ("[key]",):
            near = nearest(str(error["input"]), re.findall(r"'([^']*)'", context["expected"]))
            place = place[:-1]
            return (
                place,
                document.key_spot(place),
                f"use a known name instead of `{place[-1]}`: {context['expected']}",
                near,
            )
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


def _written(place: Path, data: Any) -> Path:
    """Return the place without the names that pydantic gives to the ways in which a value may be written."""
    steps: list[str | int] = []
    for depth, step in enumerate(place):
        if _has(data, step):
            data = data[step]
            steps.append(step)
        elif step == "[key]" or (depth == len(place) - 1 and isinstance(data, dict)):
            steps.append(step)  # the key itself is wrong, or isn't there
    return tuple(steps)


def _keys(model: type[BaseModel], place: Path) -> list[str]:
    """Return the keys that may stand in the mapping at `place`."""
    kinds: list[Any] = [model]
    for step in place:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    return [key for kind in kinds if _is_model(kind) for key, _ in _fields(kind)]


def _inside(kind: Any, step: str | int) -> list[Any]:
    """Return what may stand at a key, or at an index, of something of this kind."""
    if _is_model(kind):
        return [inner for key, annotation in _fields(kind) if key == step for inner in _kinds(annotation)]
    return _kinds(get_args(kind)[-1]) if get_origin(kind) in (list, dict) else []


def _kinds(annotation: Any) -> list[Any]:
    """Return the one or several kinds that an annotation allows."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part) if kind is not NoneType]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    return ((field.alias or name, field.annotation) for name, field in model.model_fields.items())
