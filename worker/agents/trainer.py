"""`shoal trainer`: the process that learns from samples and observations, and publishes models.

It is built as a worker is: a group shares out `learner-state`, whose one partition belongs to one trainer at a time
(others wait); the owner fences, reads back what was learnt, and goes on. The rule: after fencing nothing can be
published by anybody else, so what is read then (state, commands, models) is all there is.
"""

import asyncio
import time

import msgspec

from worker.agents.forgetting import Forgetting
from worker.agents.lessons import Breaking
from worker.agents.process import Process
from worker.agents.training import Training, taught
from worker.core.pseudonyms import Pseudonyms
from worker.core.snapshots import version_of
from worker.kafka import steps
from worker.kafka.context import Context
from worker.kafka.control import COMMANDS, Control
from worker.kafka.following import everything, latest
from worker.kafka.kept_state import DamagedError, KeptState
from worker.kafka.learner_state import Progress
from worker.kafka.partition import PartitionTask, Turns
from worker.kafka.steps import Step
from worker.observe.learning import LearnerMetrics
from worker.observe.logs import log
from worker.settings import Settings

__all__ = ["run"]


class TrainingTask(PartitionTask):
    """Owns what is learnt."""

    def __init__(self, context: Context, partition: int, metrics: LearnerMetrics) -> None:
        super().__init__(context, partition, context.settings.trainer)
        self._metrics = metrics
        self._breaking = Breaking()

    async def _restored(self) -> Turns:
        """Read everything back, after fencing, and go on from there."""
        self._breaking.unless_everything_breaks()
        started, settings, state = time.monotonic(), self.context.settings, KeptState(Progress)
        await self._read_back("learner-state", state)
        progress, parts = _whole(state)
        models = {record.key: version_of(record.value) for record in await latest(settings, settings.topic("models"))}
        progress.version = max([progress.version, *models.values()])
        published = await self._published()
        try:
            learning = await asyncio.to_thread(taught, published, parts)
        except (ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
            log("trainer").error("What was learnt is of no use to this release: it learns anew.", error=error)
            progress = Progress(version=progress.version, frozen=progress.frozen)
            learning = await asyncio.to_thread(taught, published, {})
        forgetting = Forgetting(Pseudonyms(settings.pseudonym_keys))
        training = Training(
            self.context, self._metrics, self._transactions, learning, published, progress, list(models),
            self._breaking, forgetting,
        )  # fmt: skip
        commands = await _commands(settings)
        for issued in commands.commands:
            if issued.offset < progress.commands_offset:
                forgetting.note(issued, self.context.wall.now_ms(), done=True)
        training.obey(commands.since(progress.commands_offset))
        steps.reached(Step.RESTORED, self.partition)
        self._metrics.restored(time.monotonic() - started)
        log("trainer").info(
            "The trainer learns.", samples=progress.samples, observations=progress.observations,
            version=progress.version, frozen=progress.frozen, seconds=round(time.monotonic() - started, 3),
        )  # fmt: skip
        return training


def _whole(state: KeptState[Progress]) -> tuple[Progress, dict[str, bytes]]:
    """Return what was learnt, or nothing if it is damaged: the samples are there still, and are learnt again."""
    try:
        progress = state.progress() or Progress()
        return progress, state.parts(progress.parts)
    except DamagedError as error:
        log("trainer").error("What was learnt can't be used, and is learnt anew from the samples.", error=str(error))
        return Progress(), {}


async def _commands(settings: Settings) -> Control:
    """Return the commands there are now."""
    control = Control()
    for record in await everything(settings, settings.topic(COMMANDS)):
        control.take(COMMANDS, record.offset, record.value)
    return control


async def run(settings: Settings) -> None:
    """Be a trainer until SIGTERM or SIGINT. Raises WrongUsage for topics that are wrong, JobFailed if it breaks."""
    metrics = LearnerMetrics()

    def task(context: Context, partition: int) -> TrainingTask:
        return TrainingTask(context, partition, metrics)

    await Process("trainer", settings.of_trainer(), metrics, task).run()
