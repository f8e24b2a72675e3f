"""The sinks' metrics: what became of each record, how long requests take, how long the oldest record waits.

The rule: as the worker's, outcomes count after the commit and only then; requests that are made again count at once.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from worker.observe.catalogue import FAMILIES
from worker.observe.metrics import Metrics
from worker.observe.series import Counts, Histogram, shown

__all__ = ["SinkMetrics"]


class SinkMetrics(Metrics):
    """The metrics of one process of sinks."""

    def __init__(self) -> None:
        self._deliveries = Counts("shoal_sink_deliveries_total")
        self._seconds = Histogram("shoal_sink_delivery_seconds")
        self._oldest: dict[tuple[int, str], float] = {}
        super().__init__()

    def requested(self, sink: str, seconds: float, *, again: bool) -> None:
        """Take note of a request that took so long, and whether it is made again."""
        self._seconds.observe(seconds, sink)
        if again:
            self._deliveries.add(sink, "again")

    def settled(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Count what one transaction made true: a sink and a result for each record."""
        self._deliveries.add_all(outcomes)

    def oldest(self, partition: int, sink: str, seconds: float) -> None:
        """Say how long the oldest record waits that a sink has yet to deliver from a partition."""
        if (partition, sink) not in self._oldest:
            for result in FAMILIES["shoal_sink_deliveries_total"].labels["result"].names:
                self._deliveries.add(sink, result, count=0)  # so that a rate sees the first increase
        self._oldest[partition, sink] = seconds

    def forget(self, partition: int) -> None:
        """Take away what is known of a partition that isn't owned any more."""
        super().forget(partition)
        self._oldest = {place: seconds for place, seconds in self._oldest.items() if place[0] != partition}

    def _collected(self) -> Iterator[Metric]:
        yield self._deliveries.collected()
        yield self._seconds.collected()
        waits: dict[tuple[str], float] = {}
        for (_, sink), seconds in self._oldest.items():
            waits[sink,] = max(seconds, waits.get((sink,), 0.0))
        yield shown("shoal_sink_lag_seconds", waits)
        yield from self._shared()
