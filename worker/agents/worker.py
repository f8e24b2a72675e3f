"""`shoal worker`: the process that owns partitions of the input."""

from worker.agents.process import Process
from worker.core.warming import warm_up
from worker.kafka import wire
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["run"]


async def run(settings: Settings) -> None:
    """Be a worker until SIGTERM or SIGINT. Raises WrongUsage for topics that are wrong, JobFailed if it breaks."""
    wire.install(settings.events_topic, settings.topic("state"))
    await Process("worker", settings, Metrics(), prepare=warm_up).run()
