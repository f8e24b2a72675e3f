"""Numbers for user ids and for texts.

The compiled pass works on numbers only: a user is a slot (her row), a product, category or trait text a string number.
Numbers are given in order of first appearance and never change, so they are a function of the log alone and are
part of the saved state.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Strings", "Users"]


class Users:
    """User ids and their slots, both ways: ``slots[ids[slot]] == slot``."""

    __slots__ = ("ids", "slots")

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids: list[str] = list(ids)
        self.slots: dict[str, int] = {user_id: slot for slot, user_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def slot(self, user_id: str) -> int:
        """The slot of a user, a new one at the end if she has none yet."""
        slot = self.slots.get(user_id)
        if slot is None:
            slot = self.slots[user_id] = len(self.ids)
            self.ids.append(user_id)
        return slot


class Strings:
    """Texts and their numbers, both ways: ``numbers[texts[number]] == number``."""

    __slots__ = ("numbers", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts: list[str] = list(texts)
        self.numbers: dict[str, int] = {text: number for number, text in enumerate(self.texts)}

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, text: str) -> int:
        """The number of a text, a new one at the end if it has none yet."""
        number = self.numbers.get(text)
        if number is None:
            number = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return number
