"""JSON as it is read here: what counts as JSON is decided by one rule, whichever parser met the bytes first.

The rule is RFC 8259 over UTF-8: no byte order mark, no `NaN` or `Infinity`, of a repeated member the last; numbers too
large for a double are infinite, lone surrogates are let through. msgspec is quick and refuses the last two; the
standard library's parser has the last word on whatever msgspec refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from schemas.events import DEPTH_MAX
from worker.core.batch import Refused, refuse

__all__ = [
    "Event", "deep_suspects", "depth", "event_of", "parse", "parse_event", "parse_slowly", "parsed", "parsed_slowly",
    "without_surrogates",
]  # fmt: skip

Json = Any


class Context(msgspec.Struct, gc=False):
    """What is read of an event's `context`."""

    timezone: Any = None


class Event(msgspec.Struct, gc=False):
    """What is read of an event in Segment's form; members of any type but `context`. Absent and null are the same."""

    type: Any = None
    event: Any = None
    messageId: Any = None  # noqa: N815 - the wire's names
    userId: Any = None  # noqa: N815
    anonymousId: Any = None  # noqa: N815
    timestamp: Any = None
    originalTimestamp: Any = None  # noqa: N815
    context: Context | None = None
    properties: Any = None
    traits: Any = None


# Both raise on what they refuse; parse_slowly then decides. parse_event skips members that aren't read without a look
# at their UTF-8: for bytes that aren't ASCII that is its caller's part.
parse_event = msgspec.json.Decoder(Event).decode
parse = msgspec.json.Decoder().decode

_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def depth(raw: bytes) -> int:
    """Return how many objects and arrays are open at once at most, counted on the bytes outside strings."""
    deepest = opened = 0
    for byte in _STRINGS.sub(b"", raw).translate(None, _NOT_BRACKETS):
        if byte in b"[{":
            opened += 1
            deepest = max(deepest, opened)
        elif opened:
            opened -= 1
    return deepest


def parse_slowly(raw: bytes) -> Any:
    """Parse what `parse` refused. Raises ValueError if it isn't JSON."""
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except RecursionError as error:  # out of reach behind the limit on depth, but nobody has to rely on that
        raise ValueError("nested too deeply") from error


def without_surrogates(value: Any) -> Any:
    """Return the same value with each lone surrogate of its texts replaced by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def _whole_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # more digits than Python converts: far too large for a double
        return float(text)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_int=_whole_number, parse_constant=_refuse_constant)


def deep_suspects(chunk: Sequence[bytes]) -> frozenset[int]:
    """Return the places of the records with enough opening brackets to be too deep: only they need a closer look."""
    data = np.frombuffer(b"".join(chunk), dtype=np.uint8)
    openings = ((data & 0xDF) == ord("[")).nonzero()[0]  # 0xDF takes `{` to `[`, and nothing else
    if openings.size <= DEPTH_MAX:
        return frozenset()
    ends = np.fromiter(map(len, chunk), np.int64, len(chunk)).cumsum()
    counts = np.diff(openings.searchsorted(ends), prepend=0)
    return frozenset((counts > DEPTH_MAX).nonzero()[0].tolist())


def parsed(raw: bytes) -> tuple[Json, bool]:
    """Return the whole JSON value of a record, and whether it may have lone surrogates."""
    try:
        return parse(raw), False
    except Exception:  # noqa: BLE001 - as above
        try:
            return parse_slowly(raw), True
        except ValueError:
            raise Refused("not_json") from None


def parsed_slowly(raw: bytes) -> tuple[Event, Json]:
    """Return the event, and its source, of a record that the quick way refused."""
    source, spoilt = parsed(raw)
    if type(source) is not dict:
        refuse("not_an_object")
    return event_of(source), without_surrogates(source) if spoilt else source


def event_of(form: dict[str, Json]) -> Event:
    """Return the event of a parsed object in Segment's form, lone surrogates replaced in all but the user's ids."""
    members = {name: without_surrogates(form.get(name)) for name in Event.__struct_fields__}
    members.update(userId=form.get("userId"), anonymousId=form.get("anonymousId"))
    context = members["context"]
    if context is not None:  # what isn't an object is as wrong as a time zone of the wrong type
        members["context"] = Context(context.get("timezone") if type(context) is dict else False)
    return Event(**members)
