"""What takes effect between two records of a partition: versions, pauses, ticks, erasures; and questions, with answers.

The rule: a version, a pause, a tick and an erasure are applied only when nothing is left over from the one before (no
user whom the last version has yet to judge, nobody overdue), so that a replay, which never leaves anything over, does
the same; and every point goes into the changelog in the transaction in which it takes effect. But who pauses a campaign
can't wait for a storm: after two seconds it is paused all the same, and the point follows when the storm is over.
"""

from dataclasses import dataclass, field
from typing import Any

from schemas.access import Role
from schemas.control import (
    Answer,
    CampaignCommand,
    EraseCommand,
    ExplainCommand,
    ExportCommand,
    ModelsCommand,
    RedeliverCommand,
    StatusCommand,
    TickCommand,
)
from schemas.models import Snapshot
from worker.core.changelog import Changelog, Point
from worker.core.effects import iso, short_hash
from worker.core.engine import Engine
from worker.core.records import Effects
from worker.core.timestamps import instant_ms
from worker.kafka import privacy
from worker.kafka.control import COMMANDS, Control, Issued, Published
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["Points", "Turn", "answer", "is_waited_for", "version_point"]

QUESTION_SECONDS_MAX = 60
BRAKE_WAIT_MS = 2_000


@dataclass
class Turn:
    """What one turn of the task has come to so far."""

    effects: Effects
    answers: list[dict[str, Any]]
    receipts: list[dict[str, Any]] = field(default_factory=list)
    changed: bool = False  # something has to be stored even if there are no effects

    @property
    def has_news(self) -> bool:
        """Whether there is anything to commit, besides an offset."""
        effects = self.effects
        made = effects.transitions or effects.decisions or effects.conversions or effects.messages
        return bool(
            self.changed or self.answers or made or effects.samples or effects.observations or effects.forgotten
        )


def answer(command_id: str, partition: int, partitions: int, body: dict[str, Any] | None, wall_ms: int,
           role: Role = "worker") -> Answer:  # fmt: skip
    """Return a partition's answer to a question; without a body it knows nothing of what was asked for."""
    return Answer.model_validate({
        "id": short_hash(command_id, role, partition), "command_id": command_id, "role": role, "partition": partition,
        "partitions": partitions, "answered_at": iso(wall_ms), "found": body is not None, "body": body or {},
    })  # fmt: skip


def is_waited_for(question: ExplainCommand | ExportCommand | StatusCommand, wall_ms: int) -> bool:
    """Whether somebody may still wait for the answer."""
    return wall_ms - instant_ms(question.requested_at) <= 1000 * QUESTION_SECONDS_MAX


def version_point(published: Published | None, model: Snapshot | None, offset: int, clock_ms: int | None) -> Point:
    """Return the point of a version; what is None stays as it was."""
    snapshot = model.model_dump_json() if model else None
    if published is None:
        return Point("version", offset, clock_ms, model=snapshot)
    return Point(
        "version", offset, clock_ms, definitions=published.text, mapping=published.mapping_text,
        hash=published.checked.hash, model=snapshot,
    )  # fmt: skip


class Points:
    """Brings a partition's engine up to what the control topics say."""

    def __init__(self, settings: Settings, control: Control, engine: Engine, changelog: Changelog,
                 commands_offset: int | None) -> None:  # fmt: skip
        self.settings = settings
        self.control = control
        self.engine = engine
        self.changelog = changelog
        self.commands_offset = commands_offset or 0
        # A partition that begins now (None) was not there when older ticks let time pass.
        self.ticks_from = control.next_offset[COMMANDS] if commands_offset is None else commands_offset

    def apply(self, turn: Turn, next_offset: int, slice_users: int, *, wall_ms: int,
              read_up_to_ms: int | None) -> None:  # fmt: skip
        """Apply what is new; up to `read_up_to_ms` of the wall everything that was written has been read."""
        for issued in self.control.since(self.commands_offset):
            if not self._apply(turn, issued, next_offset, slice_users, wall_ms, read_up_to_ms):
                self._brake_early(wall_ms)
                return
            self.commands_offset = issued.offset + 1
            turn.changed = True
        if self._clean:
            self._take_version(turn, next_offset, wall_ms)

    def _brake_early(self, wall_ms: int) -> None:
        """Let pauses and resumptions that have waited long take effect before it is their turn."""
        for issued in self.control.since(self.commands_offset):
            command = issued.command
            if isinstance(command, CampaignCommand) and wall_ms - instant_ms(command.requested_at) > BRAKE_WAIT_MS:
                self.engine.brake(command.campaign, paused=command.command == "pause")

    @property
    def _clean(self) -> bool:
        return not self.engine.backlog and not self.engine.overdue

    def _take_version(self, turn: Turn, next_offset: int, wall_ms: int) -> None:
        published, model = self.control.definitions, self.control.model
        version = self.engine.version
        if published and published.identity == (version.checked.definitions.version, version.checked.hash):
            published = None
        if model and version.model and model.hash == version.model.hash:
            model = None
        if published is None and model is None:
            return
        clock_ms = self.engine.clock_ms
        checked, mapping = (published.checked, published.mapping) if published else (None, None)
        turn.effects.add(self.engine.publish(checked, model, wall_ms=wall_ms, at_once=False, mapping=mapping))
        self.changelog.point(version_point(published, model, next_offset, clock_ms))
        turn.changed = True
        log("points").info(
            "A version takes effect.", partition=self.engine.partition, offset=next_offset,
            definitions=self.engine.version.definition, model=model.label if model else None,
        )  # fmt: skip

    def _apply(self, turn: Turn, issued: Issued, next_offset: int, slice_users: int, wall_ms: int,
               read_up_to_ms: int | None) -> bool:  # fmt: skip
        """Apply a command; return False to have it wait."""
        command, engine = issued.command, self.engine
        match command:
            case CampaignCommand():
                if not self._clean:
                    return False
                engine.brake(command.campaign, paused=command.command == "pause")
                self.changelog.point(Point(command.command, next_offset, engine.clock_ms, campaign=command.campaign))
            case TickCommand():
                if issued.offset < self.ticks_from:
                    return True
                if not self._clean or (read_up_to_ms or 0) < instant_ms(command.requested_at):
                    return False  # what was written before the tick comes before it
                until_ms = instant_ms(command.until)
                self.changelog.point(Point("tick", next_offset, engine.clock_ms, until_ms=until_ms))
                turn.effects.add(engine.tick(until_ms, wall_ms=wall_ms, due_rows_max=slice_users))
            case EraseCommand():
                if not self._clean:
                    return False
                self._erase(turn, command, next_offset, wall_ms)
            case ExportCommand():
                self._export(turn, command, wall_ms)
            case ModelsCommand() | StatusCommand() | RedeliverCommand():
                pass  # the trainer's; the process's; the sinks'
            case ExplainCommand():
                self._explain(turn, command, wall_ms)
        return True

    def _erase(self, turn: Turn, command: EraseCommand, next_offset: int, wall_ms: int) -> None:
        engine = self.engine
        erased = privacy.erased_by(command, engine.erasures.pseudonyms, wall_ms)
        self.changelog.point(privacy.erase_point(erased, next_offset, engine.clock_ms))
        effects, receipt = privacy.erase(engine, command, erased, self.settings, wall_ms)
        turn.effects.add(effects)
        turn.receipts.append(receipt.model_dump())

    def _export(self, turn: Turn, command: ExportCommand, wall_ms: int) -> None:
        if not is_waited_for(command, wall_ms):
            return
        engine = self.engine
        found = engine.export(command.user_id)
        turn.answers.append(answer(command.id, engine.partition, engine.partitions, found, wall_ms).model_dump())
        receipt = privacy.export_receipt(engine, command, self.settings, wall_ms, found=found is not None)
        turn.receipts.append(receipt.model_dump())

    def _explain(self, turn: Turn, command: ExplainCommand, wall_ms: int) -> None:
        if not is_waited_for(command, wall_ms):
            return
        engine = self.engine
        found = engine.explain(command.user_id)
        turn.answers.append(answer(command.id, engine.partition, engine.partitions, found, wall_ms).model_dump())
