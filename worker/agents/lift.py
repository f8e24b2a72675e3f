"""`shoal lift`: the process that measures what campaigns bring, and publishes their results.

It is built as the trainer is: a group shares out `lift-state`, whose one partition belongs to one process at a time
(others wait); the owner fences, reads back what was counted, and goes on. The rule: after fencing nothing can be
published by anybody else, so what is read then is all there is.
"""

import asyncio
import time

from worker.agents.measuring import Measuring
from worker.agents.process import Process
from worker.core.pseudonyms import Pseudonyms, UnknownKeyError
from worker.kafka import steps, topics
from worker.kafka.beginning import PartitionStopped
from worker.kafka.context import Context
from worker.kafka.kept_state import DamagedError, KeptState
from worker.kafka.lift_state import LiftProgress
from worker.kafka.partition import PartitionTask, Turns
from worker.kafka.steps import Step
from worker.lift.ledger import Ledger
from worker.observe.lift import LiftMetrics
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["run"]


class LiftTask(PartitionTask):
    """Owns what is counted."""

    def __init__(self, context: Context, partition: int, metrics: LiftMetrics) -> None:
        super().__init__(context, partition, context.settings.lift)
        self._metrics = metrics

    async def _restored(self) -> Turns:
        """Read everything back, after fencing, and go on from there."""
        started, state = time.monotonic(), KeptState(LiftProgress)
        await self._read_back("lift-state", state)
        decisions = {"input_topic": self.context.settings.topic("campaign-decisions")}  # as many as the input has
        partitions = await topics.input_partitions(self.context.settings.model_copy(update=decisions))
        pseudonyms = Pseudonyms(self.context.settings.pseudonym_keys)
        progress, ledger, useless = await asyncio.to_thread(_counted, state, partitions, pseudonyms)
        _require_keys(progress, pseudonyms)
        measuring = Measuring(self.context, self._metrics, self._transactions, ledger, progress, useless)
        await measuring.know_versions()
        steps.reached(Step.RESTORED, self.partition)
        seconds = time.monotonic() - started
        self._metrics.restored(seconds)
        log("lift").info("Lift is measured.", users=len(ledger.people), campaigns=len(ledger.campaigns()),
                         seconds=round(seconds, 3))  # fmt: skip
        return measuring


def _counted(
    state: KeptState[LiftProgress], partitions: int, pseudonyms: Pseudonyms
) -> tuple[LiftProgress, Ledger, list[bytes]]:
    """Return what was counted, and the keys of what is of no use.

    If it is damaged that is all there is, and what the topics still hold is counted again.
    """
    try:
        progress = state.progress() or LiftProgress()
        entries = state.entries(progress.entries)
        return progress, Ledger(partitions, entries, progress.clocks, pseudonyms=pseudonyms), []
    except (DamagedError, ValueError) as error:
        log("lift").error("What was counted can't be used: what the topics still hold is counted anew.", error=error)
        return LiftProgress(), Ledger(partitions, pseudonyms=pseudonyms), state.keys()


def _require_keys(progress: LiftProgress, pseudonyms: Pseudonyms) -> None:
    """Raise PartitionStopped if an erasure is under a key that isn't there: she would be counted again unnoticed."""
    try:
        for version, mark in progress.key_marks.items():
            pseudonyms.require(version, mark)
    except UnknownKeyError as error:
        raise PartitionStopped(f"What lift has counted can't be used, {error}, and start it again.") from error


async def run(settings: Settings) -> None:
    """Measure until SIGTERM or SIGINT. Raises WrongUsage for topics that are wrong, JobFailed if it breaks."""
    metrics = LiftMetrics()

    def task(context: Context, partition: int) -> LiftTask:
        return LiftTask(context, partition, metrics)

    await Process("lift", settings.of_lift(), metrics, task).run()
