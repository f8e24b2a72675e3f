"""What a column mapping file says, as pydantic models: which columns a table has, and which events its lines are.

A mapping of columns is for files whose lines aren't events yet (CSV, Parquet). It makes Segment events of them, which
then go the way of every other event, so it judges as little as possible: what isn't a number stays the text it is, and
the engine repairs or refuses it with the reason everybody knows.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from schemas.definitions import zone_names
from worker.errors import WrongUsage
from worker.language import mapping_file
from worker.language.document import Document
from worker.language.document import Path as Place
from worker.language.mapping import SHIPPED as SHIPPED_EVENTS
from worker.language.mapping_file import MappingSpec
from worker.language.shape import Complaint, judged
from worker.language.vocabulary import nearest

__all__ = ["Columns", "Condition", "Event", "Times", "Value", "find", "load"]

SHIPPED = Path(__file__).parent / "mappings"
FORMS = ("segment", "ga4", "braze", "snowplow")  # the shipped mapping of events reads all of them
SAMPLE = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)


Scalar = Annotated[str | float | bool, BeforeValidator(mapping_file.plain)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _listed(value: Any) -> Any:
    """One text is as good as a list of one."""
    return [value] if isinstance(value, str) else value


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise PydanticCustomError("unknown_zone", "{sentence}", {"sentence": "use a time zone of the IANA database"})
    return name


def _known_encoding(name: str) -> str:
    try:
        b"a".decode(name, "replace")
    except (LookupError, ValueError):
        raise ValueError("name an encoding that Python knows, such as utf-8, latin-1 or cp1252") from None
    return name


def _time_format(text: str) -> str:
    try:
        datetime.strptime(SAMPLE.strftime(text), text)  # noqa: DTZ007  nothing is read here
    except ValueError:
        raise ValueError('write a format of strptime here, such as "%d/%m/%Y %H:%M"') from None
    return text


class Times(_Model):
    """A column of times: ISO 8601, else the first of these `strptime` formats that fits; naive ones are in the zone."""

    time: list[Annotated[str, AfterValidator(_time_format)]] = []


class Condition(_Model):
    """What must hold of a column: all that is given. Of an absent value only `absent: true` holds, and `not`."""

    absent: bool | None = None
    equals: Scalar | None = None
    one_of: list[Scalar] | None = None
    starts_with: Annotated[list[str] | None, BeforeValidator(_listed)] = None
    at_most: float | None = None
    above: float | None = None
    negated: "Condition | None" = Field(default=None, alias="not")

    def holds(self, value: Any) -> bool:
        """Whether it holds of a value as `Columns` reads it: text, a number, or None."""
        if self.absent is not None and self.absent is not (value is None):
            return False
        if self.negated is not None and self.negated.holds(value):
            return False
        if self.equals is not None and value != self.equals:
            return False
        if self.one_of is not None and value not in self.one_of:
            return False
        if self.starts_with is not None and not (isinstance(value, str) and value.startswith(tuple(self.starts_with))):
            return False
        if self.at_most is None and self.above is None:
            return True
        if not isinstance(value, int | float):
            return False
        return (self.at_most is None or value <= self.at_most) and (self.above is None or value > self.above)


class LeaveOut(_Model):
    """Lines that are no event, and what to call the reason in the summary."""

    reason: str
    where: dict[str, Condition]


class Group(_Model):
    """Lines with the same value of `by`, at most `within_lines` apart, are one event."""

    by: str
    within_lines: int = Field(default=1000, ge=1, le=100_000)


class Value(_Model):
    """Where a field's value comes from: a column (its name alone will do), or a constant."""

    column: str | None = None
    value: Scalar | None = None
    absolute: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give one of `column` and `value`")
        return self


def _value(given: Any) -> Any:
    if given is not None and not isinstance(given, str | dict):
        raise ValueError("name a column, or write `{value: ...}` for a constant")
    return {"column": given} if isinstance(given, str) else given


def _way(given: Any) -> str:
    return "formats" if isinstance(given, dict) else "name"


Source = Annotated[Value, BeforeValidator(_value)]
Type = Literal["text", "id", "number", "time", "epoch_seconds", "epoch_milliseconds"]
Kind = Annotated[Annotated[Type, Tag("name")] | Annotated[Times, Tag("formats")], Discriminator(_way)]


class Event(_Model):
    """An event to make of a line or a group: its Segment name, its properties, and the product each line stands for."""

    event: str
    where: dict[str, Condition] = {}
    properties: dict[str, Source] = {}
    product: dict[str, Source] = {}


class Columns(_Model):
    """A whole mapping of columns."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    columns: dict[str, Kind]
    leave_out: list[LeaveOut] = []
    group: Group | None = None
    user: str
    time: str
    message_id: str | None = None
    events: list[Event] = Field(min_length=1)

    def named(self) -> Iterator[tuple[Place, str]]:
        """Every column the mapping speaks of, with the place where it does."""
        yield ("user",), self.user
        yield ("time",), self.time
        if self.message_id is not None:
            yield ("message_id",), self.message_id
        if self.group:
            yield ("group", "by"), self.group.by
        for number, rule in enumerate(self.leave_out):
            yield from ((("leave_out", number, "where", name), name) for name in rule.where)
        for number, event in enumerate(self.events):
            yield from ((("events", number, "where", name), name) for name in event.where)
            for part, sources in (("properties", event.properties), ("product", event.product)):
                for name, source in sources.items():
                    if source.column is not None:
                        yield ("events", number, part, name, "column"), source.column


def find(name: str) -> Path:
    """The file of a mapping: a path, or the name of a shipped one (`online_retail`, `segment`).

    Raises:
        WrongUsage: there is neither.
    """
    path = Path(name)
    with suppress(OSError):  # a name too long for one
        if path.is_file():
            return path
    if name in FORMS:
        return SHIPPED_EVENTS
    of_columns = [file.stem for file in SHIPPED.glob("*.yaml")]
    if name in of_columns:
        return SHIPPED / f"{name}.yaml"
    near = nearest(name, [*FORMS, *of_columns])
    raise WrongUsage(
        f"There is no mapping {name}{f' (nearest: {near})' if near else ''}: give the path of a file, or the name of "
        f"a shipped mapping: {', '.join(FORMS)} (events), {', '.join(sorted(of_columns))} (columns)."
    )


def load(text: str) -> Columns | None:
    """The mapping of columns in a text; None if it isn't one, and so is a mapping of events.

    Raises:
        MappingError: the text is not YAML, or has mistakes; each is named with its place.
    """
    document = mapping_file.opened(text)
    if not _is_of_columns(document.data):
        return None
    columns, complaints = judged(document, Columns, "`columns`")
    if columns is not None:
        complaints = list(_undeclared(columns, document))
    return mapping_file.checked(document, columns, complaints)


def _is_of_columns(data: Any) -> bool:
    """Whether a file means columns, be that key itself misspelt: more of its keys are such a mapping's."""
    if not isinstance(data, dict) or "columns" in data or "rules" in data:
        return isinstance(data, dict) and "columns" in data
    return len(data.keys() & Columns.model_fields.keys()) > len(data.keys() & MappingSpec.model_fields.keys())


def _undeclared(columns: Columns, document: Document) -> Iterator[Complaint]:
    for place, name in columns.named():
        if name not in columns.columns:
            spot = document.key_spot(place) if "where" in place else document.value_spot(place)
            near = nearest(name, columns.columns)
            yield place, spot, f'declare "{name}" under `columns`, or name one that is', near
