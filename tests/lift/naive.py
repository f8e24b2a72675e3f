"""Lift once more, as straight as docs/lift.md reads: dicts of users, of whom everything is walked whenever it is asked.

The rule: it is written from the page and not from `worker/lift/ledger.py`, which has to agree with it to the bit. What
designs are, and where chance puts a user, is taken as given.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from worker.core.timestamps import instant_ms
from worker.lift.designs import ALL_CAMPAIGNS, GLOBAL, HELD_OUT, PROGRAMME, Design, Terms
from worker.lift.records import Converted, Decided, Observed, Record, Told

__all__ = ["Naive"]

HOUR, DAY = 3_600_000, 86_400_000

Part = dict[str, Any]


class Naive:
    """What is known of every user, and of every run."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.terms: dict[str, tuple[dict[str, Terms], Design | None]] = {}
        self.parts: dict[str, list[Part]] = defaultdict(list)  # by user
        self.decided: dict[tuple[str, str], int] = {}  # the latest decision, by user and campaign
        self.sends: dict[tuple[str, str], list[int]] = defaultdict(list)  # by user and channel
        self.runs: dict[str, list[str]] = defaultdict(list)  # by campaign, the present one last
        self.fired: Counter[tuple[str, str, int]] = Counter()  # decisions, by campaign, run and arm
        self.cost_micros: Counter[tuple[str, str, int]] = Counter()
        self.hours: Counter[tuple[str, int, int]] = Counter()  # decisions fired, by campaign, partition and hour
        self.clocks: dict[int, int] = defaultdict(int)
        self.early: list[tuple[Converted | Told, int, int]] = []  # record, its partition, the clock when it came
        self.erased: dict[str, int] = {}
        self.closed: list[tuple[Part, int]] = []  # of users who are gone, and the clock when they went

    # Records.

    def take(self, record: Record, partition: int) -> str:
        """Take a record; say what became of it."""
        if isinstance(record, Decided):
            return self._decision(record, partition)
        if isinstance(record, Observed):
            return self._observation(record, partition)
        parts = self.parts.get(record.user_id, [])
        if isinstance(record, Told):
            marked = [part for part in parts if record.decision_id in part["joined"][-4:]]
            for part in marked:
                part["sent"] = True
                part["clicked"] |= record.event == "message_clicked"
            return "taken" if marked else self._wait(record, partition, None)
        decided_ms, at_ms = instant_ms(record.decided_at), instant_ms(record.occurred_at)
        if decided_ms > self.decided.get((record.user_id, record.campaign), -(10**18)):
            return self._wait(record, partition, decided_ms)
        within = [part for part in parts if part["of"] == record.campaign and part["from"] < at_ms <= part["until"]]
        for part in within:
            part["amounts"].append(round(record.amount * 100))
        return "taken" if within else "outside"

    def _decision(self, record: Decided, partition: int) -> str:
        user, campaign, at_ms = record.user_id, record.campaign, instant_ms(record.decided_at)
        self.clocks[partition] = max(self.clocks[partition], at_ms)
        stopped = record.blocked_by in ("rate_limit", "cap")
        if record.outcome not in ("fired", "held_out") and not stopped:
            return "not_assigned"
        if record.definition not in self.terms or campaign not in self.terms[record.definition][0]:
            return "unknown_version"
        if at_ms <= self.erased.get(user, -(10**18)):
            return "erased"
        terms = self.terms[record.definition][0][campaign]
        self.decided[user, campaign] = max(at_ms, self.decided.get((user, campaign), at_ms))
        limited = stopped or self._limited(record, terms, at_ms, partition)
        if terms.live:
            self._assign(record, terms, at_ms, partition, limited=limited)
        waiting = [(early, place) for early, place, _ in self.early if early.user_id == user]
        self.early = [early for early in self.early if early[0].user_id != user]
        for early, place in waiting:
            self.take(early, place)
        return "taken" if terms.live else "rehearsed"

    def _limited(self, record: Decided, terms: Terms, at_ms: int, partition: int) -> bool:
        """Both limits once more, for who is held out; a decision of either kind fills caps, a fired one the hour."""
        hour, used = (record.campaign, partition, at_ms // HOUR), self.sends[record.user_id, terms.channel or ""]
        allowed = terms.allowed_per_hour(partition, self.partitions)
        limited = record.outcome == "held_out" and (
            (allowed is not None and self.hours[hour] >= allowed)
            or any(sum(0 <= at_ms - when < cap.per_ms for when in used[-8:]) >= cap.limit for cap in terms.caps)
        )
        if terms.caps:
            used.append(at_ms)
        self.hours[hour] += record.outcome == "fired" and terms.per_hour_max is not None
        return limited

    def _assign(self, record: Decided, terms: Terms, at_ms: int, partition: int, *, limited: bool) -> None:
        for campaign, run, arm in self._runs_of(record, terms):
            self._take_up(campaign, run)
            mine = [part for part in self.parts[record.user_id] if (part["campaign"], part["run"]) == (campaign, run)]
            if not mine:
                mine = [{"campaign": campaign, "run": run, "arm": arm, "of": record.campaign, "from": at_ms,
                         "until": at_ms + terms.design.within_ms, "partition": partition, "limited": limited,
                         "joined": [], "sent": False, "clicked": False, "amounts": [], "cost": 0,
                         "active": None}]  # fmt: skip
                self.parts[record.user_id] += mine
            if record.outcome == "fired":
                self.fired[campaign, run, arm] += 1
                self.cost_micros[campaign, run, arm] += terms.cost_micros
                mine[0]["joined"].append(record.decision_id)
                mine[0]["cost"] += terms.cost_micros * (at_ms <= mine[0]["until"])

    def _take_up(self, campaign: str, run: str) -> None:
        """The run is the present one; the fifth last is given up with everything in it, and would begin anew."""
        runs = self.runs[campaign] = [*(other for other in self.runs[campaign] if other != run), run]
        gone = {(campaign, other) for other in runs[:-4]}
        self.runs[campaign] = runs[-4:]
        for user, parts in self.parts.items():
            self.parts[user] = [part for part in parts if (part["campaign"], part["run"]) not in gone]
        self.closed = [(part, at_ms) for part, at_ms in self.closed if (part["campaign"], part["run"]) not in gone]
        for counts in (self.fired, self.cost_micros):
            for key in [key for key in counts if key[:2] in gone]:
                del counts[key]

    def _runs_of(self, record: Decided, terms: Terms) -> Iterator[tuple[str, str, int]]:
        arm = terms.arm_of(record.user_id)
        if record.outcome == "held_out" and arm != GLOBAL:
            arm = HELD_OUT
        elif record.outcome == "fired":
            arm = terms.design.variants.index(record.variant)
        yield record.campaign, terms.design.run, arm
        programme = self.terms[record.definition][1]
        if programme is not None and terms.design.event is not None:
            yield ALL_CAMPAIGNS, programme.run, GLOBAL if arm == GLOBAL else PROGRAMME

    def _wait(self, record: Converted | Told, partition: int, decided_ms: int | None) -> str:
        erased_ms = self.erased.get(record.user_id)
        known = any(user == record.user_id for user, _ in self.decided)
        if erased_ms is not None and not known and (decided_ms is None or decided_ms <= erased_ms):
            return "erased"
        self.early.append((record, partition, self.clocks[partition]))
        return "early"

    def _observation(self, record: Observed, partition: int) -> str:
        at_ms, since_seconds = instant_ms(record.observed_at), record.features["time_since_activity"]
        self.clocks[partition] = max(self.clocks[partition], at_ms)
        seen = [part for part in self.parts.get(record.user_id, ())
                if part["active"] is None and 28 * DAY <= at_ms - part["from"] < 36 * DAY]  # fmt: skip
        if since_seconds is None:
            return "outside"
        for part in seen:
            part["active"] = since_seconds <= 14 * 86_400
        return "taken" if seen else "outside"

    # Time, and users who go.

    def pass_time(self, until_ms: int) -> None:
        """Let time pass everywhere."""
        for partition in range(self.partitions):
            self.clocks[partition] = max(self.clocks[partition], until_ms)

    def erase(self, user: str, at_ms: int) -> None:
        """Forget a user."""
        self.erased[user] = at_ms
        self._close(user)

    def forget(self) -> None:
        """Forget what nothing can change any more."""
        midnight_ms = max(self.clocks.values(), default=0) // DAY * DAY
        self.early = [early for early in self.early if self.clocks[early[1]] - early[2] <= 7 * DAY]
        latest: dict[str, int] = {}
        for (user, _), at_ms in self.decided.items():
            latest[user] = max(at_ms, latest.get(user, at_ms))
        for user, at_ms in latest.items():
            if at_ms < midnight_ms - 400 * DAY:
                self._close(user)
        self.erased = {user: at_ms for user, at_ms in self.erased.items() if at_ms >= midnight_ms - 400 * DAY}

    def _close(self, user: str) -> None:
        self.closed += [(part, self.clocks[part["partition"]]) for part in self.parts.pop(user, [])]
        self.early = [early for early in self.early if early[0].user_id != user]
        self.decided = {key: at_ms for key, at_ms in self.decided.items() if key[0] != user}
        self.sends = defaultdict(list, {key: used for key, used in self.sends.items() if key[0] != user})

    # What it comes to.

    def accounts(self) -> dict[tuple[str, str, int], Counter[str]]:
        """Return by campaign, run and arm what is counted; what is 0 may be missing."""
        found: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
        there = [(part, self.clocks[part["partition"]]) for parts in self.parts.values() for part in parts]
        for part, clock_ms in [*self.closed, *there]:
            account = found[part["campaign"], part["run"], part["arm"]]
            account.update(_counted(part))
            if not part["limited"]:
                account.update(_seen(part))
                account.update(_judged(part) if clock_ms >= part["until"] + HOUR else {})
        return found


def _counted(part: Part) -> dict[str, int]:
    return {
        "assigned": 1, "limited": int(part["limited"]), "fired": int(bool(part["joined"])), "sent": int(part["sent"]),
        "clicked": int(part["clicked"]), "converted": int(bool(part["amounts"])),
        "conversions": len(part["amounts"]), "amount": sum(part["amounts"]),
    }  # fmt: skip


def _seen(part: Part) -> dict[str, int]:
    return {"observed": int(part["active"] is not None), "active": int(part["active"] or 0)}


def _judged(part: Part) -> dict[str, int]:
    return {
        "users": 1, "users_converted": int(bool(part["amounts"])), "users_amount": sum(part["amounts"]),
        "amount_squares": sum(part["amounts"]) ** 2, "users_fired": int(bool(part["joined"])),
        "users_cost_micros": part["cost"],
    }  # fmt: skip
