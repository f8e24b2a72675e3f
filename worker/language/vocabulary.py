"""The names a condition may use, and the nearest one to a name it may not.

The contract's features are always there; traits, targets and segments are those of the file the condition stands in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from worker.language.catalogue import FEATURE_NAMES

__all__ = ["CALLS", "Vocabulary", "nearest"]

CALLS: Final = ("interest", "trait", "percentile", "probability", "cluster", "member")


@dataclass(frozen=True)
class Vocabulary:
    """What a file declares; `segments` with groups and `group:tier`s, `clusters` the segments with `clusters: true`."""

    traits: Collection[str] = ()
    targets: Collection[str] = ()
    segments: Collection[str] = ()
    clusters: Collection[str] = ()

    def has_segment(self, name: str) -> bool:
        """Whether `name` is a segment, a group, one of its tiers, a clusters segment, or any cluster of one."""
        group, colon, cluster = name.partition(":")
        return name in self.segments or (group in self.clusters and bool(colon and cluster))

    def fault(self, call: str, argument: str) -> tuple[str, str | None] | None:
        """Return (message, nearest valid name) if `call` can't take `argument`."""
        match call:
            case "member" if not self.has_segment(argument):
                return f'name a segment of this file: there is no "{argument}"', nearest(argument, self.segments)
            case "trait" if argument not in self.traits:
                return f'declare "{argument}" under `traits`, or name one that is', nearest(argument, self.traits)
            case "probability" if argument not in self.targets:
                return f'name one of the `targets`: there is no "{argument}"', nearest(argument, self.targets)
            case "percentile" if argument not in FEATURE_NAMES:
                return f'name a feature: there is no "{argument}"', nearest(argument, FEATURE_NAMES)
            case "interest" if not 1 <= len(argument.encode("utf-8", "surrogatepass")) <= 256:
                return "name a category of 1 to 256 bytes", None
            case _:
                return None


def nearest(name: str, names: Collection[str]) -> str | None:
    """Return the most similar of `names`, if one is similar enough to have been meant.

    >>> nearest("cart_item", ["age", "cart_items"])
    'cart_items'
    """
    folded = name.lower()
    same = [candidate for candidate in names if candidate.lower() == folded]
    return next(iter(same or get_close_matches(folded[:128], sorted(names), n=1)), None)
