"""Lines of a table made into Segment events, by a mapping of columns or, without one, by the names of the columns.

Lines go in one by one with their numbers; events come out as (line number, JSON bytes), in order of their first line.
Nothing but the groups still open is held. What is left out is counted by reason, so that no line is lost unseen.

Without a mapping, a column's name is the dotted path of a field (`userId`, `properties.total`). The fields that are
numbers in the Segment spec are read as numbers, `products` and the like as JSON, and everything else is text. Parquet's
values keep the type they have, but for ids, which are text.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from schemas.events import PAYLOAD_BYTES_MAX
from worker.errors import WrongUsage
from worker.files.columns import Columns, Condition, Event, Times, Value
from worker.language.vocabulary import nearest

__all__ = ["check", "events"]

Reader = Callable[[Any], Any]
Line = dict[str, Any]
Made = tuple[int, bytes]

EPOCH_DIGITS_MAX = 19  # nanoseconds have as many: out of range, and told as that
COLUMNS_SAID = 30
_NUMBERS = {"price", "quantity", "total", "revenue", "value", "rating"}
_NESTED = {"products", "properties", "context", "traits", "consent"}


def events(columns: Sequence[str], rows: Iterable[tuple[int, Sequence[Any]]], mapping: Columns | None) -> "Table":
    """The events of a table with these columns, which `check` has found to be enough."""
    if mapping is None:
        return Table(_by_name(columns, rows), Counter())
    maker = Maker(columns, mapping)
    return Table(maker.make(rows), maker.left_out)


def check(file: Path, columns: Sequence[str], mapping: Columns | None) -> None:
    """Look whether a table has the columns it needs.

    Raises:
        WrongUsage: a column of the mapping, or without one the user's column, isn't there.
    """
    needed = sorted(mapping.columns) if mapping else ["userId"]
    had = set(columns) if mapping else {"userId" for name in columns if name.split(".")[0] in ("userId", "anonymousId")}
    missing = ", ".join(name + _nearest(name, columns) for name in needed if name not in had)
    if missing:
        cure = (
            "name another --mapping, or the columns as this one does"
            if mapping
            else "say with --mapping what they mean"
        )
        listed = ", ".join([*columns[:COLUMNS_SAID], *(["…"] if len(columns) > COLUMNS_SAID else [])])
        raise WrongUsage(f"{file} has no column {missing}; it has {listed}: {cure}.")


def _nearest(name: str, columns: Sequence[str]) -> str:
    near = nearest(name, columns)
    return f" (nearest: {near})" if near else ""


@dataclass(frozen=True)
class Table:
    """The events of a table, made as they are asked for, and the lines left out so far by reason."""

    events: Iterator[Made]
    left_out: Counter[str]


@dataclass
class _Open:
    """A group whose lines are still coming: its first and latest line's number, its first line, its products."""

    first: int
    latest: int
    line: Line
    event: Event
    products: list[dict[str, Any]] = field(default_factory=list)


class Maker:
    """Makes events of lines by a mapping of columns, all of which the table has; `left_out` counts lines by reason."""

    def __init__(self, columns: Sequence[str], mapping: Columns) -> None:
        self.mapping = mapping
        self.left_out: Counter[str] = Counter()
        self._readers = [
            (name, list(columns).index(name), _reader(kind, ZoneInfo(mapping.timezone)))
            for name, kind in mapping.columns.items()
        ]

    def make(self, rows: Iterable[tuple[int, Sequence[Any]]]) -> Iterator[Made]:
        """The events of all rows, each as soon as no further line can belong to it."""
        groups: dict[Any, _Open] = {}
        within_lines = self.mapping.group.within_lines if self.mapping.group else 0
        for number, row in rows:
            while groups and number - (oldest := next(iter(groups.values()))).latest > within_lines:
                yield self._close(groups, oldest)
            line = self._read(row)
            if (event := self._wanted(line)) is not None:
                key = line[self.mapping.group.by] if self.mapping.group else number
                group = groups.setdefault(key, _Open(number, number, line, event))
                group.latest = number
                if event.product:
                    group.products.append(_fields(group.event.product, line))
        while groups:
            yield self._close(groups, next(iter(groups.values())))

    def _read(self, row: Sequence[Any]) -> Line:
        """The values of the columns the mapping knows; those of a short row are absent."""
        width = len(row)
        return {name: read(row[place]) if place < width else None for name, place, read in self._readers}

    def _wanted(self, line: Line) -> Event | None:
        """The event this line is of, or None, counted, if it is left out."""
        for rule in self.mapping.leave_out:
            if _holds(rule.where, line):
                self.left_out[rule.reason] += 1
                return None
        for event in self.mapping.events:
            if _holds(event.where, line):
                return event
        self.left_out["no_event"] += 1
        return None

    def _close(self, groups: dict[Any, _Open], group: _Open) -> Made:
        del groups[group.line[self.mapping.group.by] if self.mapping.group else group.first]
        return group.first, self._encode(group)

    def _encode(self, group: _Open) -> bytes:
        """The event's JSON; where its products make it too large for a record, the total and the products that fit."""
        mapping, line = self.mapping, group.line
        properties = _fields(group.event.properties, line)
        if group.event.product:
            properties["products"] = group.products
        event = {
            "type": "track",
            "event": group.event.event,
            "userId": _text(line[mapping.user]),
            "timestamp": line[mapping.time],
            "properties": properties,
        }
        if mapping.message_id:
            event["messageId"] = _text(line[mapping.message_id])
        encoded = msgspec.json.encode(event)
        while len(encoded) > PAYLOAD_BYTES_MAX and properties.get("products"):
            properties.setdefault("total", _total(group.products))
            keep = len(properties["products"]) * 9 // 10
            self.left_out["beyond_event_size"] += len(properties["products"]) - keep
            properties["products"] = properties["products"][:keep]
            encoded = msgspec.json.encode(event)
        return encoded


def _holds(where: dict[str, Condition], line: Line) -> bool:
    for name, condition in where.items():  # a third faster than all(), on every line of a file
        if not condition.holds(line[name]):
            return False
    return True


def _fields(sources: dict[str, Value], line: Line) -> dict[str, Any]:
    """The named values that are there."""
    found = {}
    for name, source in sources.items():
        value = source.value if source.column is None else line[source.column]
        if source.absolute and isinstance(value, int | float):
            value = abs(value)
        if value is not None:
            found[name] = value
    return found


def _total(products: list[dict[str, Any]]) -> float:
    """Price × quantity over the products, in order, the way the engine adds them up; text counts as 0."""
    total = 0.0
    for product in products:
        price, quantity = product.get("price", 0.0), product.get("quantity", 1.0)
        if isinstance(price, int | float) and isinstance(quantity, int | float):
            total += price * quantity
    return total


def _reader(kind: str | Times, zone: ZoneInfo) -> Reader:
    """How a column of this kind is read: what it gives for text (CSV) or a typed value (Parquet)."""
    if isinstance(kind, Times) or kind == "time":
        formats = tuple(kind.time) if isinstance(kind, Times) else ()
        from_text = lru_cache(maxsize=4096)(lambda text: _time(text, formats, zone))
        return lambda value: from_text(value) if isinstance(value, str) else _typed_time(value, zone)
    if kind == "epoch_seconds":
        return lambda value: _epoch(value, 1000)
    if kind == "epoch_milliseconds":
        return lambda value: _epoch(value, 1)
    return {"text": _text, "id": _id, "number": _number}[kind]


def _text(value: Any) -> str | None:
    """Text as it is, without blanks around it; None for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def _id(value: Any) -> str | None:
    """As text, a whole number without the `.0` of a spreadsheet."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = _text(value)
    if text is not None and text.endswith(".0") and _is_digits(text[:-2]):
        return text[:-2]
    return text


def _is_digits(text: str) -> bool:
    """Whether it is 0 to 9 and nothing else: Python takes a `²` for a digit too."""
    return text.isascii() and text.isdecimal()


def _number(value: Any) -> float | str | None:
    """A number; text that is none stays text, for the engine to repair or refuse."""
    text = _text(value)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _epoch(value: Any, milliseconds: int) -> int | str | None:
    number = _number(value)
    if not isinstance(number, float) or not math.isfinite(number * milliseconds):
        return _text(value)
    return math.floor(number * milliseconds)


def _time(text: str, formats: tuple[str, ...], zone: ZoneInfo) -> str | None:
    """RFC 3339 in UTC; text that is no time stays as it is, and becomes a `bad_timestamp`."""
    text = text.strip()
    try:
        return _rfc3339(datetime.fromisoformat(text), zone)
    except ValueError:
        pass
    for pattern in formats:
        try:
            return _rfc3339(datetime.strptime(text, pattern), zone)  # noqa: DTZ007  the zone comes next
        except ValueError:
            continue
    return text or None


def _typed_time(value: Any, zone: ZoneInfo) -> str | None:
    if isinstance(value, datetime):
        return _rfc3339(value, zone)
    if isinstance(value, date):
        return _rfc3339(datetime.combine(value, time()), zone)
    return _text(value)


def _rfc3339(moment: datetime, zone: ZoneInfo) -> str | None:
    """In UTC with milliseconds; a time without an offset is the zone's, the first of two if it comes twice."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    try:
        return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return moment.isoformat()


def _by_name(columns: Sequence[str], rows: Iterable[tuple[int, Sequence[Any]]]) -> Iterator[Made]:
    """An event per row, each column being the field its dotted name says."""
    paths = [(name.split("."), _field_reader(name)) for name in columns]
    for number, row in rows:
        event: dict[str, Any] = {}
        for (path, read), raw in zip(paths, row, strict=False):
            if (value := read(raw)) is not None:
                _put(event, path, value)
        event.setdefault("type", "track" if "event" in event else "page")
        yield number, msgspec.json.encode(event, enc_hook=_plain)


def _put(event: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a field. What a column says of one field goes before what an object says of it, whichever comes first."""
    at = event
    for name in path[:-1]:
        inner = at.get(name)
        if inner is None:
            inner = at[name] = {}
        if not isinstance(inner, dict):
            return
        at = inner
    at[path[-1]] = _merged(value, at.get(path[-1]))


def _merged(value: Any, before: Any) -> Any:
    """An object with the fields that columns of their own have set before; anything else as it is."""
    if not isinstance(value, dict) or not isinstance(before, dict):
        return value
    merged = dict(value)
    for name, inner in before.items():
        both = isinstance(inner, dict) and value.get(name) is not None
        merged[name] = _merged(value[name], inner) if both else inner
    return merged


def _field_reader(name: str) -> Reader:
    """How a field of this name is read from text; values that already have a type keep it, but ids become text."""
    last = name.rpartition(".")[2]
    if last in _NUMBERS:
        return lambda value: _number(value) if isinstance(value, str) else value
    if last in {"timestamp", "originalTimestamp"}:
        return _timestamp
    if last in _NESTED:
        return lambda value: _nested(value) if isinstance(value, str) else value
    if last == "id" or last.endswith(("Id", "_id")):
        return lambda value: _id(value) if isinstance(value, int | float | Decimal) else _text(value)
    return lambda value: _text(value) if isinstance(value, str) else value


def _timestamp(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return _typed_time(value, ZoneInfo("UTC"))
    if not isinstance(value, str):
        return value
    text = _text(value)
    return int(text) if text and _is_digits(text) and len(text) <= EPOCH_DIGITS_MAX else text


def _nested(text: str) -> Any:
    """JSON where it is JSON, and not too deep to be read, else the text."""
    try:
        return msgspec.json.decode(text) if text.strip() else None
    except (msgspec.DecodeError, RecursionError):
        return text


def _plain(value: Any) -> Any:
    """What JSON has no form for."""
    return float(value) if isinstance(value, Decimal) else str(value)
