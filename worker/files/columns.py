"""What a column mapping file says, as pydantic models: which columns a table has, and which events its lines are.

A mapping of columns is for files whose lines aren't events yet (CSV, Parquet). It makes Segment events of them, which
then go the way of every other event, so it judges as little as possible: what isn't a number stays the text it is, and
the engine repairs or refuses it with the reason everybody knows.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from schemas.definitions import zone_names
from worker.errors import WrongUsage

SHIPPED = Path(__file__).parent / "mappings"
Scalar = str | float | bool


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _listed(value: Any) -> Any:
    """One text is as good as a list of one."""
    return [value] if isinstance(value, str) else value


def _known_zone(name: str) -> str:
    if name not in zone_names():
        raise ValueError(f"{name!r} is no time zone of the IANA database")
    return name


class Times(_Model):
    """A column of times: ISO 8601, else the first of these `strptime` formats that fits; naive ones are in the zone."""

    time: list[str] = []


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
            raise ValueError("give either `column` or `value`")
        return self


def _value(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


Source = Annotated[Value, BeforeValidator(_value)]


class Event(_Model):
    """An event to make of a line or a group: its Segment name, its properties, and the product each line stands for."""

    event: str
    where: dict[str, Condition] = {}
    properties: dict[str, Source] = {}
    product: dict[str, Source] = {}


class Columns(_Model):
    """A whole mapping of columns."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    encoding: str = "utf-8"
    columns: dict[str, Literal["text", "id", "number", "time", "epoch_seconds", "epoch_milliseconds"] | Times]
    leave_out: list[LeaveOut] = []
    group: Group | None = None
    user: str
    time: str
    message_id: str | None = None
    events: list[Event] = Field(min_length=1)

    @model_validator(mode="after")
    def _columns_declared(self) -> Self:
        missing = sorted(self._named() - self.columns.keys())
        if missing:
            raise ValueError(f"{', '.join(missing)} not among `columns`")
        return self

    def _named(self) -> set[str]:
        """Every column the mapping speaks of."""
        named = {self.user, self.time, *([self.message_id] if self.message_id else [])}
        named |= {self.group.by} if self.group else set()
        for rule in self.leave_out:
            named |= rule.where.keys()
        for event in self.events:
            named |= event.where.keys()
            named |= {v.column for v in (*event.properties.values(), *event.product.values()) if v.column}
        return named


def find(name: str) -> Path:
    """The file of a mapping: a path, or the name of a shipped one (`online_retail`).

    Raises:
        WrongUsage: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = SHIPPED / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.yaml")))
    raise WrongUsage(f"There is no mapping file {name}: give a path, or the name of a shipped mapping ({names}).")


def load(path: Path) -> Columns | None:
    """The mapping of columns in a file; None if the file holds no `columns`, and so is a mapping of events.

    Raises:
        WrongUsage: the file is not YAML, or has `columns` and mistakes; each is named with its place.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise WrongUsage(f"{path} can't be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict) or "columns" not in content:
        return None
    try:
        return Columns.model_validate(content)
    except pydantic.ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise WrongUsage(f"{path} is no good mapping of columns: {found}.") from error
