"""The points of a partition as a file: what, besides records, took effect before which record.

JSON lines, as `shoal points` prints them: the partition's place first, then its points in order. A replay with them
takes every version, pause and tick where the worker took it, and so writes what the worker wrote.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import msgspec

from worker.core.changelog import Point, StateRecordError
from worker.core.engine import Engine
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError
from worker.core.records import Effects
from worker.core.restoring import VersionInForce, take_effect, versions_of
from worker.errors import WrongUsage
from worker.files.columns import Columns
from worker.files.configuration import Configuration, text_of

__all__ = ["Action", "Place", "Points", "as_lines"]

Action = Callable[[Engine, int], Effects]


class Place(msgspec.Struct, frozen=True):
    """The partition that points are of."""

    topic: str
    partition: int
    partitions: int
    grace_ms: int
    clock: str


def as_lines(place: Place, points: Sequence[Point]) -> Iterator[str]:
    """Yield the lines of a file."""
    for record in (place, *points):
        yield msgspec.json.encode(record).decode()


@dataclass(frozen=True)
class Points:
    """The points of a partition, with the engine that they begin."""

    place: Place
    points: list[Point]
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)

    @classmethod
    def load(cls, path: Path, keys: Mapping[int, bytes] | None = None) -> "Points":
        """Read a file; erased users are found by their pseudonyms, under keys by their versions.

        Raises WrongUsage if it isn't one of points, of a partition on the wall's clock, or if a pseudonym's key isn't
        there.
        """
        first, *rest = text_of(path).splitlines() or [""]
        try:
            place = msgspec.json.decode(first, type=Place)
            points = [msgspec.json.decode(line, type=Point) for line in rest]
        except msgspec.MsgspecError as error:
            raise WrongUsage(f"{path} holds no points ({error}): make it with shoal points.") from None
        if not points or points[0].kind != "version":
            raise WrongUsage(f"{path} does not begin with a version of the definitions: make it with shoal points.")
        if place.clock != "event":
            raise WrongUsage(
                f"{path} is of a worker on the {place.clock} clock, whose arrivals no file has: only --clock event can "
                "be replayed."
            )
        pseudonyms = Pseudonyms(keys)
        try:
            for point in points:
                pseudonyms.require(point.key_version)
        except UnknownKeyError as error:
            raise WrongUsage(f"{path} can't be replayed: {error}.") from None
        return cls(place, points, pseudonyms)

    def engine(self) -> Engine:
        """Return the engine before its first record, under the first version. Raises WrongUsage."""
        version, place = self.versions[0], self.place
        return Engine(
            version.checked, version.mapping, topic=place.topic, partition=place.partition,
            partitions=place.partitions, grace_ms=place.grace_ms, clock="event", model=version.model,
            pseudonyms=self.pseudonyms,
        )  # fmt: skip

    def configuration(self, columns: Columns | None) -> Configuration:
        """Return what is in force at the end: what the state is read again with."""
        last = [point for point in self.points if point.definitions is not None][-1]
        version = self.versions[-1]
        return Configuration(last.definitions or "", last.mapping or "", version.checked, version.mapping, columns)

    @cached_property
    def versions(self) -> list[VersionInForce]:
        """What was in force after each point of a version. Raises WrongUsage."""
        try:
            return list(versions_of(self.points))
        except StateRecordError as error:
            raise WrongUsage(f"The points can't be used: {error}.") from error

    def later(self) -> Iterator[tuple[int, Action]]:
        """Yield, for each point after the first version, its offset and what to do then with (engine, wall in ms)."""
        versions = iter(self.versions[1:])
        for point in self.points[1:]:
            yield point.offset, partial(_apply, point, next(versions) if point.kind == "version" else None)


def _apply(point: Point, version: VersionInForce | None, engine: Engine, wall_ms: int) -> Effects:
    return take_effect(engine, point, version, wall_ms)
