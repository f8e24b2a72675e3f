"""Lift beside a job with no broker: what campaigns brought, measured from the job's own records.

The rule: results are a function of the records alone. A day's standing is taken when the partition clock passes its
midnight, so that no batch size shows.
"""

from typing import Any

from worker.core.program import Version
from worker.core.records import Effects
from worker.lift.designs import programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.records import Converted, Decided, Observed, Told
from worker.lift.results import note, results_of

__all__ = ["Measures"]


class Measures:
    """What a job's campaigns bring: give it what follows from the records, ask it at the end."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._currency = ""

    def take(self, effects: Effects, version: Version) -> None:
        """Take what followed under a version of the definitions."""
        self._know(version)
        for kind, records in (
            (Decided, effects.decisions),
            (Converted, effects.conversions),
            (Told, effects.messages),
            (Observed, effects.observations),
        ):
            names = kind.__struct_fields__
            for record in records:
                self._ledger.take(kind(*(getattr(record, name) for name in names)))

    def _know(self, version: Version) -> None:
        if not self._ledger.knows(version.definition):
            definitions = version.checked.definitions
            self._ledger.know(version.definition, terms_of(version.checked), programme_of(definitions))
            self._currency = definitions.currency

    def day(self, midnight_ms: int) -> None:
        """Take down where everything stands at the end of a day."""
        for result in self.results(midnight_ms):
            note(self._ledger.history, result)

    def results(self, at_ms: int | None) -> list[dict[str, Any]]:
        """Return the result of every campaign as of an instant."""
        if at_ms is not None:
            self._ledger.pass_time(at_ms)
        return list(results_of(self._ledger, self._currency))
