"""What is sampled of users as table rows: pending samples by target, observed features; columns are still names.

The rule: a column's name holds what its values mean, target, positive, horizon and feature schema, so that a pending
sample whose meaning has changed is not found under the new version.
"""

from typing import Any

from schemas.definitions import Target
from schemas.events import KINDS
from schemas.models import Snapshot
from worker.core.interning import Strings
from worker.core.layout import NEVER
from worker.core.lowering import Lowering, Row
from worker.core.model_tables import ModelTables
from worker.core.samples import SILENCE
from worker.core.seeds import seed_of
from worker.language.definitions import Checked
from worker.language.observed import OBSERVED, OBSERVED_HASH, expression_of
from worker.language.wanted import wanted

__all__ = ["SampleTables"]


class SampleTables:
    """Rows of the tables `pending` and `observed`; empty where the definitions have nothing to learn.

    `names` are those of what is observed, in the order of the table: `OBSERVED`, then what else is ranked.
    """

    def __init__(self, checked: Checked, lowering: Lowering, strings: Strings, scoring: ModelTables) -> None:
        """Look at what the definitions want learnt."""
        self.lowering = lowering
        self.strings = strings
        self.scoring = scoring
        learnt = wanted(checked)
        self.targets = learnt.targets
        own = [each.name for each in OBSERVED]
        is_observed = bool(learnt.targets or learnt.ranked or learnt.clusters)
        self.names = [*own, *(name for name in learnt.ranked if name not in own)] if is_observed else []

    def pending(self) -> list[Row]:
        """Return a row per target: what it waits for, and where a user's pending sample of it is."""
        return [self._pending(target) for target in self.targets]

    def _pending(self, target: Target) -> Row:
        meaning = f"{target.id}:{target.positive}:{target.horizon}:{OBSERVED_HASH}"
        column = self.lowering.column
        return {
            "positive": SILENCE if target.positive == "silence" else KINDS.index(target.positive),
            "horizon": target.horizon, "share": target.sample, "seed": seed_of(target.id, "sample"),
            "scored": self.scoring.place_of(target.id),
            "sampled": column(f"sampled:{meaning}", "wide", 1, NEVER),
            "probability": column(f"scored:{meaning}", "real", 1, float("nan")),
            "model": column(f"scored_by:{meaning}", "narrow", 1, -1),
            "features": column(f"observed:{meaning}", "real", len(OBSERVED), float("nan")),
        }  # fmt: skip

    def observed(self) -> list[Row]:
        """Return a row per observed feature: where it is computed."""
        rows = []
        for name in self.names:
            first, last = self.lowering.expression(expression_of(name), sampling=True)
            rows.append({"first": first, "last": last})
        return rows

    def settings(self, model: Snapshot | None) -> dict[str, Any]:
        """Return the settings of sampling. Until a row is evaluated it isn't known when it is due: it is at once."""
        if not self.names:
            return {"evaluation_due": -1, "observed": 0, "model": -1, "samples_most": 0}
        return {
            "evaluation_due": self.lowering.column("evaluation_due", "wide", 1, NEVER),
            "observed": len(OBSERVED),
            "model": self.strings.number(model.label) if model and self.targets else -1,
            "samples_most": len(self.targets) + 1,
        }
