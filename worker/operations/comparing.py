"""What is live beside what was recomputed, user by user. Pure.

The rule: segments and times must be the same to the letter, numbers that conditions see to nine digits.
"""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["Difference", "clauses_of", "differences"]

Difference = dict[str, Any]  # what, live, recomputed


def differences(live: Mapping[str, Any], recomputed: Mapping[str, Any]) -> list[Difference]:
    """Return where two views of a user differ, member by member of either."""
    return [
        {"what": name, "live": live.get(name), "recomputed": recomputed.get(name)}
        for name in {**live, **recomputed}
        if not _alike(live.get(name), recomputed.get(name))
    ]


def clauses_of(explained: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the clauses of an explanation, as the recomputation has them: `ID enter`, `ID exit`."""
    found = {}
    for segment in explained["segments"]:
        for side in ("enter", "exit"):
            if clauses := segment[side]:
                found[f"{segment['id']} {side}"] = [
                    {"clause": clause["clause"], "value": clause["value"]} for clause in clauses
                ]
    return found


def _alike(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return ours.keys() == theirs.keys() and all(_alike(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        if not isinstance(ours, int | float) or not isinstance(theirs, int | float):
            return False
        return math.isclose(ours, theirs, rel_tol=1e-9)
    return bool(ours == theirs)
