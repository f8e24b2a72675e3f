"""The engine of one partition: bytes in, effects out.

Pure: no clock, no randomness, no IO; `wall_ms` is an argument. `step` takes records, `tick` takes a moment, `publish`
takes a version, `erase` forgets a user; all of them end in the funnel, and all of them return `Effects`. What an engine
knows is in `to_bytes`, so that it can go on elsewhere as if nothing had happened.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
import numpy as np

from schemas.models import Snapshot
from schemas.outputs import PAYLOAD_KEPT
from worker.core import retention, saving
from worker.core.batch import CLOCK, SLOT, Batch, DeadLetter, Stop
from worker.core.compiled_pass import EVERYTHING, CompiledPass
from worker.core.decode import Decoder
from worker.core.effects import RecordWriter
from worker.core.erasures import Erased, Erasures
from worker.core.explain import explain
from worker.core.export import columns_of
from worker.core.interning import Strings, Users
from worker.core.layout import NEVER
from worker.core.memberships import member_counts, memberships
from worker.core.program import Version, build
from worker.core.pseudonyms import Pseudonyms
from worker.core.records import DeadLetterRecord, Effects
from worker.core.retired import Retired, retired_by
from worker.core.saving import FORMAT, Past, Saved, restored_rows
from worker.core.state import Rows, empty_hours
from worker.core.zones import Zones
from worker.language.definitions import Checked
from worker.language.mapping import Mapping

__all__ = ["Engine"]

Clock = Literal["event", "wall"]
GRACE_MS_MAX = DAY_MS = 86_400_000


class Engine:
    """Everything about the users of one partition, and the version in force."""

    def __init__(self, checked: Checked, mapping: Mapping, *, topic: str = "shoal.events", partition: int = 0,
                 partitions: int = 1, grace_ms: int = 2000, clock: Clock = "event", model: Snapshot | None = None,
                 pseudonyms: Pseudonyms | None = None) -> None:  # fmt: skip
        """Start empty, under definitions as `worker.language.definitions.load` checked them.

        Raises ValueError if `grace_ms` is negative or more than a day.
        """
        self._place(mapping, topic, partition, partitions, grace_ms, clock)
        self._name(Users(), Strings(), Zones())
        self.erasures = Erasures(pseudonyms or Pseudonyms())
        self.clock_ms: int | None = None
        self.hashes = [checked.hash]
        self.braked: frozenset[str] = frozenset()
        self.version = self._build(checked, model, NEVER, "definition", Retired())
        self.rows = Rows(self.version.layout, self.version.number, len(self.version.campaigns))
        self.taken = 0
        self.passed_ms = NEVER
        self._begin_version()

    def _place(
        self, mapping: Mapping, topic: str, partition: int, partitions: int, grace_ms: int, clock: Clock
    ) -> None:
        if not 0 <= grace_ms <= GRACE_MS_MAX:
            raise ValueError(f"grace is 0 to {GRACE_MS_MAX:,} ms, not {grace_ms:,}")
        self.mapping = mapping
        self.topic = topic
        self.partition = partition
        self.partitions = partitions
        self.grace_ms = grace_ms
        self.clock = clock

    def _name(self, users: Users, strings: Strings, zones: Zones) -> None:
        self.users = users
        self.strings = strings
        self.zones = zones

    # Versions.

    def _build(self, checked: Checked, model: Snapshot | None, clock: int, cause: str, retired: Retired) -> Version:
        return build(
            checked, model, self.strings, self.zones, number=len(self.hashes) - 1, clock=clock, cause=cause,
            retired=retired, braked=self.braked, hours_max=self._part_of,
        )  # fmt: skip

    def _part_of(self, per_hour: int) -> int:
        """Return this partition's part of an hourly limit."""
        return per_hour // self.partitions + (self.partition < per_hour % self.partitions)

    def _begin_decoding(self) -> None:
        self._decoder = Decoder(
            self.mapping, self.version.checked.definitions, self.users, self.strings, self.zones, self.erasures,
            event_clock=self.clock == "event",
        )  # fmt: skip

    def _begin_version(self) -> None:
        version, event_clock = self.version, self.clock == "event"
        self._begin_decoding()
        writer = RecordWriter(
            version, self.hashes, self.users.ids, self.strings, self.zones, self.topic, self.partition
        )
        self._pass = CompiledPass(
            version, self.rows, self.users, self.strings, self.zones, writer, event_clock=event_clock
        )

    def publish(self, checked: Checked | None = None, model: Snapshot | None = None, *, wall_ms: int,
                at_once: bool = True, mapping: Mapping | None = None) -> Effects:  # fmt: skip
        """Put definitions, a model or both in force at the present partition clock.

        What isn't given stays; definitions come with the mapping that they were checked with, if it is another. Time
        passes for everyone up to that moment under the version before; then every user is evaluated under the new one:
        right now, or (`at_once=False`) when `work` comes to her or a record does.
        """
        effects = self.work(EVERYTHING, wall_ms=wall_ms)
        if self.clock_ms is not None:
            self._pass_time(self.clock_ms, EVERYTHING, wall_ms, effects)
        old = self.version
        cause = "model" if checked is None else "definition"
        retired = retired_by((checked or old.checked).definitions, old.checked.definitions)
        self.mapping = mapping or self.mapping
        self.hashes.append((checked or old.checked).hash)
        clock = NEVER if self.clock_ms is None else self.clock_ms
        self.version = self._build(checked or old.checked, model or old.model, clock, cause, retired)
        self._carry_hours(old)
        self.rows.change_layout(self.version.layout, self.version.number)
        self.taken = 0
        self._begin_version()
        if at_once:
            effects.add(self.work(EVERYTHING, wall_ms=wall_ms))
        return effects

    def _carry_hours(self, old: Version) -> None:
        hours = empty_hours(len(self.version.campaigns))
        places = {campaign.id: place for place, campaign in enumerate(old.campaigns)}
        for place, campaign in enumerate(self.version.campaigns):
            if campaign.id in places:
                hours[place] = self.rows.hours[places[campaign.id]]
        self.rows.hours = hours

    def brake(self, campaign: str, *, paused: bool) -> None:
        """Pause or resume a campaign, from the next decision on."""
        self.braked = self.braked | {campaign} if paused else self.braked - {campaign}
        for place, entry in enumerate(self.version.campaigns):
            self.version.program.campaigns[place]["braked"] = int(entry.id in self.braked)

    @property
    def backlog(self) -> int:
        """How many users the version in force has yet to evaluate."""
        return self.rows.count - self.taken

    # Work.

    def step(
        self,
        payloads: Sequence[bytes],
        first_offset: int | Sequence[int],
        keys: Sequence[bytes | None] | None = None,
        arrivals_ms: Sequence[int] | None = None,
        *,
        wall_ms: int,
        due_rows_max: int = EVERYTHING,
    ) -> Effects:
        """Take records in order of offset; at most about `due_rows_max` users who fall due are worked off before them.

        `keys` None: files, which have none. `arrivals_ms` None: the event clock.
        """
        effects = Effects()
        for more, _ in self.by_day(
            payloads, first_offset, keys, arrivals_ms, wall_ms=wall_ms, due_rows_max=due_rows_max
        ):
            effects.add(more)
        return effects

    def by_day(
        self,
        payloads: Sequence[bytes],
        first_offset: int | Sequence[int],
        keys: Sequence[bytes | None] | None = None,
        arrivals_ms: Sequence[int] | None = None,
        *,
        wall_ms: int,
        due_rows_max: int = EVERYTHING,
    ) -> Iterator[tuple[Effects, int | None]]:
        """Take records as `step` does, one UTC day of the partition clock at a time.

        Yields (what followed, the midnight that the clock passes next in ms; None if it passes none yet). A model
        published before the next is asked for takes effect between the days. Of several midnights leapt over at once
        the first is told. Where users are retained for a time only, none of a day's records is decoded before that.
        """
        offsets = first_offset
        if isinstance(offsets, int):
            offsets = range(offsets, offsets + len(payloads))
        done, stop = 0, None
        while done < len(payloads):
            effects = Effects() if stop is None else self._make_room(stop, wall_ms)
            rest = slice(done, None)
            batch = self._decoder.decode(
                payloads[rest], offsets[rest], keys and keys[rest], arrivals_ms and arrivals_ms[rest],
                self.clock_ms, goes_on=stop is not None,
            )  # fmt: skip
            effects.add(self._decoded(batch))
            first = 0
            for last, midnight_ms in _days(batch, self.clock_ms if stop is None or stop.day is None else None):
                if last > first:
                    self._take(batch, first, last, due_rows_max, wall_ms, effects)
                yield effects, self._ended_by(batch) if midnight_ms is None else midnight_ms
                first, effects = last, Effects()
            done, stop = done + batch.read, batch.stop

    def _ended_by(self, batch: Batch) -> int | None:
        """Return the midnight that a batch has ended at; None if it was for something else."""
        if batch.stop is None or batch.stop.day is None or self.clock_ms is None:
            return None
        return (self.clock_ms // DAY_MS + 1) * DAY_MS

    def _take(self, batch: Batch, first: int, last: int, due_rows_max: int, wall_ms: int, effects: Effects) -> None:
        """Take records [first, last) of a batch."""
        effects.read += last - first
        slots, self.clock_ms = batch.records[first:last, SLOT], int(batch.records[last - 1, CLOCK])
        self._add_users(int(slots.max()) + 1)
        self.rows.carried_over(slots)
        if begun_anew := self.users.begun_anew(set(slots.tolist())):
            self.rows.begin_anew({slot: self.users.ids[slot] for slot in begun_anew})
        self._run(batch, first, last, self.clock_ms - self.grace_ms, due_rows_max, wall_ms, effects)

    def _add_users(self, count: int) -> None:
        """Give the first `count` users a row each."""
        known = self.rows.count
        self.rows.add(self.users.ids[known:count])
        if self.taken == known:
            self.taken = self.rows.count  # nothing is left over for those who are new under the version in force

    def refused(self, payload: bytes, offset: int) -> Effects:
        """Return the dead letter of a record that the engine itself can't take; nothing else happens."""
        letter = self._dead_letter(DeadLetter("engine_error", offset, payload))
        return Effects(read=1, dead_letters=[letter], dead_letter_counts={letter.reason: 1})

    def _decoded(self, batch: Batch) -> Effects:
        """Return what decoding has settled: dead letters, and records that an erased user's past had."""
        effects = Effects(read=len(batch.dead_letters) + batch.ignored, duplicates=batch.ignored, ignored=batch.ignored)
        for letter in batch.dead_letters:
            counts = effects.dead_letter_counts
            counts[letter.reason] = counts.get(letter.reason, 0) + 1
            effects.dead_letters.append(self._dead_letter(letter))
            if letter.erased:
                effects.keyless.add(letter.offset)
        return effects

    def _dead_letter(self, letter: DeadLetter) -> DeadLetterRecord:
        payload = letter.payload[:PAYLOAD_KEPT].decode("utf-8", "replace")
        return DeadLetterRecord(letter.reason, self.topic, self.partition, letter.offset, payload)

    def _run(
        self, batch: Batch, first: int, last: int, horizon: int, due_rows_max: int, wall_ms: int, effects: Effects
    ) -> None:
        self._pass.collect(horizon, due_rows_max)
        self._pass.run(batch, first, last, self.grace_ms, self.passed_ms, wall_ms, effects)
        self.passed_ms = max(self.passed_ms, horizon)
        self._pass.drain(horizon, wall_ms, effects)

    def tick(self, until_ms: int, *, wall_ms: int, due_rows_max: int = EVERYTHING) -> Effects:
        """Let time pass for everyone up to and including `until_ms`, without grace; `catch_up` does what is left.

        Whoever's record comes later, new or known, is not judged at an earlier instant.
        """
        effects = self.work(EVERYTHING, wall_ms=wall_ms)
        before_ms, self.clock_ms = self.clock_ms, max(self.clock_ms or until_ms, until_ms)
        self.passed_ms = max(self.passed_ms, until_ms)
        self._pass_time(until_ms, due_rows_max, wall_ms, effects)
        self._pass_day(before_ms, wall_ms, effects)
        return effects

    @property
    def overdue(self) -> bool:
        """Whether time has yet to pass for somebody up to where it has passed for the rest."""
        return self._is_anyone_due(self.passed_ms)

    def _is_anyone_due(self, until: int) -> bool:
        """Return whether somebody may be due by `until`; True is a guess, which going through the rows puts right."""
        return bool((self.rows.block_due <= until).any())

    def catch_up(self, due_rows_max: int, *, wall_ms: int) -> Effects:
        """Let time pass for about `due_rows_max` of those who are overdue."""
        effects = Effects()
        self._pass_time(self.passed_ms, due_rows_max, wall_ms, effects)
        return effects

    def advance(self, clock_ms: int, *, wall_ms: int, due_rows_max: int = EVERYTHING) -> Effects:
        """Move the partition clock without a record, as the wall clock does: time passes up to it, less the grace."""
        effects = Effects()
        before_ms, self.clock_ms = self.clock_ms, max(self.clock_ms or clock_ms, clock_ms)
        self.passed_ms = max(self.passed_ms, self.clock_ms - self.grace_ms)
        self._pass_time(self.clock_ms - self.grace_ms, due_rows_max, wall_ms, effects)
        self._pass_day(before_ms, wall_ms, effects)
        return effects

    # Forgetting.

    def erase(self, erased: Erased, user_id: str | None = None, *, wall_ms: int) -> Effects:
        """Forget a user at the present partition clock: she leaves all segments, and what is pending is cancelled.

        From then on her events up to the instant of the erasure are ignored, all of them if she is suppressed. Without
        her id she is looked for by her pseudonym. Raises UnknownKeyError if its key isn't there; then nothing happens.
        """
        self.erasures.take(erased, self.clock_ms)
        slot = self.users.slots.get(user_id) if user_id is not None else self._slot_of(erased)
        if slot is None or self.clock_ms is None:
            return Effects()
        return self._forget("erasure", np.array([slot], np.int64), wall_ms)

    def _slot_of(self, erased: Erased) -> int | None:
        of = self.erasures.pseudonyms.of
        ids = (user_id for user_id in self.users.slots if of(user_id, erased.key_version) == erased.subject)
        user_id = next(ids, None)
        return None if user_id is None else self.users.slots[user_id]

    def _make_room(self, stop: Stop, wall_ms: int) -> Effects:
        """Do what a batch was ended for: a day begins, or a new user comes to many."""
        limits = self.version.checked.definitions.retention
        assert limits is not None
        if stop.day is not None and limits.idle is not None:
            return self._forget("idle", retention.idle_users(self.rows, self.users, limits.idle, stop.day), wall_ms)
        assert limits.users_max is not None
        return self._forget("limit", retention.longest_idle(self.rows, self.users, limits.users_max), wall_ms)

    def _pass_day(self, before_ms: int | None, wall_ms: int, effects: Effects) -> None:
        """Let a UTC day begin if the partition clock has come from `before_ms` to another without a record."""
        limits = self.version.checked.definitions.retention
        if limits is None or limits.idle is None or before_ms is None or self.clock_ms is None:
            return
        if self.clock_ms // DAY_MS > before_ms // DAY_MS:
            effects.add(self._make_room(Stop(self.clock_ms // DAY_MS), wall_ms))

    def _forget(self, why: str, slots: retention.Slots, wall_ms: int) -> Effects:
        """Take users out of all segments, wipe their rows and give up their slots and texts."""
        if not len(slots):
            return Effects()
        effects = Effects(forgotten_counts={why: len(slots)})
        assert self.clock_ms is not None, "there are users"
        self.rows.carried_over(np.arange(self.rows.count, dtype=np.int64))
        samples = retention.samples_pending(self.version, self.rows, slots)
        self._pass.forget(slots, self.clock_ms, self.passed_ms, wall_ms, effects)
        for slot in slots.tolist():
            self.rows.wipe(slot)
            self.erasures.by_slot.pop(slot, None)
            effects.forgotten.append(self.users.ids[slot])
            self.users.forget(slot)
        effects.samples_dropped += samples
        effects.texts_dropped += self.strings.keep(retention.texts_used(self.version, self.rows, len(self.strings)))
        self._pass.lay_out_texts()
        self._begin_decoding()
        return effects

    def work(self, rows_max: int, *, wall_ms: int) -> Effects:
        """Evaluate up to `rows_max` users whom the version in force has yet to see."""
        effects = Effects()
        last = min(self.rows.count, self.taken + rows_max)
        self.rows.carried_over(np.arange(self.taken, last, dtype=np.int64))
        self._pass.take_effect(self.taken, last, wall_ms, effects)
        self.taken = last
        return effects

    def _pass_time(self, until: int, rows_max: int, wall_ms: int, effects: Effects) -> None:
        if not self._is_anyone_due(until):  # an idle partition asks several times a second
            return
        complete = False
        while not complete:
            complete = self._pass.collect(until, rows_max) or rows_max < EVERYTHING
            self._pass.drain(until, wall_ms, effects)

    # What is known.

    def members(self) -> dict[str, int]:
        """Return how many users are in each segment (tiers and clusters by their full id)."""
        return member_counts(self.version, self.rows, self.strings)

    def memberships(self, slots: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the membership record of each user (of `slots`) who has had a transition."""
        chosen = range(self.rows.count) if slots is None else slots
        return memberships(self.version, self.rows, self.users, self.strings, self.passed_ms, chosen)

    def explain(self, user_id: str) -> dict[str, Any] | None:
        """Return why a user is where she is: every segment's clauses with their values; None if she is unknown."""
        slot = self.users.slots.get(user_id)
        if slot is None or slot >= self.rows.count:
            return None
        self.rows.carried_over(np.array([slot], np.int64))
        return explain(
            self.version, self.rows, self.strings, self.zones, self._pass.outputs, user_id, slot, self.passed_ms
        )

    def export(self, user_id: str) -> dict[str, Any] | None:
        """Return all that is known of a user: why she is where she is, and every column of her row; None if nothing."""
        explained = self.explain(user_id)
        if explained is None:
            return None
        row = self.rows.rows[self.users.slots[user_id], : self.rows.layout.words].copy()
        return {**explained, "columns": columns_of(self.rows.layout, row, self.strings)}

    # Saving.

    def to_bytes(self) -> bytes:
        """Return everything the engine knows; work that a version left over is kept as left over."""
        rows, version = self.rows, self.version
        rows.carried_over(np.arange(rows.count, dtype=np.int64))
        settings = version.program.settings[0]
        saved = Saved(
            format=FORMAT, topic=self.topic, partition=self.partition, partitions=self.partitions,
            grace_ms=self.grace_ms, clock=self.clock, clock_ms=self.clock_ms, users=self.users.ids[: rows.count],
            texts=self.strings.texts, zones=self.zones.names, hashes=self.hashes,
            model=version.model.hash if version.model else None, version_clock=int(settings["version_clock"]),
            version_cause=int(settings["version_cause"]), retired=version.retired,
            braked=sorted(self.braked), layout=rows.layout.as_list(), words=rows.layout.words,
            rows=rows.rows[: rows.count, : rows.layout.words].tobytes(), due=rows.due[: rows.count].tobytes(),
            hours={campaign.id: rows.hours[place].tobytes() for place, campaign in enumerate(version.campaigns)},
            taken=self.taken, passed_ms=self.passed_ms, erased=self.erasures.known(),
        )  # fmt: skip
        return msgspec.msgpack.encode(saved)

    @classmethod
    def from_bytes(cls, data: bytes, checked: Checked, mapping: Mapping, model: Snapshot | None = None,
                   pseudonyms: Pseudonyms | None = None) -> "Engine":  # fmt: skip
        """Return an engine that goes on where the saved one was, under the version it was under.

        Raises `saving.StateError` if the bytes are no saved state, or one under other definitions or another model, and
        UnknownKeyError if somebody was erased under a key that isn't there.
        """
        saved = saving.read(data, checked, model)
        past = saving.past_of(saved, checked, mapping, model, pseudonyms or Pseudonyms())
        return cls.resumed(past, partial(restored_rows, saved))

    @classmethod
    def resumed(cls, past: Past, rows_under: Callable[[Version], Rows]) -> "Engine":
        """Return an engine that goes on from what is known of one; `rows_under` gives its rows under the version."""
        engine = cls.__new__(cls)
        engine._resume(past, rows_under)  # noqa: SLF001  its own
        return engine

    def _resume(self, past: Past, rows_under: Callable[[Version], Rows]) -> None:
        self._place(past.mapping, past.topic, past.partition, past.partitions, past.grace_ms, past.clock)
        self._name(past.users, past.strings, past.zones)
        self.erasures = past.erasures
        if len(self.erasures):
            for user_id, slot in self.users.slots.items():
                self.erasures.note(slot, user_id)
        self.clock_ms = past.clock_ms
        self.hashes = past.hashes
        self.braked = past.braked
        self.version = self._build(past.checked, past.model, past.version_clock_ms, past.version_cause, past.retired)
        self.rows = rows_under(self.version)
        for slot in self.users.free:
            self.rows.wipe(slot)
        self.taken = past.taken
        self.passed_ms = past.passed_ms
        self._begin_version()


def _days(batch: Batch, clock_ms: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield (records up to the end of a UTC day of the partition clock, the midnight after it; None after the last)."""
    days = batch.records[:, CLOCK] // DAY_MS
    if len(days):
        before = days[0] if clock_ms is None else clock_ms // DAY_MS
        for cut in np.flatnonzero(np.diff(days, prepend=before)).tolist():
            yield cut, int((days[cut - 1] if cut else before) + 1) * DAY_MS
    yield len(days), None
