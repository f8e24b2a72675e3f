"""Shoppers who react to triggers, with an effect that is known.

A trigger is answered by a message event that carries its decision id and, with the campaign's probability, by one
order more within the time set. What a shopper would have done anyway isn't touched: the stream with reactions is the
stream without them plus these events. So the right answer to "how many orders more per fired trigger" is the effect
itself, and to "how many more shoppers who order" the effect times the share of those who wouldn't have anyway.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from worker.core.timestamps import instant_ms
from worker.simulate.draws import Integers, Unsigned
from worker.simulate.incidents import Incidents
from worker.simulate.records import CHANNEL_ACTS, Act, Records, empty, records
from worker.simulate.shop import MINUTE_MS, Reaction
from worker.simulate.shoppers import Population

__all__ = ["Note", "Reactions"]

SEND_MS_MIN, SEND_MS_MAX = 1_000, 20_000
LEAD_MS = 4 * MINUTE_MS
"""From the click to the order."""
CART_LINES_MAX = 10
BEFORE_ORDER_MS = {Act.VIEW: 180_000, Act.ADD: 120_000, Act.CHECKOUT: 45_000, Act.ORDER: 0}


@dataclass
class Note:
    """What a message or order tells of the trigger behind it: two JSON strings, and the cart's known products."""

    campaign: str
    decision_id: str
    lines: tuple[tuple[int, bool, int], ...]
    until_ms: int = 0


def effect_of(reaction: Reaction, campaign: str, variant: str | None) -> float:
    """The probability of one order more after a trigger of this campaign and variant."""
    by_campaign = reaction.effects.get(campaign, reaction.effect)
    return reaction.effects.get(f"{campaign}:{variant}", by_campaign)


class Reactions:
    """Turns triggers into records, and counts what it did by campaign and variant."""

    def __init__(self, reaction: Reaction, people: Population, products: int, incidents: Incidents) -> None:
        self._reaction = reaction
        self._people = people
        self._products = products
        self._incidents = incidents
        self._next_number = 0
        self.notes: dict[int, Note] = {}
        self.triggers: Counter[str] = Counter()
        self.orders: Counter[str] = Counter()

    def react(self, triggers: Iterable[dict[str, Any]], now_ms: int, end_ms: int) -> Records:
        """The records that answer these `campaign-triggers`, none before `now_ms`, those from `end_ms` on left out.

        Triggers to users this shop doesn't have are passed over. Raises KeyError or ValueError for what is no trigger.
        """
        made = [self._answer(trigger, now_ms, end_ms) for trigger in triggers]
        return np.concatenate(made) if made else empty()

    def delivered(self, events: Records) -> None:
        """Takes note of how long each note is needed: until the last record that bears it has arrived."""
        for number, arrival in zip(events["note"].tolist(), events["arrival"].tolist(), strict=True):
            self.notes[number].until_ms = max(self.notes[number].until_ms, arrival)

    def forget(self, now_ms: int) -> None:
        """Drops the notes of records that have all been written."""
        for number in [number for number, note in self.notes.items() if note.until_ms < now_ms]:
            del self.notes[number]

    def truth(self) -> dict[str, Any]:
        """Settings and counts, by `campaign` or `campaign:variant`."""
        groups: dict[str, dict[str, float]] = defaultdict(dict)
        for name in sorted(self.triggers):
            campaign, _, variant = name.partition(":")
            effect = effect_of(self._reaction, campaign, variant or None)
            groups[name] = {"effect": effect, "triggers": self.triggers[name], "orders": self.orders[name]}
        return {
            "default_effect": self._reaction.effect,
            "effects": self._reaction.effects,
            "within_minutes": self._reaction.within_minutes,
            "campaigns": dict(groups),
        }

    def _answer(self, trigger: dict[str, Any], now_ms: int, end_ms: int) -> Records:
        user = self._people.number(trigger["user_id"])
        if user is None:
            return empty()
        campaign, variant = trigger["campaign"], trigger.get("variant")
        due_ms = instant_ms(trigger["due_at"])
        key = self._key(user, campaign, due_ms)
        sent_ms = max(due_ms, now_ms) + SEND_MS_MIN + self._below(SEND_MS_MAX - SEND_MS_MIN, "sending", key)
        buys = self._uniform("reaction", key) < effect_of(self._reaction, campaign, variant)
        plan = self._message(trigger.get("channel"), sent_ms, buys, key)
        number = self._note(trigger)
        plan += self._purchase(sent_ms, key, bool(self.notes[number].lines)) if buys else []
        events = np.concatenate(
            [
                empty(),
                *(records(1, act, time=time_ms, key=key, user=user, note=number, basket=1) for act, time_ms in plan),
            ]
        )
        events = events[(events["time"] < end_ms) & self._incidents.possible(events["time"])]
        name = campaign if variant is None else f"{campaign}:{variant}"
        self.triggers[name] += 1
        self.orders[name] += int((events["act"] == Act.ORDER).sum())
        return events

    def _message(self, channel: str | None, sent_ms: int, buys: bool, key: Unsigned) -> list[tuple[Act, int]]:
        sent, clicked = CHANNEL_ACTS.get(channel or "", (None, None))
        clicks = clicked is not None and (buys or self._uniform("reaction click", key) < self._reaction.clicks)
        click_ms = self._order_ms(sent_ms, key) - LEAD_MS + 1
        steps = [(sent, sent_ms), (clicked if clicks else None, click_ms)]
        return [(act, time_ms) for act, time_ms in steps if act is not None]

    def _purchase(self, sent_ms: int, key: Unsigned, has_cart: bool) -> list[tuple[Act, int]]:
        order_ms = self._order_ms(sent_ms, key)
        acts = (Act.CHECKOUT, Act.ORDER) if has_cart else tuple(BEFORE_ORDER_MS)
        return [(act, order_ms - BEFORE_ORDER_MS[act]) for act in acts]

    def _order_ms(self, sent_ms: int, key: Unsigned) -> int:
        # At the earliest when there was time to read and click, at the latest when the time set is over.
        latest_ms = self._reaction.within_minutes * MINUTE_MS
        return sent_ms + LEAD_MS + self._below(latest_ms - LEAD_MS, "reaction time", key)

    def _note(self, trigger: dict[str, Any]) -> int:
        cart = (trigger.get("cart") or {}).get("products") or []
        known = ((str(line["product_id"]), line.get("quantity", 1)) for line in cart[:CART_LINES_MAX])
        lines = tuple(
            (int(product[2:]), False, min(99, max(1, round(quantity))))
            for product, quantity in known
            if product[:2] == "p-" and product[2:].isdecimal() and int(product[2:]) < self._products
        )
        number = self._next_number
        self._next_number += 1
        self.notes[number] = Note(json.dumps(trigger["campaign"]), json.dumps(trigger["decision_id"]), lines)
        return number

    def _key(self, user: int, campaign: str, due_ms: int) -> Unsigned:
        campaign_number = int.from_bytes(blake2b(campaign.encode(), digest_size=7).digest(), "big")
        columns: list[Integers] = [np.array([number]) for number in (user, campaign_number, due_ms)]
        return self._people.dice.bits("trigger", *columns)

    def _uniform(self, purpose: str, key: Unsigned) -> float:
        return float(self._people.dice.uniform(purpose, key)[0])

    def _below(self, limit: int, purpose: str, key: Unsigned) -> int:
        return int(self._people.dice.below(limit, purpose, key)[0])
