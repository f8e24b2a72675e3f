"""Lift's metrics: what campaigns bring as it was published last, what was counted and how far it is behind.

The rule: as the worker's, counters move after a commit and only then; what campaigns bring is what their latest results
say.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from prometheus_client.core import Metric

from worker.observe.metrics import Metrics
from worker.observe.series import Counts, shown

__all__ = ["LiftMetrics"]

STAGES = ("fired", "sent", "clicked", "held_out", "converted")
BOUNDS = ("estimate", "low", "high")

Series = dict[tuple[str, ...], float]


class LiftMetrics(Metrics):
    """The metrics of one process that measures lift."""

    def __init__(self) -> None:
        self._taken = Counts("shoal_lift_records_total")
        self._results: list[Mapping[str, Any]] = []
        self._campaigns: Collection[str] = ()
        self._lag_records, self._users = 0, 0
        super().__init__()

    def counted(self, taken: Mapping[tuple[str, str], int], results: Collection[Mapping[str, Any]]) -> None:
        """Count what one transaction made true: records by (topic, result); `results` are every campaign's latest."""
        for labels, count in taken.items():
            self._taken.add(*labels, count=count)
        self._results = list(results)

    def counts(self, lag_records: int, users: int, campaigns: Collection[str]) -> None:
        """Say how lift stands, and which campaigns there are now."""
        self._lag_records, self._users, self._campaigns = lag_records, users, campaigns

    def _collected(self) -> Iterator[Metric]:
        yield self._taken.collected()
        yield shown("shoal_lift_lag_records", {(): self._lag_records})
        yield shown("shoal_lift_users", {(): self._users})
        yield shown("shoal_campaign_users", self._of_groups(_stages))
        yield shown("shoal_campaign_revenue", self._of_groups(lambda group: {(): group["revenue"]}))
        yield shown("shoal_campaign_cost", self._of_groups(lambda group: {(): group["cost"]}))
        yield shown("shoal_campaign_lift", self._of_groups(_bounds))
        yield shown("shoal_campaign_retention", self._of_groups(_retention))
        yield shown("shoal_campaign_sample_ratio_mismatch", self._mismatches())
        yield from self._shared()

    def _of_groups(self, series: Any) -> Series:
        found: Series = {}
        for result in self._results:
            for group in result["groups"]:
                place = (result["campaign"], _variant(group))
                found |= {(*place, *labels): value for labels, value in series(group).items()}
        return found

    def _mismatches(self) -> Series:
        """Of campaigns that there are still: about the others nobody can do anything."""
        present = [result for result in self._results if result["campaign"] in self._campaigns]
        judged = [result for result in present if result["sample_ratio"] is not None]
        return {(result["campaign"],): float(result["sample_ratio"]["mismatch"]) for result in judged}


def _variant(group: Mapping[str, Any]) -> str:
    return group["variant"] or "" if group["arm"] == "variant" else str(group["arm"])


def _stages(group: Mapping[str, Any]) -> Series:
    held_out = 0 if group["arm"] == "variant" else group["users"]
    return {(stage,): held_out if stage == "held_out" else group[stage] for stage in STAGES}


def _bounds(group: Mapping[str, Any]) -> Series:
    return {} if group["lift"] is None else {(bound,): group["lift"]["conversion"][bound] for bound in BOUNDS}


def _retention(group: Mapping[str, Any]) -> Series:
    return {} if group["retention"] is None else {(): group["retention"]}
