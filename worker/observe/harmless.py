"""Values and errors as a log may show them: short, on one line, and without anybody's id.

The rule: what quotes its input is not repeated. A KeyError's message is the key, a ValueError's often the value, and
either may be a user's id; of such errors only the type and the place are told. A traceback shows code, never data.
"""

import json
import math
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["PERSONAL", "TEXT_MAX", "TRACEBACK_MAX", "error_text", "plain", "traceback_text"]

PERSONAL = frozenset({"user_id", "key", "payload"})  # fields that are never logged
TEXT_MAX = 500  # characters
TRACEBACK_MAX = 8_000  # characters, the last ones: they say what went wrong
QUOTING = (LookupError, ValueError)  # of the latter are all errors of decoding, msgspec's and pydantic's


def plain(value: Any) -> str | int | float | bool | None:
    """Return a field's value as a number, a truth, null or a text of at most `TEXT_MAX` characters."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, BaseException):
        return error_text(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _cut(json.dumps(_without_personal(value), default=str, ensure_ascii=False))
    return _cut(str(value))


def _without_personal(value: Any) -> Any:
    """What is nested, with the fields that are never logged taken out at every depth."""
    if isinstance(value, Mapping):
        return {str(name): _without_personal(inner) for name, inner in value.items() if name not in PERSONAL}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_personal(inner) for inner in value]
    return error_text(value) if isinstance(value, BaseException) else value


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def error_text(error: BaseException) -> str:
    """Return an error's type, and its message unless that quotes what it was given.

    >>> error_text(KeyError("u-7")), error_text(OSError("disk full"))
    ('KeyError', 'OSError: disk full')
    """
    name = type(error).__name__
    if isinstance(error, QUOTING) or not str(error):
        return name
    return _cut(f"{name}: {error}")


def traceback_text(error: BaseException) -> str:
    """Return where an error and those behind it were raised, the first cause first."""
    return "\n".join(_parts(error, set()))[-TRACEBACK_MAX:]


def _parts(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:
        return
    seen.add(id(error))
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is not None:
        yield from _parts(behind, seen)
    yield "".join(traceback.format_tb(error.__traceback__)) + error_text(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _parts(inner, seen)
