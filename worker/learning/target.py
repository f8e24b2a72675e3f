"""What is learnt about one target: a champion that is live, its challengers, and who is better.

A sample waits until its horizon is over; then it is scored with what stood when it was taken, the scores are judged,
and only then it is learnt. The champion begins as the floor, which is never published: no probability before there is
evidence.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from schemas.definitions import Target
from worker.language.observed import OBSERVED_HASH
from worker.learning.contenders import FLOOR, field
from worker.learning.drift import TargetDrift
from worker.learning.evaluation import Window, log_losses
from worker.learning.groups import Groups
from worker.learning.inputs import Sample
from worker.learning.preparation import prepared
from worker.learning.promotion import Comparison
from worker.learning.recent import Recent
from worker.learning.scorers import Days, Scorer
from worker.learning.settings import (
    ALPHA_PROMOTION,
    ALPHA_ROLLBACK,
    BATCH,
    DAY_MS,
    EVIDENCE_LEAST,
    NEWS_LEAST,
    NEWS_ROWS,
)  # fmt: skip
from worker.learning.waiting import Waiting, WaitingSample

__all__ = ["TargetLearning"]

FORMAT: Final = 2  # of the state; another one begins anew
LATENESS_MS: Final = 31 * DAY_MS  # how long after its horizon a sample may come and still be scored


class TargetLearning:
    """The learning of one target."""

    def __init__(self, target: Target, parts: Mapping[str, bytes]) -> None:
        self.target = target
        self.live, self.groups = Window(), Groups()
        self.field = field()
        self.champion, self._predecessor = FLOOR, FLOOR
        self._positives = 0
        self._learnt_from_ms, self._learnt_until_ms = 0, 0
        self._clock_ms: int | None = None
        self._exported = 0  # samples learnt by the last export
        self._recent, self._waiting, self._days = Recent(), Waiting(), Days()
        self._comparisons = self._new_comparisons()
        self._drift, self.alarms = TargetDrift(), 0
        self._given: tuple[str, Scorer | None] = (FLOOR, None)
        self._decisions: list[dict[str, Any]] = []
        self._restore(parts)

    def _new_comparisons(self) -> dict[str, Comparison]:
        return {name: Comparison() for name in self.field if name != self.champion}

    def take(self, sample: Sample) -> None:
        """Let a sample wait for its horizon."""
        due_ms = sample.sampled_ms + self.target.horizon
        known = (due_ms, sample.id, sample.sampled_ms, sample.label, sample.probability, sample.traits)
        self._waiting.put(WaitingSample(*known, prepared(sample.features)))

    def forget(self, id_at: Callable[[int], str]) -> int:
        """Drop a user's samples, whose one at an instant has the id `id_at` gives: those that wait, and live scores.

        Returns how many went. What was learnt from others of hers stays learnt.
        """
        return self._waiting.forget(id_at) + self.groups.forget(id_at)

    def pass_time(self, clock_ms: int) -> None:
        """Let time pass up to and including `clock_ms`: learn what is due, and keep an export of every midnight."""
        if self._clock_ms is not None:
            for midnight_ms in range((self._clock_ms // DAY_MS + 1) * DAY_MS, clock_ms + 1, DAY_MS):
                self._learn_due(midnight_ms - 1)
                self._export(midnight_ms)
        self._clock_ms = clock_ms
        self._learn_due(clock_ms)

    def _learn_due(self, until_ms: int) -> None:
        for sample in self._waiting.take(until_ms):
            self._judge(sample)
            self._learn(sample)

    def _export(self, midnight_ms: int) -> None:
        if self._recent.count >= max(BATCH, self._exported + 1):
            self._exported = self._recent.count
            self._days.add(midnight_ms, {name: contender.scorer() for name, contender in self.field.items()})
            self._days.forget(midnight_ms - self.target.horizon - LATENESS_MS)

    def _learn(self, sample: WaitingSample) -> None:
        self._learnt_from_ms = min(self._learnt_from_ms or sample.sampled_ms, sample.sampled_ms)
        self._learnt_until_ms = max(self._learnt_until_ms, sample.sampled_ms)
        self._positives += sample.label
        self._recent.append(sample.vector, sample.label)
        if self._recent.count % BATCH == 0:
            vectors, labels = self._recent.last(BATCH)
            for contender in self.field.values():
                contender.learn_many(vectors, labels, self._recent)

    def scores(self, sample: Sample) -> dict[str, float]:
        """Return the honest probability of each learner for a sample; empty where none stood when it was taken."""
        vectors = prepared(sample.features)[np.newaxis]
        standing = self._days.standing(sample.sampled_ms)
        return {name: float(scorer.scores(vectors)[1][0]) for name, scorer in standing.items()}

    def _judge(self, sample: WaitingSample) -> None:
        if not np.isnan(sample.probability):
            self.live.append(sample.probability, sample.probability, sample.label)
            self.groups.append(sample.probability, sample.label, sample.traits, sample.id, sample.sampled_ms)
        standing = self._days.standing(sample.sampled_ms)
        if not standing:
            return
        scores = {name: scorer.scores(sample.vector[np.newaxis]) for name, scorer in standing.items()}
        for name, (raw, score) in scores.items():
            self.field[name].window.append(float(raw[0]), float(score[0]), sample.label)
        found = log_losses(np.array([score[0] for _, score in scores.values()]), np.full(len(scores), sample.label))
        losses = dict(zip(scores, found.tolist(), strict=True))
        for name, comparison in self._comparisons.items():
            comparison.add(losses[self.champion] - losses[name], sample.label)
            if comparison.is_lost(self._alpha(name)):
                self._comparisons[name] = Comparison()
        self._watch(sample, losses[self.champion])
        self._decide()

    def _watch(self, sample: WaitingSample, loss: float) -> None:
        """Raise an alarm if the champion's loss has risen, and let every learner hurry."""
        shift = self._drift.update(sample.due_ms, sample.id, loss)
        if shift is None:
            return
        self.alarms += 1
        self._note("alarm", what="loss", model=self.champion, before=shift.before, after=shift.after, n=shift.newer)
        self._hurry()

    def _hurry(self) -> None:
        for contender in self.field.values():
            contender.hurry(self._recent)

    def _decide(self) -> None:
        """Put a learner that is proven better in the champion's place, once there is evidence."""
        if min(self._positives, self._recent.count - self._positives) < EVIDENCE_LEAST:
            return
        alphas = {name: self._alpha(name) for name in self._comparisons}
        bounds = {name: comparison.bound(alphas[name]) for name, comparison in self._comparisons.items()}
        best = max(bounds, key=bounds.__getitem__)
        if bounds[best] > 0.0:
            self._crown(best, bounds[best], alphas[best])

    def _goes_back(self, name: str) -> bool:
        return self.champion != FLOOR and name in (FLOOR, self._predecessor)

    def _alpha(self, name: str) -> float:
        return ALPHA_ROLLBACK if self._goes_back(name) else ALPHA_PROMOTION / len(self._comparisons)

    def _crown(self, name: str, bound: float, alpha: float) -> None:
        kind = "rolled_back" if self._goes_back(name) else "promoted"
        shown = self._comparisons[name]
        self._note(kind, model=name, instead_of=self.champion, n=shown.n, gain=shown.mean, bound=bound, alpha=alpha)
        if kind == "rolled_back":  # what the champion knew is no longer so
            self._hurry()
        self.champion, self._predecessor = name, self.champion
        self._comparisons, self._drift = self._new_comparisons(), TargetDrift()

    def _note(self, kind: str, **numbers: Any) -> None:
        self._decisions.append({"kind": kind, "target": self.target.id, "at_ms": self._clock_ms, **numbers})

    def decisions(self) -> list[dict[str, Any]]:
        """Return what was decided since this was last asked."""
        decided, self._decisions = self._decisions, []
        return decided

    @property
    def evidence(self) -> dict[str, int]:
        """How many samples were learnt, and how many of them were positive."""
        return {"samples": self._recent.count, "positives": self._positives}

    @property
    def learnt_ms(self) -> tuple[int, int]:
        """When the first and the last sample learnt were taken; zeros before there is one."""
        return self._learnt_from_ms, self._learnt_until_ms

    def scorer(self) -> Scorer | None:
        """Return what is live from now on, or None while the floor is."""
        return None if self.champion == FLOOR else self.field[self.champion].scorer()

    def has_news(self) -> bool:
        """Whether what would be published differs enough from what was given last."""
        given_champion, given = self._given
        scorer = self.scorer()
        if given_champion != self.champion or scorer is None or given is None:
            return given_champion != self.champion
        vectors, _ = self._recent.last(NEWS_ROWS)
        moved = np.abs(scorer.scores(vectors)[1] - given.scores(vectors)[1])
        return bool(moved.mean() > NEWS_LEAST)

    def give(self) -> dict[str, Any] | None:
        """Return the snapshot's entry, which news are measured against from now on."""
        scorer = self.scorer()
        self._given = (self.champion, scorer)
        return scorer.content() if scorer else None

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield (name, bytes) of everything that is known."""
        yield "state", msgspec.msgpack.encode(self._state())
        yield from self._recent.parts()
        yield from self._waiting.parts()
        yield from self._days.parts()
        yield from self.groups.parts().items()

    def _meaning(self) -> list[Any]:
        """What must not have changed for a state to hold."""
        return [FORMAT, OBSERVED_HASH, self.target.positive, self.target.horizon, list(self.field)]

    def _state(self) -> dict[str, Any]:
        return {
            "meaning": self._meaning(),
            "champion": [self.champion, self._predecessor],
            "learnt": [self._recent.count, self._positives, self._learnt_from_ms, self._learnt_until_ms],
            "clock": [self._clock_ms, self._exported],
            "live": self.live.state(),
            "waiting": self._waiting.state(),
            "days": self._days.state(),
            "drift": [self._drift.state(), self.alarms],
            "field": {name: contender.state() for name, contender in self.field.items()},
            "comparisons": self._comparisons,
            "given": self._given,
            "decisions": self._decisions,
        }

    def _restore(self, parts: Mapping[str, bytes]) -> None:
        state = msgspec.msgpack.decode(parts["state"]) if "state" in parts else {}
        if state.get("meaning") != self._meaning():
            return
        self.champion, self._predecessor = state["champion"]
        count, self._positives, self._learnt_from_ms, self._learnt_until_ms = state["learnt"]
        self._clock_ms, self._exported = state["clock"]
        self.live = Window(state["live"])
        self.groups.restore(parts)
        self._recent.restore(count, parts)
        self._waiting.restore(state["waiting"], parts)
        self._days.restore(state["days"], parts)
        drift, self.alarms = state["drift"]
        self._drift = TargetDrift(drift)
        for name, contender in self.field.items():
            contender.restore(state["field"][name], self._recent)
        self._comparisons = msgspec.convert(state["comparisons"], dict[str, Comparison])
        self._given = msgspec.convert(state["given"], tuple[str, Scorer | None])
        self._decisions = state["decisions"]
