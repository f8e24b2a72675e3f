"""The twin reads by a mapping as the engine does: of four vendors, and of one's own."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import random_definitions
from tests.support.pair import Pair
from tests.support.streams import Record
from worker.language.mapping import SHIPPED

OWN = """
envelopes:
  - name: ours
    detect: [head.was, head.wann]
    constants: {type: track}
    fields:
      event: head.was
      userId: [wer.kunde, wer.konto]
      anonymousId: wer.gast
      messageId: head.nummer
      timestamp: head.wann
      timezone: head.zone
      properties: inhalt
rules:
  - match: {event: gesehen}
    kind: view
    fields: &waren {products: inhalt.waren}
    product: &ware {product_id: nr, category: [gruppe.0, art], price: preis}
  - {match: {event: korb, inhalt.tun: [rein, 1, true]}, kind: cart_add, fields: *waren, product: *ware}
  - {match: {event: korb, inhalt.tun: raus}, kind: cart_remove, fields: *waren, product: *ware}
  - match: {event: [gekauft, bezahlt]}
    kind: order
    fields:
      products: inhalt.waren
      total: [inhalt.summe, inhalt.betrag]
      order_id: inhalt.auftrag
      currency: inhalt.geld
    product: *ware
  - {match: {event: Product Reviewed}, kind: review, fields: {rating: properties.stars}}
  - match: {event: abbestellt}
    kind: other
    activity: false
    revokes_consent: true
    fields: {channel: inhalt.kanal}
  - {match: {event: still}, kind: wishlist, activity: false}
  - {match: {type: screen, properties.laden: true}, kind: checkout}
"""
WORDS = ("gesehen", "korb", "gekauft", "bezahlt", "abbestellt", "still", "nichts", "Order Completed")
VENDORS = ("view_item", "add_to_cart", "remove_from_cart", "purchase", "refund", "begin_checkout", "search",
           "ecommerce.cart_updated", "ecommerce.order_placed", "ecommerce.order_refunded")  # fmt: skip


def some(rng: random.Random, *values: Any) -> Any:
    """One of the values, or now and then something of a wrong type, or nothing."""
    return rng.choice([*values, *values, *values, *values, None, "", 7, True, [], {"a": 1}])


def ware(rng: random.Random, number: str, group: str, price: str) -> Any:
    """A product in somebody's words."""
    return some(rng, {number: some(rng, "p-1", "p-2"), group: some(rng, "shoes", ["hats"]), price: some(rng, 5, 9.99),
                      "quantity": some(rng, 1, 2)})  # fmt: skip


def own_words(rng: random.Random, at_ms: int) -> dict[str, Any]:
    """An event in words of one's own: in the envelope, or of Segment's form with other names."""
    products = [ware(rng, "nr", rng.choice(["gruppe", "art"]), "preis") for _ in range(rng.randrange(3))]
    inhalt = {
        "tun": some(rng, "rein", "raus", 1), "waren": some(rng, products), "summe": some(rng, 10, 20.5), "betrag": 3,
        "auftrag": some(rng, "o-1", "o-2"), "geld": some(rng, "EUR"), "kanal": some(rng, "push"),
    }  # fmt: skip
    user = f"u-{rng.randrange(6)}"
    if rng.random() < 0.25:
        properties = {"stars": some(rng, 4), "laden": some(rng, True)}
        return {"type": rng.choice(["track", "screen", "page"]), "event": rng.choice([*WORDS, "Product Reviewed"]),
                "userId": user, "timestamp": at_ms, "inhalt": inhalt, "properties": properties}  # fmt: skip
    head = {"was": some(rng, *WORDS), "wann": at_ms, "nummer": f"m-{rng.randrange(400)}",
            "zone": some(rng, "Asia/Tokyo")}  # fmt: skip
    wer = {rng.choice(["kunde", "konto", "gast", "kunde"]): user}
    return {"head": head, "wer": wer, "inhalt": some(rng, inhalt)}


def vendors_words(rng: random.Random, at_ms: int) -> dict[str, Any]:
    """An event as one of the vendors that the shipped mapping knows has it, more or less."""
    user, name, chance = f"u-{rng.randrange(6)}", rng.choice(VENDORS), rng.random()
    if chance < 0.3:
        return snowplow(rng, user, at_ms)
    properties = {
        "items": some(rng, [ware(rng, "item_id", "item_category", "price")]), "transaction_id": some(rng, "o-1"),
        "products": some(rng, [ware(rng, "product_id", "category", "price")]), "value": some(rng, 12),
        "action": some(rng, "add", "remove", "replace"), "total_value": some(rng, 30),
    }  # fmt: skip
    if chance < 0.6:
        return {"external_id": user, "name": name, "time": at_ms, "properties": some(rng, properties)}
    return {"type": "track", "event": name, "userId": user, "timestamp": at_ms, "properties": some(rng, properties)}


def snowplow(rng: random.Random, user: str, at_ms: int) -> dict[str, Any]:
    """An enriched event of Snowplow's."""
    entity = "com_snowplowanalytics_snowplow_ecommerce"
    action = {"type": some(rng, "product_view", "add_to_cart", "transaction", "refund", "checkout_step")}
    bought = {"transaction_id": "o-1", "revenue": some(rng, 40), "currency": "EUR"}
    return {
        "event_id": f"e-{rng.randrange(300)}", "event_name": "snowplow_ecommerce_action", "user_id": user,
        "collector_tstamp": at_ms, f"unstruct_event_{entity}_snowplow_ecommerce_action_1": action,
        f"contexts_{entity}_product_1": [ware(rng, "id", "category", "price")],
        f"contexts_{entity}_checkout_step_1": [{"step": some(rng, 1, 2)}],
        f"contexts_{entity}_transaction_1": [bought],
    }  # fmt: skip


def stream(rng: random.Random, words: Any, count: int) -> Iterator[Record]:
    """A log in somebody's words."""
    at_ms = 1_767_225_600_000
    for _ in range(count):
        at_ms += rng.choice([0, 1, 900, 60_000, 1_800_000])
        yield Record(json.dumps(words(rng, at_ms)).encode(), None, at_ms)


@pytest.mark.parametrize(("words", "mapping"), [(own_words, OWN), (vendors_words, SHIPPED.read_text("utf-8"))])
@pytest.mark.parametrize("seed", range(4))
def test_engine_and_twin_read_the_same(seed: int, words: Any, mapping: str) -> None:
    """Kinds, fields, repairs, dead letters with their reasons: all that follows from them is the same."""
    rng = random.Random(seed)
    pair = Pair(random_definitions.definitions(rng, model=False), mapping=mapping)
    records = list(stream(rng, words, 400))
    for begin in range(0, len(records), 97):
        pair.step(records[begin : begin + 97])
    pair.assert_equal()
    assert pair.twin.applied > 150
    assert pair.twin.dead_letters
