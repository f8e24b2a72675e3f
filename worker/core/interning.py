"""Numbers for user ids and for texts.

The compiled pass works on numbers only: a user is a slot (her row), a product, category or trait text a string number.
Numbers are given in order of first appearance and never change, so they are a function of the log alone and are
part of the saved state.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

__all__ = ["Asked", "Strings", "Users"]


class Users:
    """User ids and their slots, both ways: ``slots[ids[slot]] == slot``; a slot that nobody has is named ""."""

    __slots__ = ("_begun_anew", "_forgotten", "_free", "ids", "slots")

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids: list[str] = list(ids)
        self.slots: dict[str, int] = {user_id: slot for slot, user_id in enumerate(self.ids) if user_id}
        self._free: list[int] = [slot for slot, user_id in enumerate(self.ids) if not user_id]
        self._begun_anew: list[int] = []
        self._forgotten: list[str] = []

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def free(self) -> list[int]:
        """The slots that nobody has, ascending."""
        return sorted(self._free)

    def slot(self, user_id: str) -> int:
        """The slot of a user; if she has none yet the lowest that nobody has any more, else a new one at the end."""
        slot = self.slots.get(user_id)
        if slot is None:
            if self._free:
                slot = heapq.heappop(self._free)
                self.ids[slot] = user_id
                self._begun_anew.append(slot)
            else:
                slot = len(self.ids)
                self.ids.append(user_id)
            self.slots[user_id] = slot
        return slot

    def forget(self, slot: int) -> None:
        """Take a slot away from who has it."""
        self._forgotten.append(self.ids[slot])
        del self.slots[self.ids[slot]]
        self.ids[slot] = ""
        heapq.heappush(self._free, slot)

    def begun_anew(self, among: Collection[int]) -> list[int]:
        """Return, once each, those of some slots that were given to somebody after somebody else."""
        found = [slot for slot in self._begun_anew if slot in among]
        self._begun_anew = [slot for slot in self._begun_anew if slot not in among]
        return found

    def take_forgotten(self) -> list[str]:
        """Return the ids forgotten since the last call, in order."""
        forgotten, self._forgotten = self._forgotten, []
        return forgotten


class Strings:
    """Texts and their numbers, both ways: ``numbers[texts[number]] == number``; a text that was dropped is ""."""

    __slots__ = ("_dropped", "numbers", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts: list[str] = list(texts)
        self.numbers: dict[str, int] = {text: number for number, text in enumerate(self.texts) if text}
        self._dropped: list[int] = []

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of a text, a new one at the end if it has none yet."""
        number = self.numbers.get(text)
        if number is None:
            number = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def keep(self, numbers: Collection[int]) -> int:
        """Drop all texts but those of these numbers; return how many went. Nobody gets their numbers again."""
        dropped = [number for number, text in enumerate(self.texts) if text and number not in numbers]
        for number in dropped:
            del self.numbers[self.texts[number]]
            self.texts[number] = ""
        self._dropped += dropped
        return len(dropped)

    def take_dropped(self) -> list[int]:
        """Return the numbers of the texts dropped since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped


class Asked(Strings):
    """The same texts and numbers, with the numbers that were asked for."""

    __slots__ = ("asked",)

    def __init__(self, strings: Strings) -> None:
        self.texts, self.numbers = strings.texts, strings.numbers
        self.asked: set[int] = set()

    def number(self, text: str) -> int:
        """The number of a text, which is remembered."""
        number = super().number(text)
        self.asked.add(number)
        return number
