"""What the low-rate topics say, as far as it has been read: the newest definitions and model, and the commands.

The rule: the newest version is the last record of its topic, and one that this release can't use is told of and passed
over: the last good one stays. Commands keep their offsets, so that each partition takes every one once, in order.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from schemas.control import AnyCommand, Command, PublishedDefinitions
from schemas.models import Refusal, RefusedSnapshot, Snapshot
from worker.core.snapshots import usable_snapshot
from worker.language import definitions
from worker.language.definitions import Checked, DefinitionsError
from worker.language.mapping import SHIPPED, Mapping
from worker.observe.logs import log

__all__ = ["COMMANDS", "FOLLOWED", "Control", "Issued", "Published", "versions_in"]

COMMANDS = "commands"
FOLLOWED = ("definitions", "models", COMMANDS)


@dataclass(frozen=True)
class Published:
    """Definitions as they were published, checked, with their texts."""

    checked: Checked
    mapping: Mapping
    text: str
    mapping_text: str

    @property
    def identity(self) -> tuple[int, str]:
        """Tells versions apart."""
        return self.checked.definitions.version, self.checked.hash


class Issued(NamedTuple):
    """A command and its offset."""

    offset: int
    command: AnyCommand


class Control:
    """Fed record by record, by whoever follows the topics; read by the partitions' tasks."""

    def __init__(self, refused: Callable[[Refusal], None] = lambda _: None) -> None:
        """Begin with nothing read; `refused` is told why, whenever a model is."""
        self.refused = refused
        self.definitions: Published | None = None
        self.model: Snapshot | None = None
        self._model_version: int | None = None  # its versions begin anew with the topic
        self.commands: list[Issued] = []
        self.next_offset = dict.fromkeys(FOLLOWED, 0)
        self.caught_up = asyncio.Event()

    def take(self, topic: str, offset: int, value: bytes | None) -> None:
        """Take the record at an offset of one of the topics (named without its prefix), unless it was taken before.

        Whoever follows the topics anew begins at the beginning, and no older version may come back meanwhile.
        """
        if offset < self.next_offset[topic]:
            return
        try:
            if value is not None:
                self._take(topic, offset, value)
        except (ValidationError, DefinitionsError, ValueError) as error:
            log("control").error(
                "A record of a control topic can't be used and is passed over: publish it again.",
                topic=topic, offset=offset, error=str(error),
            )  # fmt: skip
        self.next_offset[topic] = offset + 1

    def _take(self, topic: str, offset: int, value: bytes) -> None:
        match topic:
            case "definitions":
                self.definitions = _published(PublishedDefinitions.model_validate_json(value))
                version, named = self.definitions.identity
                log("control").info("Definitions are published.", version=version, hash=named)
            case "models":
                self._take_model(offset, value)
            case "commands":
                self.commands.append(Issued(offset, Command.model_validate_json(value).root))

    def _take_model(self, offset: int, value: bytes) -> None:
        try:
            self.model = usable_snapshot(value, self._model_version)
        except RefusedSnapshot as refusal:
            self.refused(refusal.reason)
            log("control").error(
                "A model is refused; the last good one stays.",
                topic="models", offset=offset, reason=refusal.reason, error=str(refusal),
            )  # fmt: skip
            return
        self._model_version = self.model.version
        log("control").info("A model is published.", version=self.model.version, hash=self.model.hash)

    def passed(self, topic: str, offset: int) -> None:
        """Expect nothing before an offset any more: no record is there."""
        self.next_offset[topic] = max(offset, self.next_offset[topic])

    def made_anew(self, topic: str) -> None:
        """Take records from the first offset on: somebody has deleted the topic and made another."""
        self.next_offset[topic] = 0
        if topic == "models":
            self._model_version = None

    def since(self, offset: int) -> list[Issued]:
        """Return the commands from an offset on."""
        place = len(self.commands)
        while place and self.commands[place - 1].offset >= offset:
            place -= 1
        return self.commands[place:]


def versions_in(records: Iterable[ConsumerRecord]) -> Iterator[Published]:
    """Yield what records of `definitions` publish, in order; one that this release can't use is passed over."""
    for record in records:
        try:
            yield _published(PublishedDefinitions.model_validate_json(record.value))
        except (ValidationError, DefinitionsError, ValueError) as error:
            log("control").warning("A version is of no use to this release.", offset=record.offset, error=error)


def _published(record: PublishedDefinitions) -> Published:
    mapping_text = record.mapping if record.mapping is not None else SHIPPED.read_text(encoding="utf-8")
    mapping = Mapping.parse(mapping_text)
    checked = definitions.load(record.text, mapping)
    if checked.hash != record.hash:
        raise ValueError(f"it was published as {record.hash}, and means {checked.hash} to this release")
    return Published(checked, mapping, record.text, mapping_text)
