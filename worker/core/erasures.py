"""Who was erased, and up to when her events are as if they had never come.

The rule: of an erased user nothing is kept but her pseudonym, an instant and whether she is suppressed; and that for
as long as an event stamped before could still come in, for suppressed ones for good.
"""

from collections.abc import Iterable

import msgspec

from worker.core.layout import FOREVER
from worker.core.pseudonyms import Pseudonyms

__all__ = ["ERASED_KEPT_MS", "Erased", "Erasures"]

ERASED_KEPT_MS = 400 * 86_400_000  # no topic of events is kept for longer (docs/privacy.md)


class Erased(msgspec.Struct, frozen=True):
    """A user was erased: events of hers stamped at `until_ms` or before are ignored; all of them if suppressed."""

    subject: str
    key_version: int
    until_ms: int
    suppress: bool = False
    mark: str = ""  # of the key

    def joined(self, other: "Erased | None") -> "Erased":
        """Return what holds after both: the later instant, and suppression if either has it."""
        if other is None:
            return self
        until_ms = max(self.until_ms, other.until_ms)
        mark, suppress = self.mark or other.mark, self.suppress or other.suppress
        return Erased(self.subject, self.key_version, until_ms, suppress, mark)


class Erasures:
    """All that is known of erased users in a partition."""

    def __init__(self, pseudonyms: Pseudonyms, known: Iterable[Erased] = ()) -> None:
        """Raises UnknownKeyError if one is under a key that isn't there: she could come back unnoticed."""
        self.pseudonyms = pseudonyms
        self.by_slot: dict[int, int] = {}  # until when (ms), of those who came back
        self._known: dict[str, Erased] = {}
        self._versions: set[int] = set()
        self._changed: set[str] = set()
        for erased in known:
            self._keep(erased)

    def __len__(self) -> int:
        return len(self._known)

    def _keep(self, erased: Erased) -> None:
        self.pseudonyms.require(erased.key_version, erased.mark)
        self._known[erased.subject] = erased
        self._versions.add(erased.key_version)

    def take(self, erased: Erased, clock_ms: int | None) -> None:
        """Remember an erasure; forget those whose events can't come any more by the partition clock."""
        erased = msgspec.structs.replace(erased, mark=self.pseudonyms.mark(erased.key_version))
        self._keep(erased.joined(self._known.get(erased.subject)))
        self._changed.add(erased.subject)
        oldest_ms = (erased.until_ms if clock_ms is None else clock_ms) - ERASED_KEPT_MS
        for subject in [s for s, e in self._known.items() if e.until_ms < oldest_ms and not e.suppress]:
            del self._known[subject]
            self._changed.add(subject)
        self._versions = {each.key_version for each in self._known.values()}

    def until(self, user_id: str) -> int | None:
        """Return up to when a user's events are ignored, FOREVER if she is suppressed, None if she isn't erased."""
        found = None
        for version in self._versions:
            erased = self._known.get(self.pseudonyms.of(user_id, version))
            if erased is not None:
                found = max(FOREVER if erased.suppress else erased.until_ms, found or 0)
        return found

    def note(self, slot: int, user_id: str) -> None:
        """Note whose row is hers, if a user was erased and came back."""
        until_ms = self.until(user_id)
        if until_ms is not None:
            self.by_slot[slot] = until_ms

    def known(self) -> list[Erased]:
        """Return all, by pseudonym."""
        return [self._known[subject] for subject in sorted(self._known)]

    def take_changed(self) -> list[tuple[str, Erased | None]]:
        """Return (pseudonym, what is known now or None) of those who changed since the last call."""
        subjects, self._changed = sorted(self._changed), set()
        return [(subject, self._known.get(subject)) for subject in subjects]
