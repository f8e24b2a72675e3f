"""Limits, redone: whether a held-out user would have been stopped by the hour's limit or a cap, had she not been.

Both checks come after the holdout in the engine's order: they stop users who were to be reached and none of those held
out. To leave the first out of the comparison alone would compare unlike users; to leave them in would count users to
whom nothing was sent, and whose conversions nobody records. So users are left out of both arms by the same rule: by
what the limits say at the first decision, which no arm has had any influence on yet.
"""

from worker.lift.designs import Terms
from worker.lift.people import Person
from worker.lift.shelves import Shelf

__all__ = ["Limits"]

HOUR_MS = 3_600_000
HOURS_KEPT = 32

Hours = dict[int, int]
"""Fired decisions by UTC hour since 1970: the latest hours."""


class Limits:
    """Fired decisions by partition and campaign, and what they leave room for."""

    def __init__(self, hours: Shelf[Hours]) -> None:
        self._hours = hours

    def stop(self, terms: Terms, campaign: str, person: Person, at_ms: int, partition: int, partitions: int) -> bool:
        """Return whether a decision at an instant would be stopped."""
        allowed = terms.allowed_per_hour(partition, partitions)
        if allowed is not None and self._fired(campaign, partition, at_ms) >= allowed:
            return True
        used = person.sends.get(terms.channel or "", ())
        return any(sum(0 <= at_ms - when < cap.per_ms for when in used) >= cap.limit for cap in terms.caps)

    def count(self, campaign: str, partition: int, at_ms: int) -> None:
        """Count a fired decision."""
        hours = self._hours.get(_key(campaign, partition)) or {}
        hours[at_ms // HOUR_MS] = hours.get(at_ms // HOUR_MS, 0) + 1
        for hour in sorted(hours)[:-HOURS_KEPT]:
            del hours[hour]
        self._hours.put(_key(campaign, partition), hours)

    def _fired(self, campaign: str, partition: int, at_ms: int) -> int:
        return (self._hours.get(_key(campaign, partition)) or {}).get(at_ms // HOUR_MS, 0)


def _key(campaign: str, partition: int) -> str:
    return f"{partition}/{campaign}"
