"""What is true of a simulated shop, as an object that JSON can hold: the answer sheet for whoever reads the events."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.simulate.faults import Courier
from worker.simulate.incidents import span_ms
from worker.simulate.reactions import Reactions
from worker.simulate.records import EVENT_NAMES, Act
from worker.simulate.shop import Settings
from worker.simulate.shoppers import ANONYMOUS, CHURNING, NEVER, TYPES, Population

__all__ = ["truth_of", "type_of"]


def truth_of(
    settings: Settings, *, people: Population, courier: Courier, reactions: Reactions, acts: NDArray[np.int64]
) -> dict[str, Any]:
    """The whole truth.

    `user_types.letters` has one letter per user: letter *i* is that of user `u-<i>`, or, in upper case, of the
    anonymous user `anon:a-<i>`; `user_types.names` says which letter is which type. `records` = `events` + duplicates +
    malformed. A churning user begins no visit from `churning_leave_day` on (days after the start, by user number).
    """
    names = {act: EVENT_NAMES.get(act, act.name.lower()) for act in Act}
    events = {names[act]: int(acts[act]) for act in Act if acts[act]}
    duplicates, malformed = dict(sorted(courier.duplicates.items())), dict(sorted(courier.malformed.items()))
    return {
        "settings": settings.model_dump(mode="json"),
        "users": settings.users,
        "user_types": {
            "names": {kind.letter: kind.name for kind in TYPES},
            "counts": _counts(people),
            "letters": _letter_per_user(people),
        },
        "churning_leave_day": _leave_days(people),
        "events": events,
        "records": sum(events.values()) + sum(duplicates.values()) + sum(malformed.values()),
        "faults": {"late": courier.late, "duplicates": duplicates, "malformed": malformed},
        "incidents": _incidents(settings),
        "reactions": reactions.truth(),
    }


def type_of(truth: dict[str, Any], user_id: str) -> str:
    """The type's name of a user, from a truth (also one read from a file)."""
    user_types = truth["user_types"]
    letter = user_types["letters"][int(user_id.rpartition("-")[2])]
    return str(user_types["names"][letter.lower()])


def _letter_per_user(people: Population) -> str:
    known = np.array([ord(kind.letter) for kind in TYPES], np.uint8)
    anonymous = np.array([ord(kind.letter.upper()) for kind in TYPES], np.uint8)
    pieces = []
    for users in people.chunks():
        kinds = people.types(users)
        pieces.append(np.where(people.flags[users] & ANONYMOUS, anonymous[kinds], known[kinds]).tobytes())
    return b"".join(pieces).decode("ascii")


def _counts(people: Population) -> dict[str, int]:
    counted = Counter[str]()
    for users in people.chunks():
        for kind, count in zip(TYPES, np.bincount(people.types(users), minlength=len(TYPES)).tolist(), strict=True):
            counted[kind.name] += count
    return dict(counted)


def _leave_days(people: Population) -> dict[str, int]:
    leaving = np.flatnonzero((people.cohort % np.uint8(len(TYPES)) == CHURNING) & (people.leaves_day < NEVER))
    return {str(user): int(people.leaves_day[user]) for user in leaving.tolist()}


def _incidents(settings: Settings) -> list[dict[str, Any]]:
    told = []
    for incident in settings.incidents:
        begins, ends = (min(instant, settings.end_ms) for instant in span_ms(incident, settings.start_ms))
        told.append(incident.model_dump() | {"begins_at": _stamp(begins), "ends_at": _stamp(ends)})
    return told


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
