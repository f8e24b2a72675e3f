"""Records to Segment-spec JSON lines, one per record and in its order.

The lines are formatted from columns, act by act: each act has a template for its `properties`, and all share the
envelope of user, message id, timestamp and zone. Text that recurs (products, clock times, zones) is rendered once.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import numpy as np

from worker.simulate.catalog import CATEGORIES, Catalog, Lines, amount_text
from worker.simulate.draws import Integers
from worker.simulate.faults import FIRST_DEFECT, break_line
from worker.simulate.reactions import Note
from worker.simulate.records import CHANNEL_ACTS, EVENT_NAMES, Act, Records
from worker.simulate.shop import DAY_MS, MINUTE_MS
from worker.simulate.shoppers import ANONYMOUS, PLACES, TYPES, Population
from worker.simulate.traits import identify_traits

__all__ = ["Writer"]

ORDERS = (Act.CHECKOUT, Act.ORDER, Act.REFUND, Act.CANCEL)
TOPICS = ("delivery", "damaged", "wrong size", "invoice")
PAGES = ("Home", "New arrivals", "Sale", "Account")
CHANNEL_OF = {act: channel for channel, acts in CHANNEL_ACTS.items() for act in acts if act is not None}
ON_SALE = np.array([kind.on_sale for kind in TYPES])
SLOTS = np.arange(32, dtype=np.uint32)


class Writer:
    """Writes the lines of one shop. `notes` are the triggers reacted to, by number (`reactions.py`)."""

    def __init__(self, people: Population, catalog: Catalog, currency: str, notes: dict[int, Note]) -> None:
        self._people = people
        self._catalog = catalog
        self._currency = currency
        self._notes = notes
        self._categories = list(CATEGORIES)
        self._days: dict[int, str] = {}
        self._minutes = [f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60)]
        self._seconds = [f"{ms // 1000:02d}.{ms % 1000:03d}Z" for ms in range(MINUTE_MS)]

    def lines(self, events: Records) -> list[bytes]:
        """The JSON text of every record, without line ends."""
        written: list[str] = [""] * len(events)
        for act in np.unique(events["act"]).tolist():
            rows = np.flatnonzero(events["act"] == act)
            for row, line in zip(rows.tolist(), self._of_one_act(Act(act), events[rows]), strict=True):
                written[row] = line
        for row in np.flatnonzero(events["fault"] >= FIRST_DEFECT).tolist():
            written[row] = break_line(written[row], int(events["fault"][row]))
        return [line.encode() for line in written]

    def _of_one_act(self, act: Act, events: Records) -> Iterable[str]:
        if act is Act.IDENTIFY:
            return self._envelopes('"type":"identify"', '"traits":', events, self._traits(events))
        if act is Act.PAGE:
            names = (f'{{"name":"{PAGES[key % len(PAGES)]}"}}' for key in events["key"].tolist())
            return self._envelopes('"type":"page"', '"properties":', events, names)
        beginning = f'"type":"track","event":"{EVENT_NAMES[act]}"'
        return self._envelopes(beginning, '"properties":', events, self._properties(act, events))

    def _properties(self, act: Act, events: Records) -> Iterator[str]:
        templates: dict[Act, Callable[[Records], Iterator[str]]] = {
            Act.SEARCH: self._searches,
            Act.REVIEW: self._reviews,
            Act.COMPLAINT: self._complaints,
            Act.TICKET: self._complaints,
            Act.VIEW: self._products,
            Act.WISHLIST: self._products,
            Act.ADD: self._cart_lines,
            Act.REMOVE: self._cart_lines,
        }
        if act in ORDERS:
            return self._orders(act, events)
        if act in CHANNEL_OF or act in (Act.EMAIL_OPENED, Act.UNSUBSCRIBED):
            return self._messages(CHANNEL_OF.get(act, "email"), events)
        return templates[act](events)

    def _envelopes(self, beginning: str, body: str, events: Records, bodies: Iterable[str]) -> Iterator[str]:
        anonymous = (self._people.flags[events["user"]] & ANONYMOUS != 0).tolist()
        places = self._people.places(events["user"]).tolist()
        contexts = [f'","context":{{"timezone":"{place.zone}"}},{body}' for place in PLACES]
        messages, users, stamps = events["message"].tolist(), events["user"].tolist(), self._stamps(events["time"])
        columns = zip(messages, users, anonymous, stamps, places, bodies, strict=True)
        for message, user, is_anonymous, stamp, place, text in columns:
            who = f'"userId":null,"anonymousId":"a-{user}"' if is_anonymous else f'"userId":"u-{user}"'
            yield f'{{{beginning},"messageId":"m-{message:016x}",{who},"timestamp":"{stamp}{contexts[place]}{text}}}'

    def _stamps(self, times: Integers) -> list[str]:
        days, in_day = np.divmod(times, DAY_MS)
        minutes, in_minute = np.divmod(in_day, MINUTE_MS)
        for day in np.unique(days).tolist():
            if day not in self._days:
                self._days[day] = datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
        columns = zip(days.tolist(), minutes.tolist(), in_minute.tolist(), strict=True)
        return [self._days[day] + self._minutes[minute] + self._seconds[ms] for day, minute, ms in columns]

    def _chosen(self, events: Records, slots: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Lines:
        sale_share = ON_SALE[self._people.types(events["user"])]
        return self._catalog.choose(events["key"], slots, events["user"], events["scene"], sale_share)

    def _traits(self, events: Records) -> list[str]:
        return identify_traits(events["user"], events["slot"] != 0, self._people)

    def _products(self, events: Records) -> Iterator[str]:
        chosen = self._chosen(events, events["slot"])
        for product, on_sale in zip(chosen.product.tolist(), chosen.on_sale.tolist(), strict=True):
            yield f"{{{self._catalog.fragment(product, on_sale)}}}"

    def _cart_lines(self, events: Records) -> Iterator[str]:
        chosen = self._chosen(events, events["slot"])
        for product, on_sale, quantity in zip(
            chosen.product.tolist(), chosen.on_sale.tolist(), chosen.quantity.tolist(), strict=True
        ):
            yield f'{{{self._catalog.fragment(product, on_sale)},"quantity":{quantity}}}'

    def _searches(self, events: Records) -> Iterator[str]:
        for category in self._catalog.favourites(events["user"]).tolist():
            yield f'{{"query":"{self._categories[category]}"}}'

    def _reviews(self, events: Records) -> Iterator[str]:
        rows, slots = _lowest_slots(events)
        chosen = self._chosen(events[rows], slots)
        for product, rating in zip(chosen.product.tolist(), events["slot"].tolist(), strict=True):
            yield f'{{"product_id":"p-{product}","rating":{rating}}}'

    def _complaints(self, events: Records) -> Iterator[str]:
        for key in events["key"].tolist():
            yield f'{{"order_id":"o-{key:016x}","subject":"{TOPICS[key % len(TOPICS)]}"}}'

    def _messages(self, channel: str, events: Records) -> Iterator[str]:
        for number in events["note"].tolist():
            if number < 0:
                yield f'{{"channel":"{channel}","campaign":"newsletter"}}'
            else:
                note = self._notes[number]
                yield f'{{"channel":"{channel}","campaign":{note.campaign},"decision_id":{note.decision_id}}}'

    def _orders(self, act: Act, events: Records) -> Iterator[str]:
        order_lines = self._basket_lines(events)
        currency = self._currency
        for key, note, own_lines in zip(events["key"].tolist(), events["note"].tolist(), order_lines, strict=True):
            lines = (self._notes[note].lines if note >= 0 else ()) or own_lines
            total = amount_text(sum(quantity * self._price(product, on_sale) for product, on_sale, quantity in lines))
            products = ",".join(
                f'{{{self._catalog.fragment(product, on_sale)},"quantity":{quantity}}}'
                for product, on_sale, quantity in lines
            )
            order_id = "" if act is Act.CHECKOUT else f'"order_id":"o-{key:016x}",'
            yield f'{{{order_id}"total":{total},"currency":"{currency}","products":[{products}]}}'

    def _price(self, product: int, on_sale: bool) -> int:
        return int((self._catalog.sale_price if on_sale else self._catalog.price)[product])

    def _basket_lines(self, events: Records) -> list[list[tuple[int, bool, int]]]:
        """Product, whether on sale, and quantity of every slot in every basket."""
        rows, slots = np.nonzero(events["basket"][:, None] >> SLOTS & np.uint32(1))
        chosen = self._chosen(events[rows], slots.astype(np.uint8))
        lines: list[list[tuple[int, bool, int]]] = [[] for _ in range(len(events))]
        columns = (rows, chosen.product, chosen.on_sale, chosen.quantity)
        for row, product, on_sale, quantity in zip(*(column.tolist() for column in columns), strict=True):
            lines[row].append((product, on_sale, quantity))
        return lines


def _lowest_slots(events: Records) -> tuple[Integers, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """The row and the first slot of every basket."""
    slots = np.argmax(events["basket"][:, None] >> SLOTS & np.uint32(1), axis=1)
    return np.arange(len(events)), slots.astype(np.uint8)
