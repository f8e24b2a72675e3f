"""Engines for the tests of the core: told by hand (`Story`), or driven over a random log (`Scenario`).

A scenario is a function of its seed alone, so a failure names all that is needed to see it again. Times in stories are
offsets in ms from Monday 2026-03-02T00:00Z, where all hops begin but those of weeks and months.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.models import Snapshot
from tests.support import random_definitions, streams
from tests.support.pair import BY_USER, MAPPING, WALL_MS, Pair, checked_of, cuts, on_the_wire
from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms
from worker.core.records import Effects

__all__ = [
    "ALL", "CART", "DAY", "HOUR", "KEYED", "MINUTE", "SECOND", "START_MS", "TICKS_MS", "WALL_MS", "Log", "Scenario",
    "Story", "at", "by_user", "holds", "message", "reminder", "tidied", "told_at_once",
]  # fmt: skip

START_MS = 1_772_409_600_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ALL = 1_000_000
TICKS_MS = (-500, 0, 1, 1_500, MINUTE, HOUR, 3 * DAY)  # from the partition clock on; the grace is two seconds
KEYED = Pseudonyms({1: b"a secret"})
CART = {"id": "cart", "enter": "cart_items > 0 and time_since_cart_add >= 30m"}


def at(text: str) -> int:
    """The offset of a time in an output."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) - START_MS


def reminder(**options: Any) -> dict[str, Any]:
    """A campaign on entering the cart segment of these tests."""
    return {"id": "reminder", "trigger": {"entered": "cart"}, **options}


def message(moment: int, name: str, user: str = "u", **properties: Any) -> bytes:
    """A record's payload; `messageId` and `zone` go where they belong, `identify` takes traits."""
    record: dict[str, Any] = {"type": "track", "userId": user, "timestamp": START_MS + moment}
    record["messageId"] = properties.pop("messageId", None)
    record["context"] = {"timezone": properties.pop("zone", None)}
    record |= (
        {"type": "identify", "traits": properties} if name == "identify" else {"event": name, "properties": properties}
    )
    return json.dumps(record).encode()


class Story:
    """An engine told record by record; everything it gives is gathered, and conserved."""

    def __init__(self, *segments: dict[str, Any], model: dict[str, Any] | None = None, **rest: Any) -> None:
        options = {key: rest.pop(key) for key in ("clock", "grace_ms", "partition", "partitions") if key in rest}
        self.definitions = {"version": 7, "segments": list(segments), **rest}
        self.model = Snapshot.model_validate(model) if model else None
        self.engine = Engine(checked_of(self.definitions), MAPPING, model=self.model, **options)
        self.transitions: list[dict[str, Any]] = []
        self.decisions: list[dict[str, Any]] = []
        self.triggers: list[dict[str, Any]] = []
        self.conversions: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.observations: list[dict[str, Any]] = []
        self.dead: list[str] = []
        self.read = self.applied = self.duplicates = 0

    def take(self, effects: Effects) -> None:
        """Gather what a step gave."""
        for topic in BY_USER:
            getattr(self, topic).extend(on_the_wire(getattr(effects, topic)))
        self.dead += [letter.reason for letter in effects.dead_letters]
        self.read, self.applied = self.read + effects.read, self.applied + effects.applied
        self.duplicates += effects.duplicates
        assert self.read == self.applied + self.duplicates + len(self.dead)

    def tell(self, moment: int, name: str, user: str = "u", **properties: Any) -> None:
        """The next record of a file: `Product Added`, or `identify` with traits."""
        self.take(self.engine.step([message(moment, name, user, **properties)], self.read, wall_ms=WALL_MS))

    def arrive(self, moment: int, name: str, arrival: int, wall: int | None = None, **properties: Any) -> None:
        """The next record of a topic, with its arrival, while the wall shows `wall`."""
        wall_ms = START_MS + (arrival if wall is None else wall)
        payload = message(moment, name, **properties)
        self.take(self.engine.step([payload], self.read, [b"u"], [START_MS + arrival], wall_ms=wall_ms))

    def until(self, moment: int) -> None:
        """Time passes for everyone."""
        self.take(self.engine.tick(START_MS + moment, wall_ms=WALL_MS))

    def publish(self, *segments: dict[str, Any], **rest: Any) -> None:
        """The next version of the definitions takes effect; what isn't given is gone."""
        self.definitions = {"version": self.definitions["version"] + 1, "segments": list(segments), **rest}
        self.take(self.engine.publish(checked_of(self.definitions), wall_ms=WALL_MS))

    def restart(self) -> None:
        """Save the engine, and go on with one made from the bytes."""
        self.engine = Engine.from_bytes(self.engine.to_bytes(), checked_of(self.definitions), MAPPING, self.model)

    @property
    def changes(self) -> list[tuple[str, int]]:
        """`+segment` or `-segment`, and when."""
        sign = {"entered": "+", "exited": "-"}
        return [(sign[t["direction"]] + t["segment"], at(t["occurred_at"])) for t in self.transitions]

    @property
    def outcomes(self) -> list[tuple[str, str | None, int]]:
        """Outcome, what refused, and when."""
        return [(d["outcome"], d["blocked_by"], at(d["decided_at"])) for d in self.decisions]


def told_at_once(story: Story, *payloads: bytes) -> None:
    """Records in one batch."""
    story.take(story.engine.step(payloads, story.read, wall_ms=WALL_MS))


def holds(condition: str, *events: tuple[int, str, dict[str, Any]], **rest: Any) -> bool:
    """Whether a condition let the user in, at any of these events."""
    story = Story({"id": "s", "enter": condition, "exit": "views_total < 0"}, **rest)
    for moment, name, properties in events:
        story.tell(moment, name, **properties)
    return story.changes != []


class Log(streams.Stream):
    """A random log; an order that came without properties is repeated whole, for want of an order id."""

    def again(self) -> tuple[dict[str, Any], str]:
        """An earlier event, whole, or only one of its ids on a new event."""
        try:
            return super().again()
        except KeyError:
            return self.made[-1]


def tidied(definitions: dict[str, Any]) -> dict[str, Any]:
    """Definitions without a campaign that ends before it starts, which the generator may make."""
    copy: dict[str, Any] = json.loads(json.dumps(definitions))
    for campaign in copy["campaigns"]:
        if "starts" in campaign:
            campaign.pop("ends", None)
    return copy


@dataclass
class Scenario:
    """A random log under random definitions, with versions, ticks and erasures at places in it; all of it from `seed`.

    Some of those who are erased are there, some were, and some never; some are suppressed. All versions have
    `retention`, if it is given.
    """

    seed: int
    clock: str = "event"
    events: int = 300
    versions: int = 0
    new_reads: bool = False
    settings: streams.Settings = field(default_factory=streams.Settings)
    ticks: int = 3
    erasures: int = 0
    retention: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        count, campaigns = rng.randint(2, 9), rng.randint(1, 5)
        definitions = random_definitions.definitions(rng, segments=count, campaigns=campaigns)
        self.definitions = tidied(definitions)
        self.model = random_definitions.snapshot(rng) if rng.random() < 0.7 else None
        self.records = Log(rng, self.settings).make(self.events)
        self.published: dict[int, tuple[dict[str, Any] | None, dict[str, Any] | None]] = {}
        for number, place in enumerate(sorted(rng.sample(range(1, self.events), self.versions))):
            if rng.random() < 0.3:
                self.published[place] = (None, random_definitions.snapshot(rng, number + 2))
                continue
            definitions = random_definitions.changed(rng, definitions, new_reads=self.new_reads)
            self.published[place] = (tidied(definitions), None)
        rng = random.Random(f"ticks of {self.seed}")
        places = rng.sample(range(1, self.events), min(self.ticks, self.events - 1))
        self.ticked = {place: rng.choice(TICKS_MS) for place in places}
        self.erased = sorted(rng.sample(range(1, self.events), self.erasures))
        for each in [self.definitions, *(definitions for definitions, _ in self.published.values() if definitions)]:
            each.update({"retention": self.retention} if self.retention else {})

    def pair(self) -> Pair:
        """An engine and a twin at the beginning."""
        return Pair(self.definitions, self.model, clock=self.clock, pseudonyms=KEYED)

    def ends(self, size: int) -> list[int]:
        """Where batches end: every `size` records (0: anywhere), and before every version, tick and erasure."""
        found = set(cuts(random.Random(self.seed), self.events, size)) | {*self.published, *self.ticked, *self.erased}
        return sorted(min(place, self.events) for place in found)

    def drive(self, pair: Pair, size: int, restarts: float = 0.0) -> Pair:
        """Give the pair the whole log in batches, restarting the engine between them with that probability."""
        rng, place = random.Random(self.seed), 0
        for end in self.ends(size):
            if place in self.published:
                pair.publish(*self.published[place])
            if place in self.ticked:
                pair.tick((pair.twin.clock or 0) + self.ticked[place])
            if place in self.erased:
                self._erase(pair, random.Random(place))
            if rng.random() < restarts:
                pair.restart()
            pair.step(self.records[place:end])
            place = end
        pair.tick(max(pair.twin.clock or 0, 0) + 40 * DAY)
        return pair

    @staticmethod
    def _erase(pair: Pair, rng: random.Random) -> None:
        """Erase somebody, as of now or as of a while ago."""
        until = (pair.twin.clock or START_MS) - rng.choice((0, 0, HOUR, 20 * DAY))
        pair.erase(rng.choice([*pair.twin.users, "u-3", "nobody"]), until, suppress=rng.random() < 0.25)


def by_user(records: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
    """Records in their order, user by user, without the one field that is the wall clock's."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in on_the_wire(records):
        told = {key: value for key, value in record.items() if key != "emitted_at"}
        found.setdefault(record["user_id"], []).append(told)
    return found
