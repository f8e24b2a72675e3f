"""The simulation: hour by hour who comes, slice by slice what happens, merged by arrival.

1. At midnight (UTC) everybody's rate for the day is set; at each hour it is drawn who visits, and when.
2. For each slice of the hour the visits that begin in it become records, with all that follows from them later on.
3. Records are delivered (late, twice, broken), and those that arrive within the slice are written in order of arrival;
   the rest wait. After the last slice the waiting ones come in a last batch: nothing that happened is lost.

Between two batches `react` may be given triggers. The length of a slice changes no byte but through them.
Memory: 14 bytes per user, 48 per waiting record (in time one for every eight users), twice that while an hour begins:
some 25 bytes per user in all, and one batch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.simulate.aftermath import NEWSLETTERS_PER_HOUR, follow_up, send_newsletters
from worker.simulate.calendar import Rhythm
from worker.simulate.catalog import Catalog
from worker.simulate.draws import Dice, Integers, Unsigned
from worker.simulate.faults import Courier
from worker.simulate.incidents import Incidents
from worker.simulate.reactions import Reactions
from worker.simulate.records import Act, Records, empty
from worker.simulate.sessions import visit
from worker.simulate.shop import DAY_MS, HOUR_MS, Settings
from worker.simulate.shoppers import FIRST_VISIT_HOURS, NEWCOMER, SEEN, Population
from worker.simulate.truth import truth_of
from worker.simulate.writing import Writer

__all__ = ["Batch", "Simulation"]

Chances = NDArray[np.float32]

FIRST_VISIT_RATE = 0.3
"""Times the rhythm's weight: the chance per hour that somebody who joins comes for the first time."""
VISIT_CHANCE_MAX = 0.9


@dataclass(frozen=True)
class Batch:
    """What reaches the topic in one slice, a row per record; of a broken one `users` has its original's."""

    payloads: list[bytes]
    arrivals_ms: list[int]
    users: NDArray[np.uint32]
    until_ms: int
    """The simulated time after this batch."""


class Waiting:
    """Records that have not arrived yet: those of the present hour apart, so that a slice looks at few."""

    def __init__(self) -> None:
        self._soon: list[Records] = []
        self._later: list[Records] = []
        self._hour_ends_ms = 0

    def add(self, events: Records) -> None:
        """Puts records away until they arrive."""
        soon = events["arrival"] < self._hour_ends_ms
        self._soon.append(events[soon])
        self._later.append(events[~soon])

    def begin_hour(self, ends_ms: int) -> None:
        """The present hour ends at `ends_ms`."""
        self._hour_ends_ms = ends_ms
        everything = np.concatenate([empty(), *self._soon, *self._later])
        self._soon, self._later = [], []
        self.add(everything)

    def arrived(self, until_ms: int) -> Records:
        """Takes out what arrives before `until_ms`, in order of arrival. `until_ms` is at most the end of the hour."""
        soon = np.concatenate([empty(), *self._soon])
        now = soon["arrival"] < until_ms
        self._soon = [soon[~now]]
        return _in_order(soon[now])

    def rest(self) -> Records:
        """Takes out everything, in order of arrival."""
        everything = np.concatenate([empty(), *self._soon, *self._later])
        self._soon, self._later = [], []
        return _in_order(everything)


class Simulation:
    """A simulated shop: take `batches()` once, give `react` the triggers in between, ask `truth()` at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now_ms = settings.start_ms
        self.acts = np.zeros(len(Act), np.int64)
        dice = Dice(settings.seed)
        self._dice = dice
        self._rhythm = Rhythm()
        self.people = Population(settings, dice)
        self.incidents = Incidents(settings)
        self.courier = Courier(settings, dice, self.incidents)
        self.reactions = Reactions(settings.reaction, self.people, settings.products, self.incidents)
        self._writer = Writer(self.people, Catalog(settings, dice), settings.currency, self.reactions.notes)
        self._waiting = Waiting()

    def batches(self) -> Iterator[Batch]:
        """Everything that reaches the topic, slice by slice (empty slices too), in order of arrival."""
        settings = self.settings
        for hour_ms in range(settings.start_ms, settings.end_ms, HOUR_MS):
            if (hour_ms - settings.start_ms) % DAY_MS == 0:
                self.people.begin_day((hour_ms - settings.start_ms) // DAY_MS)
            self.reactions.forget(hour_ms)
            self._waiting.begin_hour(hour_ms + HOUR_MS)
            plan = self._plan(hour_ms)
            for begins_ms in range(hour_ms, hour_ms + HOUR_MS, settings.slice_ms):
                self._happen(hour_ms, plan, begins_ms)
                self.now_ms = begins_ms + settings.slice_ms
                yield self._batch(self._waiting.arrived(self.now_ms))
        yield self._batch(self._waiting.rest())

    def react(self, triggers: Iterable[dict[str, Any]]) -> None:
        """Lets shoppers react to `campaign-triggers` records, from the present moment on. Give each trigger once.

        Raises KeyError or ValueError for what is no trigger.
        """
        events = self.reactions.react(triggers, self.now_ms, self.settings.end_ms)
        self.reactions.delivered(self._deliver(events))

    def keys(self, batch: Batch) -> list[bytes]:
        """The Kafka keys of a batch's records: the `userId` or the bare `anonymousId`."""
        return [self.people.user_id(user).removeprefix("anon:").encode() for user in batch.users.tolist()]

    def truth(self) -> dict[str, Any]:
        """What is so, as an object that JSON can hold: see `truth.py`. Complete once all batches are taken."""
        return truth_of(
            self.settings, people=self.people, courier=self.courier, reactions=self.reactions, acts=self.acts
        )

    def _plan(self, hour_ms: int) -> tuple[Integers, Integers, Integers]:
        """Who visits or is written to in this hour: user, instant, 1 for a visit and 0 for a newsletter; by instant."""
        weights = self._rhythm.weights(hour_ms) * np.float32(self.incidents.visits_factor(hour_ms))
        hour = np.array([(hour_ms - self.settings.start_ms) // HOUR_MS])
        found = [self._plan_chunk(users, weights, hour) for users in self.people.chunks()]
        users, lots, visits = (np.concatenate(column) for column in zip(*found, strict=True))
        times = hour_ms + ((lots & np.uint64(0xFFFFFFFF)) * np.uint64(HOUR_MS) >> np.uint64(32)).astype(np.int64)
        order = np.lexsort((users, times))
        return users[order], times[order], visits[order]

    def _plan_chunk(self, users: Integers, weights: Chances, hour: Integers) -> tuple[Integers, Unsigned, Integers]:
        people = self.people
        rows = slice(int(users[0]), int(users[-1]) + 1)
        weight = weights[people.cohort[rows]]
        seen = people.flags[rows] & SEEN != 0
        visit_chance = np.minimum(people.rate[rows] * weight, np.float32(VISIT_CHANCE_MAX))
        visit_chance[~seen] = self._first_visit_chance(rows, weight, visit_chance, int(hour[0]))[~seen]
        lots = self._dice.bits("hour", users, hour)
        lot = (lots >> np.uint64(40)) * 2.0**-24
        chosen = np.flatnonzero(lot < visit_chance + seen * np.where(weight > 0, NEWSLETTERS_PER_HOUR, 0))
        return users[chosen], lots[chosen], (lot[chosen] < visit_chance[chosen]).astype(np.int64)

    def _first_visit_chance(self, rows: slice, weight: Chances, usual: Chances, hour: int) -> Chances:
        """Of who hasn't been seen: customers come as usual, newcomers when they join, all before it's too late."""
        people = self.people
        overdue_hours = hour - people.due_hour[rows].astype(np.int32)
        chance = np.where(people.flags[rows] & NEWCOMER, np.float32(0), usual)
        chance = np.where(overdue_hours >= 0, weight * np.float32(FIRST_VISIT_RATE), chance)
        chance[(overdue_hours >= FIRST_VISIT_HOURS - 1) & (weight > 0)] = 1
        return chance

    def _happen(self, hour_ms: int, plan: tuple[Integers, Integers, Integers], begins_ms: int) -> None:
        users, times, visits = plan
        within = slice(*np.searchsorted(times, (begins_ms, begins_ms + self.settings.slice_ms)))
        users, times, is_visit = users[within], times[within], visits[within] == 1
        scene, buying = self.incidents.scene(hour_ms), self.incidents.buying_factor(hour_ms)
        events = visit(users[is_visit], times[is_visit], scene, buying, self.people)
        events = events[self.incidents.possible(events["time"])]
        orders = events[events["act"] == Act.ORDER]
        newsletters = send_newsletters(users[~is_visit], times[~is_visit], self.people)
        later = np.concatenate([follow_up(orders, self.people), newsletters])
        self._deliver(np.concatenate([events, later[self.incidents.possible(later["time"])]]))

    def _deliver(self, events: Records) -> Records:
        events = events[events["time"] < self.settings.end_ms]
        self.acts += np.bincount(events["act"], minlength=len(Act))
        delivered = self.courier.deliver(events)
        self._waiting.add(delivered)
        return delivered

    def _batch(self, events: Records) -> Batch:
        return Batch(self._writer.lines(events), events["arrival"].tolist(), events["user"].copy(), self.now_ms)


def _in_order(events: Records) -> Records:
    return events[np.lexsort((events["message"], events["arrival"]))]
