"""The mapping: four vendors' events become kinds and fields; a file's mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.definitions import Definitions
from schemas.events import KINDS, REVOKING, SEGMENT_KINDS
from worker.core.batch import ACTIVITY, AMOUNT, FLAGS, KIND, ORDER, TIME, Batch
from worker.core.decode import Decoder
from worker.core.fields import id_hash
from worker.core.interning import Strings, Users
from worker.core.zones import Zones
from worker.language.mapping import Mapping, MappingError

NOON = "2026-11-22T12:00:00.000Z"
NOON_MS = 1_795_348_800_000
SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"
EXAMPLE = """
rules:
  - match: {event: ecommerce.cart_updated, properties.action: add}
    kind: cart_add
    fields: {products: properties.products}
"""


class Reading:
    """One event under a mapping: the batch, and its lines with their texts."""

    def __init__(self, event: dict[str, Any], mapping: Mapping | None = None) -> None:
        self.users, strings = Users(), Strings()
        definitions = Definitions.model_validate({"version": 1, "segments": [], "rates": {"USD": 0.5}})
        decoder = Decoder(mapping or Mapping.load(), definitions, self.users, strings, Zones(), event_clock=True)
        self.batch: Batch = decoder.decode([json.dumps(event).encode()], [0])
        assert not self.batch.dead_letters
        self.row = self.batch.records[0]
        self.kind = KINDS[self.row[KIND]]
        names = [*strings.texts, None]
        self.lines = [(names[int(p)], names[int(c)], quantity, value) for p, c, quantity, value in self.batch.lines]


def track(name: str, properties: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a track event of Segment's form."""
    return {"type": "track", "event": name, "userId": "u", "timestamp": NOON, "properties": properties or {}}


def snowplow(action: str, **entities: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an enriched Snowplow event as JSON."""
    return {
        "event": "unstruct",
        "event_name": "snowplow_ecommerce_action",
        "event_id": "e-1",
        "user_id": "u",
        "domain_userid": "d",
        "collector_tstamp": "2026-11-22T12:00:05.000Z",
        "derived_tstamp": NOON,
        "os_timezone": "Europe/Berlin",
        f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1": {"type": action},
        **{f"contexts_{SNOWPLOW}_{name}_1": entity for name, entity in entities.items()},
    }


@pytest.mark.parametrize(
    "name", [*SEGMENT_KINDS, *REVOKING, "Email Delivered", "Email Bounced", "Email Opened", "Login"]
)
def test_the_shipped_mapping_says_what_the_wire_contract_says(name: str) -> None:
    """Kind and activity of every Segment name; unknown names are `other` and activity."""
    reading = Reading(track(name))
    assert reading.kind == SEGMENT_KINDS.get(name, "other")
    quiet = reading.kind in ("refund", "message_sent") or name in (
        *REVOKING,
        "Email Delivered",
        "Email Bounced",
        "Email Opened",
    )
    assert bool(reading.row[FLAGS] & ACTIVITY) is not quiet


@pytest.mark.parametrize("type_", ["page", "screen"])
def test_pages_and_screens_are_other_whatever_their_name(type_: str) -> None:
    """A name on a page or screen is not an event's."""
    assert Reading({**track("Order Completed"), "type": type_}).kind == "other"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("view_item", "view"),
        ("view_item_list", "view"),
        ("add_to_cart", "cart_add"),
        ("remove_from_cart", "cart_remove"),
        ("add_to_wishlist", "wishlist"),
        ("begin_checkout", "checkout"),
        ("search", "search"),
    ],
)
def test_ga4_events_have_kinds_and_items(name: str, kind: str) -> None:
    """Items are products by GA4's own names."""
    reading = Reading(track(name, {"items": [{"item_id": "s", "item_category": "hats", "price": 2.5, "quantity": 4}]}))
    assert reading.kind == kind
    expected = {
        "cart_add": [("s", "hats", 4, 1_000)],
        "cart_remove": [("s", "hats", 4, 1_000)],
        "checkout": [],
        "search": [],
    }
    assert reading.lines == expected.get(kind, [("s", "hats", 0, 0)])


def test_a_ga4_purchase_is_an_order() -> None:
    """Its id is transaction_id; without a value its items make the amount."""
    items = [{"item_id": "s", "price": 10, "quantity": 3}]
    reading = Reading(track("purchase", {"transaction_id": "T-1", "items": items, "currency": "USD"}))
    assert (reading.kind, reading.row[AMOUNT]) == ("order", 1_500)
    assert reading.row[ORDER].view("uint64") == id_hash("T-1")
    assert Reading(track("refund", {"transaction_id": "T-1", "value": 7})).row[AMOUNT] == 700


@pytest.mark.parametrize(("action", "kind"), [("add", "cart_add"), ("remove", "cart_remove"), ("replace", "other")])
def test_brazes_cart_update_is_told_apart_by_its_action(action: str, kind: str) -> None:
    """Add and remove move the cart; replace says what it is, and counts as other."""
    products = [{"product_id": "p", "price": 5, "quantity": 2}]
    reading = Reading(track("ecommerce.cart_updated", {"action": action, "products": products}))
    assert reading.kind == kind
    assert reading.lines == ([] if kind == "other" else [("p", None, 2, 1_000)])


def test_brazes_own_envelope_is_recognised() -> None:
    """An event object of /users/track: external_id, name, time."""
    properties = {"order_id": "o", "total_value": 12.5, "currency": "EUR"}
    event = {"external_id": "b-1", "name": "ecommerce.order_placed", "time": NOON, "properties": properties}
    reading = Reading(event)
    assert (reading.kind, reading.users.ids) == ("order", ["b-1"])
    assert reading.row[[AMOUNT, TIME]].tolist() == [1_250, NOON_MS]
    assert Reading({**event, "name": "ecommerce.order_cancelled"}).kind == "refund"


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("product_view", "view"),
        ("list_click", "view"),
        ("add_to_cart", "cart_add"),
        ("remove_from_cart", "cart_remove"),
        ("promo_view", "other"),
        ("checkout_step", "other"),
        ("trns_error", "other"),
    ],
)
def test_snowplows_action_decides_the_kind(action: str, kind: str) -> None:
    """The products are entities beside the action."""
    reading = Reading(snowplow(action, product=[{"id": "p", "category": "hats", "price": 3, "quantity": 2}]))
    assert (reading.kind, reading.users.ids, reading.row[TIME]) == (kind, ["u"], NOON_MS)
    lines = {"view": [("p", "hats", 0, 0)], "other": []}
    assert reading.lines == lines.get(kind, [("p", "hats", 2, 600)])


def test_a_snowplow_transaction_is_an_order() -> None:
    """Id, amount and currency are in the transaction entity; a refund has its own; the first step starts a checkout."""
    reading = Reading(snowplow("transaction", transaction=[{"transaction_id": "t", "revenue": 8, "currency": "USD"}]))
    assert (reading.kind, reading.row[AMOUNT]) == ("order", 400)
    refund = Reading(snowplow("refund", refund=[{"transaction_id": "t", "refund_amount": 3, "currency": "EUR"}]))
    assert (refund.kind, refund.row[AMOUNT]) == ("refund", 300)
    assert Reading(snowplow("checkout_step", checkout_step=[{"step": 1}])).kind == "checkout"
    assert Reading(snowplow("checkout_step", checkout_step=[{"step": 2}])).kind == "other"


def test_a_snowplow_event_without_a_user_is_anonymous() -> None:
    """The domain's user id stands in."""
    assert Reading({**snowplow("add_to_cart"), "user_id": None}).users.ids == ["anon:d"]


def test_the_contracts_example_works(tmp_path: Path) -> None:
    """A mapping of one rule replaces the shipped one: what it doesn't name is `other`."""
    path = tmp_path / "mapping.yaml"
    path.write_text(EXAMPLE)
    mapping = Mapping.load(path)
    products = {"action": "add", "products": [{"product_id": "p"}]}
    assert Reading(track("ecommerce.cart_updated", products), mapping).kind == "cart_add"
    assert Reading(track("ecommerce.cart_updated", {"action": ["add"]}), mapping).kind == "other"
    assert Reading(track("Order Completed"), mapping).kind == "other"


def test_fields_may_lie_anywhere() -> None:
    """Through objects and arrays; of several paths the first present one counts; one that leads nowhere is absent."""
    mapping = Mapping.parse("""
        rules:
          - match: {event: sale}
            kind: order
            fields: {total: [payload.sums.1.gross, payload.sum], order_id: payload.sum.id}
    """)
    event = {**track("sale"), "payload": {"sums": [{"gross": 1}, {"gross": 2}], "sum": 3}}
    assert Reading(event, mapping).row[[AMOUNT, ORDER]].tolist() == [200, 0]
    assert Reading({**event, "payload": {"sums": [], "sum": 3}}, mapping).row[AMOUNT] == 300


def test_a_rule_without_a_name_matches_by_its_conditions() -> None:
    """The first rule in the file wins, named or not; `true` is not 1."""
    mapping = Mapping.parse("""
        rules:
          - {match: {properties.test: true}, kind: other, activity: false}
          - {match: {event: Order Completed}, kind: order}
          - {match: {type: [page, screen], properties.is_search: 1}, kind: search}
    """)
    assert Reading(track("Order Completed", {"test": True}), mapping).kind == "other"
    assert Reading(track("Order Completed", {"test": 1}), mapping).kind == "order"
    page = {**track("", {"is_search": 1}), "type": "page"}
    assert Reading(page, mapping).kind == "search"


@pytest.mark.parametrize(
    "text", ["", "[]", "- {match: {event: x}, kind: view}", "match: {event: x}\nkind: view", "a: b"]
)
def test_rules_that_stand_alone_belong_under_rules(text: str) -> None:
    """One sentence, whatever is there instead."""
    with pytest.raises(MappingError, match=r"^line 1, column 1: put the rules under `rules:`[^\n]*$"):
        Mapping.parse(text)


@pytest.mark.parametrize(
    ("text", "place", "message", "near"),
    [
        ("rules: [", "line 1, column 9", "correct the YAML here", None),
        ("ruls: []", "line 1, column 1, ruls", "use a known key instead of `ruls`", "rules"),
        ("rules: {}", "line 1, column 1, rules", "write a list here", None),
        ("rules: []\nrules: []", "line 2, column 1", "write `rules` once", None),
        ("rules: [{match: {event: x}, kind: veiw}]", "line 1, column 35, rules[0]", "write 'view', 'search'", "view"),
        ("rules: [{match: {}, kind: view}]", "line 1, column 10, rules[0]", "name at least one path here", None),
        ("rules: [{match: {event: }, kind: view}]", "line 1, column 18, rules[0]", "give this key a value", None),
        ("rules: [{match: {event: {}}, kind: view}]", "line 1, column 18, rules[0]", "write text, a number", None),
        ("rules: [{match: {a: [{}]}, kind: view}]", "line 1, column 22, rules[0]", "write text, a number", None),
        ("rules: [{kind: view}]", "line 1, column 9, rules[0]", "add `match`", None),
        ("rules: [{match: {a: 1}, knd: view}]", "line 1, column 25, rules[0]", "use a known key instead", "kind"),
        ("rules: [{match: {a: 1}, kind: view, felds: {}}]", "line 1, column 37, rules[0]", "use a known key", "fields"),
        ("rules: [{match: {a: 1}, kind: order, fields: {totl: c}}]", "line 1, column 47, rules[0]",
         "use a known name instead of `totl`: 'product_id', ", "total"),
        ("rules: [{match: {a: 1}, kind: order, fields: {total: 5}}]", "line 1, column 54, rules[0]",
         "write text here", None),
        ("rules: [{match: {a: 1}, kind: order, product: {price: [a, 5]}}]", "line 1, column 59, rules[0]",
         "write text here", None),
        ("rules: [{match: {a: 1}, kind: order, revokes_consent: true}]", "line 1, column 55, rules[0]",
         "write `kind: other`", None),
        ("rules: []\nenvelopes: [{name: n, detct: [a], fields: {}}]", "line 2, column 23, n",
         "use a known key instead of `detct`", "detect"),
        ("rules: []\nenvelopes: [{name: n, detect: [a], fields: {usrId: a}}]", "line 2, column 45, n",
         "use a known name instead of `usrId`", "userId"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_at_its_spot(text: str, place: str, message: str, near: str | None) -> None:
    """One mistake is one sentence: line, column, the rule, what to do, and the nearest valid name if there is one."""
    with pytest.raises(MappingError) as told:
        Mapping.parse(text)
    (mistake,) = told.value.mistakes
    assert str(mistake).startswith(f"{place}: {message}")
    assert mistake.nearest == near
    assert "\n" not in str(told.value)


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    """A rule each."""
    with pytest.raises(MappingError) as told:
        Mapping.parse("rules:\n- {match: {a: 1}, kind: a}\n- {match: {}, kind: view}\n- {kind: order}\n")
    assert [(mistake.line, mistake.definition) for mistake in told.value.mistakes] == [
        (2, "rules[0]"), (3, "rules[1]"), (4, "rules[2]"),
    ]  # fmt: skip


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message has the path."""
    with pytest.raises(MappingError, match=r"no-such\.yaml"):
        Mapping.load(tmp_path / "no-such.yaml")


def test_the_hash_covers_the_meaning_only() -> None:
    """Comments, order of members and one value for a list of one change nothing; a kind or the order of rules does."""
    text = "rules: [{match: {event: a}, kind: view}, {match: {event: b}, kind: order}]"
    same = "rules: # a, b\n- {kind: view, match: {event: [a]}, fields: {}}\n- {kind: order, match: {event: b}}"
    turned = "rules: [{match: {event: b}, kind: order}, {match: {event: a}, kind: view}]"
    assert Mapping.parse(text).hash == Mapping.parse(same).hash
    assert len({Mapping.parse(each).hash for each in (text, turned, text.replace("view", "search"))}) == 3
