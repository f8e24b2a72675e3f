"""Limits, redone: whether a held-out user would have been stopped by the hour's limit or a cap, had she not been.

Both checks come after the holdout in the engine's order: they stop users who were to be reached and none of those held
out. To leave the first out of the comparison alone would compare unlike users; to leave them in would count users to
whom nothing was sent, and whose conversions nobody records. So users are left out of both arms by the same rule: by
what the limits say at the first decision, which no arm has had any influence on yet.
"""

import msgspec

from worker.lift.designs import Terms
from worker.lift.people import Person

__all__ = ["Limits"]

HOUR_MS = 3_600_000
HOURS_KEPT = 32


class Limits(msgspec.Struct):
    """Fired decisions by partition, campaign and UTC hour; the latest hours of each."""

    hours: dict[str, dict[int, int]] = {}

    def stop(self, terms: Terms, campaign: str, person: Person, at_ms: int, partition: int, partitions: int) -> bool:
        """Return whether a decision at an instant would be stopped."""
        allowed = terms.allowed_per_hour(partition, partitions)
        if allowed is not None and self._fired(campaign, partition, at_ms) >= allowed:
            return True
        used = person.sends.get(terms.channel or "", ())
        return any(sum(0 <= at_ms - when < cap.per_ms for when in used) >= cap.limit for cap in terms.caps)

    def count(self, campaign: str, partition: int, at_ms: int) -> None:
        """Count a fired decision."""
        hours = self.hours.setdefault(_key(campaign, partition), {})
        hours[at_ms // HOUR_MS] = hours.get(at_ms // HOUR_MS, 0) + 1
        for hour in sorted(hours)[:-HOURS_KEPT]:
            del hours[hour]

    def _fired(self, campaign: str, partition: int, at_ms: int) -> int:
        return self.hours.get(_key(campaign, partition), {}).get(at_ms // HOUR_MS, 0)


def _key(campaign: str, partition: int) -> str:
    return f"{partition}/{campaign}"
