"""The ledger: records in, users' parts and accounts kept.

    decision      the first of a user in a run that gets as far as the holdout check assigns her to an arm: fired, held
                  out, or stopped by a limit; what was refused before it, deferred or cancelled assigns nobody
    conversion    counts for the user's part whose window it falls into, whenever it comes
    message       marks the part whose decision it names
    observation   tells, four weeks later, who is still active

The rule: it is a function of the records, in which those of a partition's decisions come in their order, and a record
after the decision that it follows from. Nothing is dropped uncounted: `take` says what became of a record. What it
knows is on shelves, from which it can be made again.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.events import EXACT_MAX
from worker.core.pseudonyms import Pseudonyms
from worker.core.timestamps import instant_ms
from worker.lift.accounts import Account, Totals, merge, totals
from worker.lift.designs import ALL_CAMPAIGNS, GLOBAL, HELD_OUT, PROGRAMME, Design, Terms
from worker.lift.limits import Limits
from worker.lift.people import ACTIVE, LIMITED, OBSERVED, Part, Person, last_ms, name_of
from worker.lift.records import Converted, Decided, Observed, Record, Told
from worker.lift.runs import Campaign, Run
from worker.lift.shelves import Entries, People, Shelf
from worker.lift.waiting import Early, Waiting

__all__ = ["FORGOTTEN_MS", "History", "Ledger"]

DAY_MS = 86_400_000
SEEN_WITHIN_SECONDS = 14 * 86_400
FORGOTTEN_MS = 400 * DAY_MS
STOPS = ("rate_limit", "cap")
PLAIN = Pseudonyms()
FAR_PAST = -(1 << 62)
NOTHING: Mapping[str, Entries] = MappingProxyType({})

History = Shelf[list[dict[str, Any]]]
"""Points by campaign, oldest first: `LiftPoint` of `campaign-results`."""


class Ledger:
    """Everything lift knows. `clocks` are the partitions' newest instants, ms."""

    def __init__(self, partitions: int = 1, entries: Mapping[str, Entries] = NOTHING,
                 clocks: Mapping[int, int] | None = None, *,
                 pseudonyms: Pseudonyms = PLAIN) -> None:  # fmt: skip
        """`entries` are what `changes` told, by kind; it takes them over. Raises ValueError for what isn't such."""
        self.partitions, self._pseudonyms = partitions, pseudonyms
        self.clocks = dict(clocks or {})
        self.people = People(entries.get("user"))
        self.history: History = Shelf(list[dict[str, Any]], entries.get("history"))
        self._campaigns = Shelf(Campaign, entries.get("campaign"))
        self._hours = Shelf(dict[int, int], entries.get("hours"))
        self._early = Shelf(list[Early], entries.get("early"))
        self._erased = Shelf(int, entries.get("erased"))  # pseudonym: when she asked; until nothing of before comes
        self._limits, self.waiting = Limits(self._hours), Waiting(self._early)
        self._terms: dict[str, dict[str, Terms]] = {}
        self._programmes: dict[str, Design | None] = {}
        self._runs = {run.number: (name, run) for name, run in self.runs()}
        self._swept_day: int | None = None

    def know(self, label: str, terms: dict[str, Terms], programme: Design | None) -> None:
        """Take note of a version of the definitions, by its label."""
        self._terms[label], self._programmes[label] = terms, programme

    def knows(self, label: str) -> bool:
        """Return whether a version is known."""
        return label in self._terms

    # Records.

    def take(self, record: Record, partition: int = 0) -> str:
        """Take a record of a partition; return what became of it. Raises ValueError if it can't be understood."""
        if isinstance(record, Decided):
            return self._decision(record, partition)
        if isinstance(record, Converted):
            return self._conversion(record, partition)
        return self._message(record, partition) if isinstance(record, Told) else self._observation(record, partition)

    def pass_time(self, until_ms: int) -> None:
        """Let time pass in every partition, where nothing is left to read."""
        for partition in range(self.partitions):
            self._passed(partition, until_ms)

    def _passed(self, partition: int, at_ms: int) -> None:
        self.clocks[partition] = max(self.clocks.get(partition, at_ms), at_ms)

    def _clock(self, partition: int) -> int:
        return self.clocks.get(partition, 0)

    def _decision(self, decision: Decided, partition: int) -> str:
        at_ms = instant_ms(decision.decided_at)
        self._passed(partition, at_ms)
        if decision.outcome not in ("fired", "held_out") and decision.blocked_by not in STOPS:
            return "not_assigned"
        terms = self._terms.get(decision.definition, {}).get(decision.campaign)
        if terms is None:
            return "unknown_version"
        if self._is_erased(decision.user_id, at_ms):
            return "erased"
        self._decided(decision, terms, at_ms, partition)
        for record in self.waiting.take(decision.user_id):
            self.take(record.content, record.partition)
        return "taken" if terms.live else "rehearsed"

    def _decided(self, decision: Decided, terms: Terms, at_ms: int, partition: int) -> None:
        arm, named = _arm(decision, terms), name_of(decision.decision_id)
        number = self._campaign(decision.campaign).number
        person = self.people.get(decision.user_id) or Person()
        person.latest[number] = max(at_ms, person.latest.get(number, at_ms))
        limited = self._limited(decision, terms, person, at_ms, partition)
        if terms.live:
            seen, until_ms = LIMITED if limited else 0, at_ms + terms.design.within_ms
            fresh = Part(0, number, partition, arm, seen, 0, at_ms, until_ms, 0, 0, ())
            self._assign(decision, terms, person, fresh, named)
        self.people.put(decision.user_id, person)

    def _limited(self, decision: Decided, terms: Terms, person: Person, at_ms: int, partition: int) -> bool:
        """Whether a limit stopped the decision or would have; and count it against the limits."""
        if decision.outcome == "suppressed":
            return True
        limited = decision.outcome == "held_out" and self._limits.stop(
            terms, decision.campaign, person, at_ms, partition, self.partitions
        )
        if terms.caps and terms.channel:
            person.used(terms.channel, at_ms)
        if decision.outcome == "fired" and terms.per_hour_max is not None:
            self._limits.count(decision.campaign, partition, at_ms)
        return limited

    def _assign(self, decision: Decided, terms: Terms, person: Person, fresh: Part, named: int) -> None:
        """Give the user a part in the campaign's run, and in that of all campaigns; count what was fired."""
        for campaign, design, arm in self._runs_of(decision, terms, fresh.arm):
            run = self._run(campaign, design, decision.definition, fresh.decided_ms)
            part = person.part(run.number)
            if part is None:
                part = msgspec.structs.replace(fresh, run=run.number, arm=arm)
                person.parts = [*self._parts(person), part]
            if decision.outcome == "fired":
                run.fire(arm, terms.cost_micros)
                part.fire(named, terms.cost_micros if fresh.decided_ms <= part.until_ms else 0)

    def _runs_of(self, decision: Decided, terms: Terms, arm: int) -> Iterator[tuple[str, Design, int]]:
        """Yield (campaign, design, arm): the campaign's own, and that of all together if a success is defined."""
        yield decision.campaign, terms.design, arm
        programme = self._programmes.get(decision.definition)
        if programme is not None and terms.design.event is not None:
            yield ALL_CAMPAIGNS, programme, GLOBAL if arm == GLOBAL else PROGRAMME

    def _campaign(self, name: str) -> Campaign:
        """Return a campaign, with a number of its own if it is new."""
        campaign = self._campaigns.get(name)
        if campaign is None:
            campaign = Campaign(len(self._campaigns))
            self._campaigns.put(name, campaign)
        return campaign

    def _run(self, name: str, design: Design, label: str, at_ms: int) -> Run:
        """Return the run of a design, as the latest of its campaign."""
        campaign = self._campaign(name)
        run = campaign.run(design, label, at_ms)
        self._campaigns.put(name, campaign)
        if run.number not in self._runs:
            self._runs = {run.number: (name, run) for name, run in self.runs()}
        return run

    def _conversion(self, conversion: Converted, partition: int) -> str:
        person, campaign = self.people.get(conversion.user_id), self._campaigns.get(conversion.campaign)
        decided_ms, at_ms = instant_ms(conversion.decided_at), instant_ms(conversion.occurred_at)
        if not 0 <= (hundredths := conversion.amount * 100) <= EXACT_MAX:
            raise ValueError("an amount that no order has")
        if person is None or campaign is None or decided_ms > person.latest.get(campaign.number, FAR_PAST):
            early = Early(self._clock(partition), partition, converted=conversion)
            return self._wait(conversion.user_id, early, decided_ms)
        found = [part for part in self._parts(person) if part.counts(campaign.number, at_ms)]
        for part in found:
            part.convert(round(hundredths))
        return self._found(conversion.user_id, person, found)

    def _message(self, message: Told, partition: int) -> str:
        named, person = name_of(message.decision_id), self.people.get(message.user_id)
        found = [part for part in self._parts(person) if named in part.joined]
        for part in found:
            part.tell(message.event)
        if person is None or not found:
            return self._wait(message.user_id, Early(self._clock(partition), partition, told=message))
        return self._found(message.user_id, person, found)

    def _observation(self, observation: Observed, partition: int) -> str:
        at_ms, person = instant_ms(observation.observed_at), self.people.get(observation.user_id)
        self._passed(partition, at_ms)
        since_seconds = observation.features.get("time_since_activity")
        if person is None or since_seconds is None:
            return "outside"
        found = [part for part in self._parts(person) if part.is_to_be_observed(at_ms)]
        for part in found:
            part.seen |= OBSERVED | (ACTIVE if since_seconds <= SEEN_WITHIN_SECONDS else 0)
        return self._found(observation.user_id, person, found)

    def _parts(self, person: Person | None) -> list[Part]:
        """Return a user's parts in the runs that are kept."""
        return [part for part in person.parts if part.run in self._runs] if person is not None else []

    def _found(self, user_id: str, person: Person, found: list[Part]) -> str:
        """Keep a user if some part of hers has changed."""
        if not found:
            return "outside"
        self.people.put(user_id, person)
        return "taken"

    def _wait(self, user_id: str, early: Early, decided_ms: int | None = None) -> str:
        """Keep a record until its decision comes, if there is room."""
        if self._is_erased(user_id, FAR_PAST if decided_ms is None else decided_ms) and user_id not in self.people:
            return "erased"
        return "early" if self.waiting.put(user_id, early) else "outside"

    # Users who go.

    def erase(self, user_id: str, at_ms: int) -> bool:
        """Forget a user; what was counted of her stays, and what she did before `at_ms` counts no more.

        Returns whether there was anything about her.
        """
        found = user_id in self.people or self._early.get(user_id) is not None
        self._erased.put(self._pseudonyms.of(user_id), at_ms)
        self._close([user_id])
        return found

    def forget(self) -> None:
        """Give up what waits in vain; close, once a day, the accounts of users of whom nothing can change any more."""
        self.waiting.give_up(self._clock)
        newest_ms = max(self.clocks.values(), default=0)
        if newest_ms // DAY_MS == self._swept_day:
            return
        self._swept_day = newest_ms // DAY_MS
        old_ms = self._swept_day * DAY_MS - FORGOTTEN_MS
        self._close([name.decode() for name, entry in self.people.entries().items() if last_ms(entry) < old_ms])
        for name in [name for name, at_ms in self._erased.items() if at_ms < old_ms]:
            self._erased.drop(name)

    def _close(self, user_ids: Iterable[str]) -> None:
        """Keep nothing of users but what they added to the accounts."""
        entries = [self.people.drop(user_id) for user_id in user_ids]
        for user_id in user_ids:
            self.waiting.take(user_id)
        for (number, arm), account in totals(filter(None, entries), self.clocks).items():
            if number in self._runs:
                name, run = self._runs[number]
                merge(run.closed.setdefault(arm, Account()), account)
                self._campaigns.put(name, self._campaign(name))

    def _is_erased(self, user_id: str, at_ms: int) -> bool:
        names = self._pseudonyms.all_of(user_id) if self._erased else []
        return any(at_ms <= erased_ms for erased_ms in map(self._erased.get, names) if erased_ms is not None)

    # What it comes to.

    def accounts(self) -> Totals:
        """Return the accounts of the runs there are, of all users as of now."""
        found = totals(self.people.entries().values(), self.clocks)
        for _, run in self.runs():
            for arm, account in run.closed.items():
                merge(found[run.number, arm], account)
        return found

    def campaigns(self) -> list[tuple[str, list[Run]]]:
        """Return (campaign, runs) of those that have any, the latest run last, in order of their first decision."""
        found = sorted(self._campaigns.items(), key=lambda item: item[1].number)
        return [(name, campaign.runs) for name, campaign in found if campaign.runs]

    def runs(self) -> Iterator[tuple[str, Run]]:
        """Yield (campaign, run), a campaign's latest last."""
        return ((name, run) for name, runs in self.campaigns() for run in runs)

    # What of it is to be stored.

    @property
    def _shelves(self) -> dict[str, People | Shelf[Any]]:
        return {"campaign": self._campaigns, "early": self._early, "erased": self._erased, "history": self.history,
                "hours": self._hours, "user": self.people}  # fmt: skip

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield (kind/name, entry or None) of what has changed since the last call."""
        for kind, shelf in self._shelves.items():
            yield from ((f"{kind}/".encode() + name, entry) for name, entry in shelf.changes())

    def counts(self) -> dict[str, int]:
        """Return how many entries there are, by kind."""
        return {kind: len(shelf) for kind, shelf in self._shelves.items()}


def _arm(decision: Decided, terms: Terms) -> int:
    """Return the arm of an assigned decision: as it was recorded, and where that doesn't say, as chance has it.

    Raises ValueError for a variant that there isn't.
    """
    if decision.outcome == "held_out":
        return GLOBAL if terms.is_global(decision.user_id) else HELD_OUT
    if decision.outcome == "fired":
        return terms.design.variants.index(decision.variant)
    return terms.arm_of(decision.user_id)
