"""What a definitions file says about itself: names are declared, conditions parse, no `member` goes in a circle.

It reads the plain data, not the models, so that these mistakes come out together with those of shape. The rule: data
of any shape is walked without failing; what isn't of the expected shape is a mistake found elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from worker.language.clauses import Condition
from worker.language.document import Document, Path
from worker.language.rules import ConditionError, parse
from worker.language.shape import Complaint
from worker.language.tokens import memberships
from worker.language.vocabulary import Vocabulary, nearest

__all__ = ["References"]

CIRCLES_MAX: Final = 16  # named at once; overlapping circles can be very many


class References:
    """Everything in a document that names something else; `complaints` is what is wrong.

    Only without complaints is the rest right: `enter` and `exit` hold the conditions by segment id or `group:tier`,
    `order` the segments' places in order of evaluation.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._segments = list(_parts(document.data, "segments"))
        self.complaints: list[Complaint] = []
        self.enter: dict[str, Condition] = {}
        self.exit: dict[str, Condition] = {}
        self.order: tuple[int, ...] = ()
        self._vocabulary = self._declared()
        self._check_conditions()
        self._check_order()
        self._check_campaigns()
        self._check_tests()

    def _declared(self) -> Vocabulary:
        data = self._document.data
        segments = [name for _, segment in self._segments for name in _names(segment)]
        clusters = [str(segment.get("id")) for _, segment in self._segments if segment.get("clusters") is True]
        traits = [name for _, name in _texts(data, "traits")]
        targets = [str(target.get("id")) for _, target in _parts(data, "targets")]
        return Vocabulary(traits, targets, tuple(dict.fromkeys(segments)), clusters)

    # Conditions

    def _check_conditions(self) -> None:
        for name, key, place, text in self._conditions():
            try:
                (self.enter if key == "enter" else self.exit)[name] = parse(text, self._vocabulary)
            except ConditionError as error:
                for mistake in error.mistakes:
                    spot = self._document.character_spot(place, mistake.offset)
                    self.complaints.append((place, spot, mistake.message, mistake.nearest))

    def _conditions(self) -> Iterator[tuple[str, str, Path, str]]:
        """Yield (segment or `group:tier`, `enter` or `exit`, place, text) for every condition."""
        for index, segment in self._segments:
            group = str(segment.get("id"))
            owners: list[tuple[str, Path, dict[str, Any]]] = [(group, ("segments", index), segment)]
            owners += [
                (f"{group}:{tier.get('id')}", ("segments", index, "tiers", place), tier)
                for place, tier in _parts(segment, "tiers")
            ]
            for name, path, part in owners:
                for key in ("enter", "exit"):
                    if isinstance(text := part.get(key), str):
                        yield name, key, (*path, key), text

    # Order of evaluation

    def _check_order(self) -> None:
        """Set `order`: repeatedly the first segment whose reads are done; without one, name a circle and cut it."""
        ids = [str(segment.get("id")) for _, segment in self._segments]
        reads = self._reads()
        done: dict[str, int] = {}
        waiting = list(dict.fromkeys(ids))
        circles = 0
        while waiting and circles < CIRCLES_MAX:
            ready = next((name for name in waiting if reads[name].keys() <= done.keys()), None)
            if ready is not None:
                done[ready] = ids.index(ready)
                waiting.remove(ready)
                continue
            circle = _circle(waiting, reads)
            circles += 1
            place, offset = reads[circle[0]].pop(circle[1])
            message = f"break this circle of `member`: {' -> '.join(circle)}"
            self.complaints.append((place, self._document.character_spot(place, offset), message, None))
        self.order = tuple(done.values())

    def _reads(self) -> dict[str, dict[str, tuple[Path, int]]]:
        """Return for each segment the segments its conditions read, and where first: (place, offset in the text)."""
        ids = {str(segment.get("id")) for _, segment in self._segments}
        reads: dict[str, dict[str, tuple[Path, int]]] = {name: {} for name in ids}
        for name, _, place, text in self._conditions():
            for member, offset in memberships(text):
                group = member.partition(":")[0]
                if group in ids:
                    reads[name.partition(":")[0]].setdefault(group, (place, offset))
        return reads

    # Campaigns, caps and tests

    def _check_campaigns(self) -> None:
        data = self._document.data
        for index, campaign in _parts(data, "campaigns"):
            place = ("campaigns", index)
            trigger = campaign.get("trigger")
            for key, name in trigger.items() if isinstance(trigger, dict) else ():
                if key in ("entered", "exited") and isinstance(name, str):
                    self._check_segment((*place, "trigger", key), name)
            for at, trait in _texts(campaign, "include_traits"):
                where = (*place, "include_traits", at)
                self._check(where, trait, self._vocabulary.traits, "declare `{}` under `traits`, or name one that is")

    def _check_tests(self) -> None:
        campaigns = [str(campaign.get("id")) for _, campaign in _parts(self._document.data, "campaigns")]
        for index, test in _parts(self._document.data, "tests"):
            expect = test.get("expect")
            for key in ("in", "not_in", "triggers", "not_triggers"):
                for at, name in _texts(expect, key):
                    place = ("tests", index, "expect", key, at)
                    if key in ("in", "not_in"):
                        self._check_segment(place, name)
                    else:
                        self._check(place, name, campaigns, "name a campaign of this file: there is no `{}`")

    def _check_segment(self, place: Path, name: str) -> None:
        message = "name a segment of this file: there is no `{}`"
        self._check(place, name, self._vocabulary.segments, message, self._vocabulary.has_segment)

    def _check(
        self, place: Path, name: str, names: Collection[str], message: str, knows: Callable[[str], bool] | None = None
    ) -> None:
        """Complain about `name` unless it is among `names`, or `knows` of it."""
        if not (knows(name) if knows is not None else name in names):
            spot = self._document.value_spot(place)
            self.complaints.append((place, spot, message.format(name), nearest(name, names)))


def _parts(data: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (index, mapping) for the mappings in the list under `key`, if that is what there is."""
    yield from ((index, item) for index, item in _items(data, key) if isinstance(item, dict))


def _texts(data: Any, key: str) -> Iterator[tuple[int, str]]:
    """Yield (index, text) for the texts in the list under `key`, if that is what there is."""
    yield from ((index, item) for index, item in _items(data, key) if isinstance(item, str))


def _items(data: Any, key: str) -> Iterator[tuple[int, Any]]:
    items = data.get(key) if isinstance(data, dict) else None
    yield from enumerate(items if isinstance(items, list) else ())


def _names(segment: dict[str, Any]) -> Iterator[str]:
    """Yield the names a segment goes by: its id, and `group:tier` for its tiers."""
    if isinstance(segment.get("id"), str):
        yield segment["id"]
        yield from (f"{segment['id']}:{tier['id']}" for _, tier in _parts(segment, "tiers") if "id" in tier)


def _circle(waiting: list[str], reads: dict[str, dict[str, tuple[Path, int]]]) -> list[str]:
    """Return a circle among `waiting`, each of which reads one of them: names, the first again at the end."""
    path = [waiting[0]]
    while True:
        following = next(name for name in waiting if name in reads[path[-1]])
        if following in path:
            circle = path[path.index(following) :]
            first = circle.index(min(circle, key=waiting.index))
            return [*circle[first:], *circle[:first], circle[first]]
        path.append(following)
