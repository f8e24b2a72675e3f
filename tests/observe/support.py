"""Metrics that have seen everything, effects to show them, and logs that can be read."""

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from schemas.examples import EXAMPLES
from tests.support.counting import FIGURES
from worker.core.records import Conversion, DeadLetterRecord, Decision, Effects, Sample, Source, Transition
from worker.observe import logs
from worker.observe.learning import LearnerMetrics
from worker.observe.lift import LiftMetrics
from worker.observe.metrics import Metrics
from worker.observe.sinks import SinkMetrics
from worker.observe.standing import Standing
from worker.observe.verified import VerifyMetrics

__all__ = [
    "WALL_MS", "Lines", "everything", "everything_learnt", "everything_sent", "everything_verified", "logging_to",
    "raised", "standing", "transition", "written",
]  # fmt: skip

Lines = Callable[[], list[dict[str, Any]]]
WALL_MS = 1_795_342_500_000  # 2026-11-22T10:15:00Z
AT = "2026-11-22T10:14:57.000Z"
SOURCE = Source("shoal.events", 0, 12)


def transition(**members: Any) -> Transition:
    """An entry into the cart segment by the clock, three seconds before `WALL_MS`."""
    usual: dict[str, Any] = {
        "id": "0" * 32, "user_id": "u-7", "segment": "cart", "direction": "entered", "seq": 1, "occurred_at": AT,
        "emitted_at": AT, "cause": "timer", "origin": "live", "reason": (), "definition": "7/3fa9", "model": None,
        "source": None,
    }  # fmt: skip
    return Transition(**usual | members)


def decision() -> Decision:
    """A reminder that fired."""
    return Decision(
        id="1" * 32, decision_id="2" * 32, transition_id="0" * 32, user_id="u-7", campaign="reminder", segment="cart",
        direction="entered", outcome="fired", blocked_by=None, variant="plain", channel="email", occurred_at=AT,
        due_at=AT, decided_at=AT, emitted_at=AT, definition="7/3fa9", model=None,
    )  # fmt: skip


def conversion() -> Conversion:
    """An order after that reminder."""
    return Conversion(
        id="3" * 32, decision_id="2" * 32, user_id="u-7", campaign="reminder", variant="plain", event="order",
        amount=9.5, currency="EUR", decided_at=AT, occurred_at=AT, emitted_at=AT, source=SOURCE,
    )  # fmt: skip


def standing(**members: Any) -> Standing:
    """A partition of which 13 records are read, nobody in it, nothing left over."""
    usual: dict[str, Any] = {
        "group": "shoal.workers", "topic": "shoal.events", "offset": 13, "end": 13, "behind_since_ms": None,
        "committed_ms": WALL_MS, "clock_ms": WALL_MS - 2_000, "users": 0, "state_bytes": 0, "backfill_users": 0,
        "members": {}, "definitions": (7, "3fa9"), "model": (3, WALL_MS - 60_000),
    }  # fmt: skip
    return Standing(**usual | members)


def everything() -> Metrics:
    """Metrics of a worker in which each thing has happened."""
    metrics = Metrics()
    members = {"cart": 2, "value_tier:high": 1}
    metrics.shares(4)
    metrics.state(3, "running")
    metrics.stands(3, standing(end=20, users=4, state_bytes=8192, backfill_users=1, members=members), ["reminder"])
    letter = DeadLetterRecord("not_json", "shoal.events", 0, 13, "not json")
    sample = Sample("4" * 32, "u-7", "buy", AT, AT, 1, {}, None, None, [], {})
    effects = Effects(
        [transition()], [decision()], [], [conversion()], samples=[sample], dead_letters=[letter], read=4, applied=2,
        duplicates=1, repaired=1, evaluations=2, dead_letter_counts={"not_json": 1}, repaired_counts={"bad_amount": 1},
        ignored=1, forgotten=["u-9"], forgotten_counts={"erasure": 1},
    )  # fmt: skip
    metrics.committed(effects, [WALL_MS - 80] * 4, seconds=0.02, wall_ms=WALL_MS, grace_ms=2_000)
    metrics.restarted("fenced")
    metrics.rebalanced()
    metrics.restored(1.2)
    metrics.answered("/ready", 200)
    return metrics


def everything_learnt() -> LearnerMetrics:
    """Metrics of a trainer in which each thing has happened."""
    metrics = LearnerMetrics()
    taken = {("training-samples", "learnt"): 7, ("observations", "known"): 1}
    metrics.learnt(taken, (3, "9b74"), FIGURES, [{"kind": "promoted", "target": "buy"}, {"kind": "alarm"}])
    metrics.learns(12, frozen=True)
    metrics.state(0, "running")
    metrics.restarted("fenced")
    metrics.rebalanced()
    metrics.restored(0.2)
    metrics.answered("/metrics", 200)
    return metrics


def everything_sent() -> SinkMetrics:
    """Metrics of sinks in which each thing has happened."""
    metrics = SinkMetrics()
    metrics.requested("webhook", 0.3, again=True)
    metrics.settled([("webhook", "delivered"), ("audiences", "dead_letter")])
    metrics.oldest(0, "webhook", 12.5)
    metrics.state(0, "running")
    metrics.restarted("kafka")
    metrics.rebalanced()
    metrics.restored(0.2)
    metrics.answered("/metrics", 200)
    return metrics


def everything_verified() -> VerifyMetrics:
    """Metrics of a verification that found all sorts."""
    return VerifyMetrics(7, 1, 2)


def everything_measured() -> LiftMetrics:
    """Metrics of lift in which each thing has happened."""
    metrics = LiftMetrics()
    metrics.counted({("conversions", "taken"): 3}, [EXAMPLES["CampaignResult"]])
    metrics.counts(5, 1_040, ["cart_reminder"])
    metrics.state(0, "running")
    metrics.restarted("kafka")
    metrics.rebalanced()
    metrics.restored(0.2)
    metrics.answered("/metrics", 200)
    return metrics


@contextlib.contextmanager
def logging_to(stream: TextIO, level: str = "INFO") -> Iterator[None]:
    """Log to a stream for the length of a `with`; afterwards Python's logging is as it was."""
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in logs.AT_LEAST_INFO}
    logs.configure(level, stream)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(before)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)


def written(level: str, doing: Callable[[], object]) -> str:
    """What is logged while something is done."""
    stream = io.StringIO()
    with logging_to(stream, level):
        doing()
    return stream.getvalue()


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error with a traceback, as an `except` sees it."""
    try:
        raise error from cause  # noqa: TRY301  so that it has one
    except BaseException as caught:  # noqa: BLE001  any error is the point
        return caught
