"""Privacy requests in one partition: what is done, and the receipt or the answer that says so.

The rule: a request comes to every partition, since nobody recomputes whose partition a key is in; each carries it out
at a point of its log, in one transaction with its receipt. No log and no receipt has a user's id.
"""

from typing import Literal

from schemas.control import EraseCommand, ExportCommand, Kept, Receipt, Removed
from schemas.topics import FOREVER_MS, TOPICS
from worker.core.changelog import Point
from worker.core.effects import iso, short_hash
from worker.core.engine import Engine
from worker.core.erasures import Erased
from worker.core.pseudonyms import Pseudonyms
from worker.core.records import Effects
from worker.core.timestamps import instant_ms
from worker.settings import Settings

__all__ = ["erase", "erase_point", "erased_by", "export_receipt", "role_receipt"]

Request = EraseCommand | ExportCommand


def erased_by(command: EraseCommand, pseudonyms: Pseudonyms, wall_ms: int) -> Erased:
    """Return what is remembered of an erasure: no instant is later than now, whatever the operator's clock says."""
    until_ms = min(instant_ms(command.requested_at), wall_ms)
    return Erased(pseudonyms.of(command.user_id), pseudonyms.version, until_ms, command.suppress)


def erase_point(erased: Erased, offset: int, clock_ms: int | None) -> Point:
    """Return the point of an erasure."""
    return Point(
        "erase", offset, clock_ms, until_ms=erased.until_ms, subject=erased.subject, key_version=erased.key_version,
        suppress=erased.suppress,
    )  # fmt: skip


def erase(engine: Engine, command: EraseCommand, erased: Erased, settings: Settings,
          wall_ms: int) -> tuple[Effects, Receipt]:  # fmt: skip
    """Erase a user; return what followed from it, and the receipt."""
    effects = engine.erase(erased, command.user_id, wall_ms=wall_ms)
    exits = [transition for transition in effects.transitions if transition.cause == "erasure"]
    removed = Removed(
        segments=len(exits),
        triggers=sum(decision.outcome == "cancelled" and not decision.blocked_by for decision in effects.decisions),
        samples=effects.samples_dropped,
        texts=effects.texts_dropped,
        state_bytes=len(effects.forgotten) * engine.rows.layout.words * 8,
    )
    found = bool(effects.forgotten)
    return effects, _receipt(engine, command, erased, settings, wall_ms, found=found, removed=removed)


def export_receipt(engine: Engine, command: ExportCommand, settings: Settings, wall_ms: int, *, found: bool) -> Receipt:
    """Return the receipt of an export."""
    pseudonyms = engine.erasures.pseudonyms
    subject = Erased(pseudonyms.of(command.user_id), pseudonyms.version, wall_ms)
    return _receipt(engine, command, subject, settings, wall_ms, found=found, removed=None)


def role_receipt(role: Literal["trainer", "lift"], command: EraseCommand, pseudonyms: Pseudonyms, wall_ms: int, *,
                 found: bool, samples: int, not_unlearned: list[str]) -> Receipt:  # fmt: skip
    """Return the receipt of a role that works alone, which dropped so many samples of a user's."""
    return Receipt(
        id=short_hash(command.id, role), command_id=command.id, command=command.command,
        subject=pseudonyms.of(command.user_id), key_version=pseudonyms.version, suppress=command.suppress,
        role=role, partition=0, partitions=1, requested_at=command.requested_at, requested_by=command.requested_by,
        completed_at=iso(wall_ms), found=found,
        removed=Removed(segments=0, triggers=0, samples=samples, texts=0, state_bytes=0), kept=[],
        not_unlearned=not_unlearned,
    )  # fmt: skip


def _receipt(engine: Engine, command: Request, subject: Erased, settings: Settings, wall_ms: int, *, found: bool,
             removed: Removed | None) -> Receipt:  # fmt: skip
    return Receipt(
        id=short_hash(command.id, engine.partition), command_id=command.id, command=command.command,
        subject=subject.subject, key_version=subject.key_version, suppress=getattr(command, "suppress", False),
        role="worker", partition=engine.partition, partitions=engine.partitions, requested_at=command.requested_at,
        requested_by=command.requested_by, completed_at=iso(wall_ms), found=found, removed=removed,
        kept=[] if removed is None else _kept_until(settings, wall_ms), not_unlearned=[],
    )  # fmt: skip


def _kept_until(settings: Settings, wall_ms: int) -> list[Kept]:
    """Return the topics in which something of a user may still be, and until when by the table of topics."""
    return [
        Kept(topic=settings.events_topic if topic.name == "events" else settings.topic(topic.name),
             until=iso(wall_ms + topic.retention_ms))
        for topic in TOPICS
        if topic.personal and topic.cleanup == "delete" and topic.retention_ms != FOREVER_MS
    ]  # fmt: skip
