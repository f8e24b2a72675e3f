"""How a running partition stands, for those who look at it: how far behind, since when, under which versions.

The rule: behind since when is known twice over, and the later is right: the last record that was read arrived before
all that is unread, and so did everything when nothing was. A producer's own timestamps say nothing about arrival.
"""

from collections.abc import Mapping

from aiokafka import TopicPartition

from worker.core.engine import Engine
from worker.kafka.context import Context
from worker.kafka.ends import Reading
from worker.kafka.wire import Record
from worker.observe.standing import Standing

__all__ = ["LOG_APPEND_TIME", "Sight"]

LOG_APPEND_TIME = 1


class Sight:
    """What is seen of one partition from its restore to the first doubt; times are the wall's, in ms."""

    def __init__(self, context: Context, place: TopicPartition) -> None:
        self.context = context
        self.place = place
        self._committed_ms = self._behind_since_ms = context.wall.now_ms()

    def committed(self, last: Record | None, wall_ms: int) -> None:
        """Note a commit, and the last record that it was about."""
        self._committed_ms = wall_ms
        if last is not None and last.timestamp_type == LOG_APPEND_TIME:
            self._behind_since_ms = last.timestamp

    def lag_records(self) -> int:
        """Return how many offsets lie between the next record and the input's end."""
        reading, position = self._reading(), self._position()
        return max(0, reading.end - position) if reading and position is not None else 0

    def standing(self, engine: Engine, members: Mapping[str, int], next_offset: int) -> Standing:
        """Return how it stands now; `next_offset` is the last commit's."""
        checked, model, rows = engine.version.checked, engine.version.model, engine.rows
        position = self._position()
        offset = next_offset if position is None else position
        reading = self._reading()
        end = offset if reading is None else max(offset, reading.end)
        return Standing(
            group=self.context.settings.group, topic=self.place.topic, offset=offset, end=end,
            behind_since_ms=self._since_ms(end - offset), committed_ms=self._committed_ms, clock_ms=engine.clock_ms,
            users=len(engine.users), state_bytes=rows.count * rows.layout.words * 8, backfill_users=engine.backlog,
            members=members, definitions=(checked.definitions.version, checked.hash),
            model=None if model is None else (model.version, model.training.until_ms if model.training else 0),
        )  # fmt: skip

    def _since_ms(self, lag_records: int) -> int | None:
        if lag_records:
            return self._behind_since_ms
        if reading := self._reading():
            self._behind_since_ms = max(self._behind_since_ms, reading.asked_ms)
        return None

    def _reading(self) -> Reading | None:
        return self.context.ends.reading(self.place.partition)

    def _position(self) -> int | None:
        return self.context.membership.position(self.place)
