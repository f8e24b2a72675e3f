"""The trainer at work between a restore and the first doubt, turn by turn: read, learn, ask for a model, commit.

The rule: what was learnt, how far was read and the model that came of it are one transaction; if it fails all of it is
thrown away and read back. A model is asked for when something was learnt since or a day of event time has passed, not
too often, and the learning says whether there is news; while models are frozen it isn't asked, and learns on.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka import OffsetAndMetadata

from schemas.control import ModelsCommand
from schemas.models import SNAPSHOT_BYTES_MAX
from worker.agents.forgetting import Forgetting
from worker.agents.lessons import READINGS, Breaking, lesson
from worker.kafka import steps
from worker.kafka.committing import commit
from worker.kafka.context import Context
from worker.kafka.control import Issued, Published
from worker.kafka.kept_state import changes
from worker.kafka.learner_state import REPORT, Progress
from worker.kafka.merged_input import MergedInput
from worker.kafka.merging import Arrived
from worker.kafka.outbox import Outbox
from worker.kafka.steps import Step
from worker.kafka.transaction import Transactions
from worker.language.wanted import wanted
from worker.learning.inputs import Sample
from worker.learning.learning import Learning
from worker.learning.settings import DAY_MS
from worker.observe.learning import LearnerMetrics
from worker.observe.logs import log

__all__ = ["Training", "taught"]

PARTITION = 0
RECORDS_MAX = 500  # at once: about a second of the slowest learners, in which the event loop turns
SHOW_SECONDS = 0.5
MODELS_KEPT = 20  # to go back to; what is in force is part of the workers' state besides


def taught(published: Published, parts: Mapping[str, bytes]) -> Learning:
    """Return the learning under published definitions, going on from what is known."""
    return Learning(wanted(published.checked), parts=parts or None)


class Training:
    """What a trainer knows, and how it comes to know more."""

    def __init__(
        self, context: Context, metrics: LearnerMetrics, transactions: Transactions, learning: Learning,
        published: Published, progress: Progress, models: list[bytes], breaking: Breaking, forgetting: Forgetting,
    ) -> None:  # fmt: skip
        self.context, self.metrics, self._transactions = context, metrics, transactions
        self.settings = context.settings
        self.committed_at = time.monotonic()
        self._learning, self._published = learning, published
        self.progress = progress
        self._models = models  # keys, the newest last
        self._breaking, self._forgetting = breaking, forgetting
        self._input = MergedInput(self.settings, READINGS)
        self._taken: Counter[tuple[str, str]] = Counter()
        self._unsaved = False
        self._asked_at = -float("inf")
        self._shown_at = 0.0

    @property
    def lag_records(self) -> int:
        """How many records are yet to be learnt from, as of a moment ago."""
        return self._input.lag_records

    async def turn(self) -> None:
        """Do what there is to do: once."""
        await self._input.begin(self.progress.offsets)
        await self._take_definitions()
        self.obey(self.context.control.since(self.progress.commands_offset))
        if self._forgetting.is_asked:
            await asyncio.to_thread(self._forgetting.carry_out, self._learning, self.context.wall.now_ms())
        arrived = await self._input.read(RECORDS_MAX)
        steps.reached(Step.READ, PARTITION)
        if arrived:
            await asyncio.to_thread(self._learn, arrived)
            steps.reached(Step.STEPPED, PARTITION)
        model = await asyncio.to_thread(self._ask) if self._wants_model else None
        if model is not None or self._forgetting.receipts or (self._unsaved and self._saved_long_ago):
            await self._commit(model)
        if time.monotonic() - self._shown_at >= SHOW_SECONDS:
            self._shown_at = time.monotonic()
            self.metrics.learns(self.lag_records, frozen=self.progress.frozen)

    async def end(self) -> None:
        """Save what was learnt since the last commit."""
        if self._unsaved and PARTITION in self.context.membership.owned:
            await self._commit(None)

    def known(self) -> dict[str, Any]:
        """What it knows of itself, for `shoal status`."""
        progress = self.progress
        return {"samples": progress.samples, "version": progress.version, "frozen": progress.frozen}

    async def close(self) -> None:
        """Put the input away."""
        await self._input.close()

    # What it is told.

    async def _take_definitions(self) -> None:
        """Learn on under definitions that were published meanwhile, with the targets that stayed."""
        published = self.context.control.definitions
        if published is None or published.identity == self._published.identity:
            return
        parts = await asyncio.to_thread(self._learning.parts)
        self._learning = await asyncio.to_thread(taught, published, parts)
        self._published, self._unsaved = published, True
        version, named = published.identity
        log("trainer").info("Definitions take effect.", version=version, hash=named)

    def obey(self, commands: Iterable[Issued]) -> None:
        """Take commands, in order: those about models are the trainer's, and erasures everybody's."""
        for issued in commands:
            self.progress.commands_offset = issued.offset + 1
            self._forgetting.note(issued, self.context.wall.now_ms(), done=False)
            if isinstance(issued.command, ModelsCommand):
                self.progress.frozen = issued.command.command == "freeze"
                self.progress.asked_ms = None  # released, it is asked at once
                self._unsaved = True
                log("trainer").info("Models are frozen." if self.progress.frozen else "Models are released.")

    # Learning, in a thread of its own.

    def _learn(self, arrived: list[Arrived]) -> None:
        self._unsaved = True
        for record in arrived:
            became = "broken" if self._breaking.leaves_out(record) else self._lesson(record)
            self._taken[record.topic, became] += 1
            if became == "learnt":
                self._note(record)

    def _lesson(self, record: Arrived) -> str:
        if self._forgetting.is_past(record.content):
            return "refused"
        try:
            return lesson(self._learning, record.content)
        except Exception as error:
            raise self._breaking.blame(record, error) from error

    def _note(self, record: Arrived) -> None:
        progress = self.progress
        progress.clock_ms = max(record.at_ms, progress.clock_ms or record.at_ms)
        if isinstance(record.content, Sample):
            progress.samples += 1
        else:
            progress.observations += 1

    @property
    def _wants_model(self) -> bool:
        progress, now = self.progress, time.monotonic()
        if progress.frozen or progress.clock_ms is None:
            return False
        if now - self._asked_at < self.settings.trainer_publish_interval_ms / 1000:
            return False
        new_day = progress.asked_ms is None or progress.clock_ms // DAY_MS > progress.asked_ms // DAY_MS
        return new_day or progress.samples > progress.asked_at

    def _ask(self) -> dict[str, Any] | None:
        """Ask for a model; one that no topic would take isn't published."""
        progress, self._asked_at, self._unsaved = self.progress, time.monotonic(), True
        assert progress.clock_ms is not None, "asked when it has learnt"
        progress.asked_ms, progress.asked_at = progress.clock_ms, progress.samples
        snapshot = self._learning.snapshot(progress.version + 1)
        if snapshot is None:
            return None
        model: dict[str, Any] = snapshot.model_dump(mode="json")
        size_bytes = len(msgspec.json.encode(model))
        if size_bytes > SNAPSHOT_BYTES_MAX:
            log("trainer").error("A model is too large to be published.", size_bytes=size_bytes, max=SNAPSHOT_BYTES_MAX)
            return None
        return model

    # Commit.

    @property
    def _saved_long_ago(self) -> bool:
        return time.monotonic() - self.committed_at >= self.settings.trainer_commit_interval_ms / 1000

    async def _commit(self, model: dict[str, Any] | None) -> None:
        offsets = await self._input.offsets()
        self.progress.offsets = self._input.by_topic(offsets)
        decisions = self._learning.decisions()  # before they are part of what is kept, to be told again
        parts, report = await asyncio.to_thread(self._known)
        outbox = self._outbox(model, parts)
        copies = {place: OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
        await commit(self.context, self._transactions, outbox, copies)
        self.committed_at, self._unsaved = time.monotonic(), False
        self._breaking.passed()
        self._forgetting.receipts.clear()
        self._tell(model, decisions, report)
        self._transactions.assert_no_doubt()

    def _known(self) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
        """Return everything that is known as parts, the report for people among them, and that report."""
        report = self._learning.report()
        return self._learning.parts() | {REPORT: msgspec.json.encode(report)}, report

    def _outbox(self, model: dict[str, Any] | None, parts: Mapping[str, bytes]) -> Outbox:
        outbox = Outbox(self.settings.topic_prefix)
        if model is not None:
            self.progress.version = model["version"]
            self._models.append(str(model["version"]).encode())
            outbox.take_model(model)
            outbox.take_tombstones("models", self._models[:-MODELS_KEPT])
            self._models = self._models[-MODELS_KEPT:]
        for receipt in self._forgetting.receipts:
            outbox.take_receipt(receipt.model_dump())
        outbox.take_learnt(changes(self.progress, parts))
        return outbox

    def _tell(
        self, model: dict[str, Any] | None, decisions: list[dict[str, Any]], report: list[dict[str, Any]]
    ) -> None:
        """Count and log what is true now."""
        published = None if model is None else (model["version"], model["hash"])
        self.metrics.learnt(self._taken, published, self._learning.figures(report), decisions)
        self._taken = Counter()
        for decision in decisions:
            told = {f"decision_{name}": value for name, value in decision.items()}
            log("trainer").info("The learning has decided.", **told)
        if model is not None:
            log("trainer").info("A model is published.", version=model["version"], hash=model["hash"])
