"""`shoal sinks`: the process that carries triggers and segment changes to other systems.

It is built as a worker is: a group shares out the partitions of `campaign-triggers` (`segment-changes` has as many),
and a partition belongs to one process at a time, which fences, reads how far it was, and goes on. The rule: what was
delivered is committed after the answer, never before; a kill repeats the last deliveries under the same ids, and loses
none.
"""

import asyncio
import time
from dataclasses import dataclass
from importlib.metadata import version

import aiohttp
from aiokafka import TopicPartition

from worker.agents.delivering import Delivering
from worker.agents.process import Process
from worker.kafka import steps
from worker.kafka.context import Context
from worker.kafka.offsets import committed
from worker.kafka.partition import PartitionTask, Turns
from worker.kafka.steps import Step
from worker.kafka.writing import now
from worker.observe.logs import log
from worker.observe.sinks import SinkMetrics
from worker.settings import Settings
from worker.sinks.again import Again
from worker.sinks.audiences import Audiences, AudienceTopic
from worker.sinks.courier import Courier, Limits
from worker.sinks.lane import Lane
from worker.sinks.parcels import Sink
from worker.sinks.targets import Targets, targets_of
from worker.sinks.webhook import Webhook

__all__ = ["run"]

ATTEMPTS_MAX = 10  # of one record while others get through: two to five minutes with the pauses as they are set


@dataclass(frozen=True)
class Couriers:
    """What all partitions of a process share: one courier for each endpoint."""

    targets: Targets
    webhook: Courier | None
    audiences: Courier | None


class SinkTask(PartitionTask):
    """Owns one partition's deliveries."""

    def __init__(self, context: Context, partition: int, metrics: SinkMetrics, couriers: Couriers) -> None:
        super().__init__(context, partition, context.settings.sinks_id(partition))
        self._metrics, self._couriers = metrics, couriers

    async def _restored(self) -> Turns:
        """Find out, after fencing, how far each topic was delivered."""
        started, settings, delivering = time.monotonic(), self.context.settings, Delivering(
            self.context, self.partition, self._metrics, self._transactions
        )  # fmt: skip
        lanes = [Lane(sink) for sink in self._sinks(delivering)]
        places = {TopicPartition(settings.topic(lane.sink.topic), self.partition): lane for lane in lanes}
        again = {lane.sink.name: Lane(Again(lane.sink, delivering.lookup, now)) for lane in lanes}
        self._say("restoring", progress=0.0)
        found = await committed(settings, settings.group, places)
        await delivering.begin(places, again, found)
        steps.reached(Step.RESTORED, self.partition)
        self._metrics.restored(time.monotonic() - started)
        log("sinks").info(
            "The partition is delivered.", partition=self.partition, sinks=[lane.sink.name for lane in lanes],
        )  # fmt: skip
        return delivering

    def _sinks(self, delivering: Delivering) -> list[Sink]:
        couriers, erased, sinks = self._couriers, delivering.is_erased, list[Sink]()
        if couriers.webhook is not None:
            sinks.append(Webhook(couriers.webhook, couriers.targets.webhook_secrets, erased))
        if couriers.audiences is not None:
            sinks.append(Audiences(couriers.audiences, couriers.targets.audiences_write_key, erased))
        if couriers.targets.audiences_topic:
            sinks.append(AudienceTopic(erased))
        return sinks


async def run(settings: Settings) -> None:
    """Carry until SIGTERM or SIGINT. Raises WrongUsage if nothing or something wrong is configured, JobFailed."""
    targets, metrics = targets_of(settings), SinkMetrics()
    in_flight = asyncio.Semaphore(settings.sinks_in_flight_max)
    limits = Limits(
        settings.sinks_timeout_ms / 1000, settings.sinks_pause_ms / 1000, settings.sinks_pause_max_ms / 1000,
        ATTEMPTS_MAX,
    )  # fmt: skip
    connector = aiohttp.TCPConnector(ssl=targets.tls, limit=settings.sinks_in_flight_max)
    headers = {"user-agent": f"shoal/{version('shoal')}"}
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:

        def courier(sink: str, url: str | None) -> Courier | None:
            return Courier(sink, url, session, in_flight, limits, metrics) if url else None

        couriers = Couriers(
            targets, courier("webhook", targets.webhook_url), courier("audiences", targets.audiences_url)
        )

        def task(context: Context, partition: int) -> SinkTask:
            return SinkTask(context, partition, metrics, couriers)

        await Process("sinks", settings.of_sinks(), metrics, task).run()
