"""The ledger: records in, users' parts and accounts kept.

    decision      the first of a user in a run that gets as far as the holdout check assigns her to an arm: fired, held
                  out, or stopped by a limit; what was refused before it, deferred or cancelled assigns nobody
    conversion    counts for the user's part whose window it falls into, whenever it comes
    message       marks the part whose decision it names
    observation   tells, four weeks later, who is still active

The rule: it is a function of the records, in which those of a partition's decisions come in their order, and a record
after the decision that it follows from. Nothing is dropped uncounted: `take` says what became of a record.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from worker.core.pseudonyms import Pseudonyms
from worker.lift.accounts import HELD_SINCE_MS, Account, add_part, merge
from worker.lift.designs import ALL_CAMPAIGNS, GLOBAL, HELD_OUT, PROGRAMME, Design, Terms
from worker.lift.limits import Limits
from worker.lift.people import FIRED, Part, Person, join, told
from worker.lift.records import Converted, Decided, Observed, Record, Told, instant_ms

__all__ = ["FORGOTTEN_MS", "Kept", "Ledger", "Run"]

DAY_MS = 86_400_000
SEEN_WITHIN_SECONDS = 14 * 86_400
OBSERVED_UNTIL_MS = HELD_SINCE_MS + 8 * DAY_MS  # one of the weekly observations is before
FORGOTTEN_MS = 400 * DAY_MS
RUNS_KEPT = 4
VERSIONS_KEPT = 20
STOPS = ("rate_limit", "cap")
PLAIN = Pseudonyms()
EARLY_MS, EARLY_MAX = 7 * DAY_MS, 10_000
FAR_PAST = -(1 << 62)


class Early(msgspec.Struct, array_like=True):
    """A record whose decision is yet to be read, and its partition's clock when it came."""

    since_ms: int
    partition: int
    converted: Converted | None = None
    told: Told | None = None


class Run(msgspec.Struct):
    """A design, and what is known of it as a whole; `closed` are the accounts of users who are gone, by arm."""

    design: Design
    definitions: list[str] = []  # labels of the versions under which it ran, the latest last
    began_ms: int = 0
    latest_ms: int = 0
    fired: dict[int, int] = {}  # decisions, not users, by arm
    cost_micros: dict[int, int] = {}
    closed: dict[int, Account] = {}


class Kept(msgspec.Struct):
    """What a ledger knows beside its users."""

    runs: dict[str, list[Run]] = {}  # by campaign, the latest last
    limits: Limits = msgspec.field(default_factory=Limits)
    clocks: dict[int, int] = {}  # by partition: the newest instant, ms
    early: dict[str, list[Early]] = {}  # by user: what came before the decision that it follows from
    erased: dict[str, int] = {}  # pseudonym: when she asked; until her records of before are gone


class Ledger:
    """Everything lift knows. `changed` are the users that somebody has yet to store."""

    def __init__(self, partitions: int = 1, kept: Kept | None = None, people: dict[str, Person] | None = None, *,
                 pseudonym: Callable[[str], str] = PLAIN.of) -> None:  # fmt: skip
        self.partitions, self._pseudonym = partitions, pseudonym
        self.kept = kept or Kept()
        self.people = people or {}
        self.changed: set[str] = set()
        self._terms: dict[str, dict[str, Terms]] = {}
        self._programmes: dict[str, Design | None] = {}

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
        clocks = self.kept.clocks
        clocks[partition] = max(clocks.get(partition, at_ms), at_ms)

    def _decision(self, decision: Decided, partition: int) -> str:
        at_ms = instant_ms(decision.decided_at)
        self._passed(partition, at_ms)
        assigned = decision.outcome in ("fired", "held_out") or decision.blocked_by in STOPS
        if not assigned:
            return "not_assigned"
        terms = self._terms.get(decision.definition, {}).get(decision.campaign)
        if terms is None:
            return "unknown_version"
        if self._is_erased(decision.user_id, at_ms):
            return "erased"
        person = self.people.setdefault(decision.user_id, Person())
        self.changed.add(decision.user_id)
        person.latest[decision.campaign] = max(at_ms, person.latest.get(decision.campaign, at_ms))
        limited = self._limited(decision, terms, person, at_ms, partition)
        if not terms.live:
            self._take_early(decision.user_id)
            return "rehearsed"
        until_ms = at_ms + terms.design.within_ms
        fresh = Part("", _arm(decision, terms), at_ms, until_ms, partition, limited, decision.campaign)
        self._assign(decision, terms, person, fresh)
        self._take_early(decision.user_id)
        return "taken"

    def _limited(self, decision: Decided, terms: Terms, person: Person, at_ms: int, partition: int) -> bool:
        """Whether a limit stopped the decision or would have; and count it against the limits."""
        limits = self.kept.limits
        if decision.outcome == "suppressed":
            return True
        limited = decision.outcome == "held_out" and limits.stop(
            terms, decision.campaign, person, at_ms, partition, self.partitions
        )
        if terms.caps and terms.channel:
            person.used(terms.channel, at_ms)
        if decision.outcome == "fired" and terms.per_hour_max is not None:
            limits.count(decision.campaign, partition, at_ms)
        return limited

    def _assign(self, decision: Decided, terms: Terms, person: Person, fresh: Part) -> None:
        """Give the user a part in the campaign's run, and in that of all campaigns; count what was fired."""
        for campaign, design, arm in self._runs_of(decision, terms, fresh.arm):
            run = self._run(campaign, design, decision.definition, fresh.decided_ms)
            part = person.part(campaign, design.run)
            if part is None:
                part = msgspec.structs.replace(fresh, run=design.run, arm=arm)
                person.parts[campaign] = [*person.parts.get(campaign, ()), part]
            if decision.outcome == "fired":
                run.fired[arm] = run.fired.get(arm, 0) + 1
                run.cost_micros[arm] = run.cost_micros.get(arm, 0) + terms.cost_micros
                part.seen |= FIRED
                join(part, decision.decision_id)
                part.cost_micros += terms.cost_micros if fresh.decided_ms <= part.until_ms else 0

    def _runs_of(self, decision: Decided, terms: Terms, arm: int) -> Iterator[tuple[str, Design, int]]:
        """Yield (campaign, design, arm): the campaign's own, and that of all together if a success is defined."""
        yield decision.campaign, terms.design, arm
        programme = self._programmes.get(decision.definition)
        if programme is not None and terms.design.event is not None:
            yield ALL_CAMPAIGNS, programme, GLOBAL if arm == GLOBAL else PROGRAMME

    def _run(self, campaign: str, design: Design, label: str, at_ms: int) -> Run:
        """Return the run of a design, as the latest of its campaign."""
        runs = self.kept.runs.setdefault(campaign, [])
        run = next((run for run in runs if run.design.run == design.run), None)
        if run is None:
            run = Run(design, began_ms=at_ms)
        if not runs or runs[-1] is not run:
            runs[:] = [*(other for other in runs if other is not run), run][-RUNS_KEPT:]
        if label not in run.definitions:
            run.definitions = [*run.definitions, label][-VERSIONS_KEPT:]
        run.began_ms, run.latest_ms = min(run.began_ms, at_ms), max(run.latest_ms, at_ms)
        return run

    def _conversion(self, conversion: Converted, partition: int) -> str:
        person = self.people.get(conversion.user_id)
        decided_ms, at_ms = instant_ms(conversion.decided_at), instant_ms(conversion.occurred_at)
        if decided_ms > (person.latest.get(conversion.campaign, FAR_PAST) if person else FAR_PAST):
            early = Early(self._clock(partition), partition, converted=conversion)
            return self._wait(conversion.user_id, early, decided_ms)
        found = False
        for _, part in person.all_parts() if person else ():
            if part.campaign == conversion.campaign and part.decided_ms < at_ms <= part.until_ms:
                part.conversions += 1
                part.amount += round(conversion.amount * 100)
                found = True
        if found:
            self.changed.add(conversion.user_id)
        return "taken" if found else "outside"

    def _message(self, message: Told, partition: int) -> str:
        person = self.people.get(message.user_id)
        joined = [told(part, message.decision_id, message.event) for _, part in (person.all_parts() if person else ())]
        if any(joined):
            self.changed.add(message.user_id)
            return "taken"
        return self._wait(message.user_id, Early(self._clock(partition), partition, told=message))

    def _clock(self, partition: int) -> int:
        return self.kept.clocks.get(partition, 0)

    # What comes before its decision: topics are read side by side.

    def _wait(self, user_id: str, early: Early, decided_ms: int | None = None) -> str:
        """Keep a record until its decision comes, not for long, and not too many."""
        if self._is_erased(user_id, FAR_PAST if decided_ms is None else decided_ms) and user_id not in self.people:
            return "erased"
        if sum(map(len, self.kept.early.values())) >= EARLY_MAX:
            return "outside"
        self.kept.early[user_id] = [*self.kept.early.get(user_id, ()), early]
        return "early"

    def _take_early(self, user_id: str) -> None:
        for early in self.kept.early.pop(user_id, ()):
            record = early.converted or early.told
            if record is not None:
                self.take(record, early.partition)

    def _drop_early(self) -> None:
        """Give up what has waited for a week of its partition's time: nothing it follows from is known."""
        for user_id, waiting in list(self.kept.early.items()):
            left = [early for early in waiting if self._clock(early.partition) - early.since_ms <= EARLY_MS]
            self.kept.early[user_id] = left
            if not left:
                del self.kept.early[user_id]

    def _observation(self, observation: Observed, partition: int) -> str:
        at_ms, person = instant_ms(observation.observed_at), self.people.get(observation.user_id)
        self._passed(partition, at_ms)
        since_seconds = observation.features.get("time_since_activity")
        if person is None or since_seconds is None:
            return "outside"
        found = False
        for _, part in person.all_parts():
            if part.active < 0 and HELD_SINCE_MS <= at_ms - part.decided_ms < OBSERVED_UNTIL_MS:
                part.active = int(since_seconds <= SEEN_WITHIN_SECONDS)
                found = True
        if found:
            self.changed.add(observation.user_id)
        return "taken" if found else "outside"

    # Users who go.

    def erase(self, user_id: str, at_ms: int) -> bool:
        """Forget a user; what was counted of her stays, and what she did before `at_ms` counts no more.

        Returns whether there was anything about her.
        """
        found = user_id in self.people or user_id in self.kept.early
        self.kept.erased[self._pseudonym(user_id)] = at_ms
        self._close(user_id)
        return found

    def forget(self) -> None:
        """Give up what waits in vain; close the accounts of users of whom nothing can change any more."""
        self._drop_early()
        newest_ms = max(self.kept.clocks.values(), default=0)
        old_ms = newest_ms - FORGOTTEN_MS
        for user_id in [name for name, person in self.people.items() if max(person.latest.values()) < old_ms]:
            self._close(user_id)
        gone = [name for name, at_ms in self.kept.erased.items() if newest_ms - at_ms > FORGOTTEN_MS]
        for name in gone:
            del self.kept.erased[name]

    def _close(self, user_id: str) -> None:
        person = self.people.pop(user_id, None)
        self.kept.early.pop(user_id, None)
        self.changed.add(user_id)
        for campaign, part in person.all_parts() if person else ():
            run = next((run for run in self.kept.runs.get(campaign, ()) if run.design.run == part.run), None)
            if run is not None:
                add_part(run.closed.setdefault(part.arm, Account()), part, self.kept.clocks.get(part.partition, 0))

    def _is_erased(self, user_id: str, at_ms: int) -> bool:
        erased = self.kept.erased
        return bool(erased) and at_ms <= erased.get(self._pseudonym(user_id), at_ms - 1)

    # What it comes to.

    def accounts(self) -> dict[tuple[str, str], dict[int, Account]]:
        """Return the accounts by (campaign, run) and arm, of all users as of now."""
        found: dict[tuple[str, str], dict[int, Account]] = defaultdict(lambda: defaultdict(Account))
        for campaign, run in self.runs():
            for arm, account in run.closed.items():
                merge(found[campaign, run.design.run][arm], account)
        for person in self.people.values():
            for campaign, part in person.all_parts():
                clock_ms = self.kept.clocks.get(part.partition, 0)
                add_part(found[campaign, part.run][part.arm], part, clock_ms)
        return found

    def runs(self) -> Iterator[tuple[str, Run]]:
        """Yield (campaign, run), a campaign's latest last."""
        return ((campaign, run) for campaign, runs in self.kept.runs.items() for run in runs)

    def stored(self) -> Iterable[str]:
        """Return the users whose parts have changed, and forget that they have."""
        changed, self.changed = self.changed, set()
        return sorted(changed)


def _arm(decision: Decided, terms: Terms) -> int:
    """Return the arm of an assigned decision: as it was recorded, and where that doesn't say, as chance has it."""
    drawn = terms.arm_of(decision.user_id)
    if decision.outcome == "held_out":
        return drawn if drawn == GLOBAL else HELD_OUT
    if decision.outcome == "fired":
        return terms.design.variants.index(decision.variant)
    return drawn
