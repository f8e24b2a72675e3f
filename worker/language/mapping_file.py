"""What a mapping file says, as pydantic models, and all that is wrong with one, each mistake at its line and column."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from schemas.definitions import Kind
from worker.language.document import Document
from worker.language.mistakes import DefinitionsError, MappingError, Mistake
from worker.language.shape import Complaint, judged, owner
from worker.language.vocabulary import nearest

__all__ = [
    "EnvelopeSpec", "EventField", "MappingSpec", "ProductField", "RuleSpec", "Scalar", "checked", "opened", "plain",
    "read",
]  # fmt: skip

EventField = Literal[
    "product_id", "category", "price", "quantity", "products", "order_id", "total", "revenue", "value", "currency",
    "rating", "decision_id", "channel",
]  # fmt: skip
ProductField = Literal["product_id", "category", "price", "quantity"]
EnvelopeField = Literal[
    "type", "event", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp", "timezone", "properties",
    "traits",
]  # fmt: skip
Model = TypeVar("Model", bound=BaseModel)
WITHOUT_RULES: Final = "put the rules under `rules:`, as a list, each with `match` and `kind`"


def plain(value: Any) -> Any:
    """Return a value as it is written, if it is no list and no object."""
    if value is not None and not isinstance(value, str | bool | int | float):
        raise PydanticCustomError("scalar_type", "write text, a number, `true` or `false` here")
    return value


def _several(value: Any) -> str:
    return "several" if isinstance(value, list) else "one"


Scalar = Annotated[str | bool | int | float, BeforeValidator(plain)]
Values = Annotated[Annotated[Scalar, Tag("one")] | Annotated[list[Scalar], Tag("several")], Discriminator(_several)]
Paths = Annotated[Annotated[str, Tag("one")] | Annotated[list[str], Tag("several")], Discriminator(_several)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RuleSpec(_Model):
    """One rule as written: `match` (path: value or values), `kind`, and where fields differ from Segment's names."""

    match: dict[str, Values]
    kind: Kind
    fields: dict[EventField, Paths] = {}
    product: dict[ProductField, Paths] = {}
    activity: bool | None = None
    revokes_consent: bool = False

    @field_validator("match")
    @classmethod
    def _matches_something(cls, match: dict[str, Any]) -> dict[str, Any]:
        if not match:
            raise ValueError("name at least one path here, such as `event: Order Completed`")
        return match

    @field_validator("revokes_consent")
    @classmethod
    def _goes_with_other(cls, revokes: bool, info: ValidationInfo) -> bool:
        if revokes and info.data.get("kind", "other") != "other":
            raise ValueError("write `kind: other` in this rule, or take `revokes_consent` away")
        return revokes


class EnvelopeSpec(_Model):
    """A form other than Segment's: members whose presence tells it, fixed members, and where the rest are."""

    name: str
    detect: list[str] = Field(min_length=1)
    constants: dict[EnvelopeField, str] = {}
    fields: dict[EnvelopeField, Paths]


class MappingSpec(_Model):
    """The whole file."""

    envelopes: list[EnvelopeSpec] = []
    rules: list[RuleSpec]


def read(text: str) -> MappingSpec:
    """Return the mapping of events written in `text`, YAML 1.2; MappingError carries every mistake there is."""
    document = opened(text)
    if _lacks_rules(document.data):
        raise MappingError([Mistake(1, 1, "", WITHOUT_RULES)])
    return checked(document, *judged(document, MappingSpec, "`rules`"))


def opened(text: str) -> Document:
    """Return the document in a text; MappingError where it can't be read as YAML."""
    try:
        return Document(text)
    except DefinitionsError as error:
        raise MappingError(error.mistakes) from None


def checked(document: Document, model: Model | None, complaints: list[Complaint]) -> Model:
    """Return the model if nothing is wrong with it or with its document; else raise MappingError."""
    mistakes = [Mistake(*spot, owner(place, document.data), message) for place, spot, message in document.mistakes]
    for place, spot, message, near in complaints:
        mistakes.append(Mistake(*spot, owner(place, document.data), message, near))
    if mistakes or model is None:
        raise MappingError(mistakes)
    return model


def _lacks_rules(data: Any) -> bool:
    """Whether neither `rules` is there nor a key that can only have been meant to be it."""
    return not isinstance(data, dict) or not any(nearest(key, ("rules",)) for key in data)
