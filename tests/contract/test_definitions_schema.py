"""The published JSON Schema of definitions files, as an editor uses it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.definitions import Definitions

VALIDATOR = Draft202012Validator(Definitions.model_json_schema(mode="validation"))
SEGMENT = {"id": "buyers", "enter": "orders_total > 0"}


def definitions(**members: object) -> dict[str, Any]:
    """Return a small file with some keys added."""
    return {"version": 1, "segments": [SEGMENT], **members}


def campaign(**members: object) -> dict[str, Any]:
    """Return a small file with one campaign."""
    return definitions(campaigns=[{"id": "thanks", "trigger": {"entered": "buyers"}, **members}])


@pytest.mark.parametrize(
    "document",
    [
        definitions(),
        definitions(currency="EUR", rates={"USD": 0.92}, traits=["country"], holdout={"share": 0.05, "salt": "2026"}),
        definitions(targets=[{"id": "purchase_7d", "positive": "order", "horizon": "7d"}]),
        campaign(delay="0s", expires="6h", quiet_hours={"from": "21:00", "to": "08:00", "on_quiet": "defer"}),
        campaign(variants={"plain": 0.5, "discount": {"share": 0.5, "send": {"coupon": "BACK10"}}}),
        definitions(caps=[{"channel": "email", "limit": 2, "per": "24h"}]),
        definitions(tests=[{"name": "n", "given": [{"at": "0m", "event": "Product Added"}], "expect": {"at": "31m"}}]),
    ],
)
def test_an_editor_accepts_what_the_contract_shows(document: dict[str, Any]) -> None:
    """The schema has no complaint about the forms of the contract, and pydantic agrees."""
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    Definitions.model_validate(document)


@pytest.mark.parametrize(
    "document",
    [{}, definitions(surprise=1), definitions(caps=[{"channel": "email", "limit": 9, "per": "24h"}]),
     campaign(delay="soon"), campaign(status="on"), campaign(conversion={"event": "purchase", "within": "3d"})],
)  # fmt: skip
def test_an_editor_refuses_what_the_loader_refuses(document: dict[str, Any]) -> None:
    """Unknown keys, values out of range and durations without a unit are marked."""
    assert not VALIDATOR.is_valid(document)
