"""A condition's text, cut into tokens.

The rule: every character is accounted for. What can't be a token is a mistake with its offset, and the reader goes
on, so that all mistakes come out at once; what other languages write (`&&`, `=`) is read as what was meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from schemas.definitions import UNITS_MS

__all__ = ["ConditionMistake", "Token", "memberships", "source", "tokenize"]

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>[A-Za-z_][A-Za-z0-9_]*)?
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<foreign>&&?|\|\|?|<>|===|!==|=(?!=)|!(?!=))
    | (?P<operator>==|!=|<=|>=|[-<>+*/(),])
    | (?P<bad>["'].*|.)""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS: Final = {"and", "or", "not", "in"}
_MEANT: Final = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not",
                 "<>": "!=", "!==": "!=", "=": "==", "===": "=="}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConditionMistake:
    """What is wrong at `offset` (0-based, in the condition's text), and the nearest valid name if there is one."""

    offset: int
    message: str
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written, from `offset` on; `symbol` is the keyword or operator meant; `value` that of a literal."""

    kind: Literal["number", "text", "name", "symbol", "bad", "end"]
    text: str
    offset: int
    symbol: str = ""
    value: float | str = 0.0

    @property
    def end(self) -> int:
        """Offset just behind the token."""
        return self.offset + len(self.text)


def tokenize(text: str, mistakes: list[ConditionMistake]) -> list[Token]:
    """Return the tokens of `text`, the last one of kind `end`; what is wrong is added to `mistakes`."""
    tokens = list(_tokens(text, mistakes))
    tokens.append(Token("end", "", tokens[-1].end if tokens else 0))
    return tokens


def _tokens(text: str, mistakes: list[ConditionMistake]) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        found, offset = match[0], match.start()
        if match["number"] is not None:
            yield Token("number", found, offset, value=_number(match, mistakes))
        elif match["name"] is not None:
            yield Token("symbol", found, offset, found) if found in _KEYWORDS else Token("name", found, offset)
        elif match["text"] is not None:
            yield Token("text", found, offset, value=_unescaped(found[1:-1], offset + 1, mistakes))
        elif match["operator"] is not None:
            yield Token("symbol", found, offset, found)
        elif match["foreign"] is not None:
            meant = _MEANT[found]
            mistakes.append(ConditionMistake(offset, f"write `{meant}` instead of `{found}`", meant))
            yield Token("symbol", found, offset, meant)
        elif match["bad"] is not None:
            mistakes.append(ConditionMistake(offset, _advice(found)))
            yield Token("bad", found, offset)


def _number(match: re.Match[str], mistakes: list[ConditionMistake]) -> float:
    """Return the number's value, a duration's in seconds."""
    value, unit, offset = float(match["number"]), match["unit"], match.start()
    if not math.isfinite(value):
        mistakes.append(ConditionMistake(offset, "write a smaller number"))
    elif unit is None:
        return value
    elif unit not in UNITS_MS:
        near = match["number"] + unit[0].lower() if unit[0].lower() in UNITS_MS else None
        message = f"write a plain number, or a duration in s, m, h, d or w, instead of `{match[0]}`"
        mistakes.append(ConditionMistake(offset, message, near))
    elif not match["number"].isdigit():
        message = f"write the duration `{match[0]}` as a whole number of a smaller unit"
        mistakes.append(ConditionMistake(offset, message))
    else:
        return value * (UNITS_MS[unit] // 1000)
    return 0.0


def _unescaped(text: str, offset: int, mistakes: list[ConditionMistake]) -> str:
    """Take the backslash off quotes and backslashes; before anything else it is a slip."""
    mistakes.extend(
        ConditionMistake(offset + match.start(), "write a backslash only before a quote or a backslash")
        for match in re.finditer(r"\\(.)", text, re.DOTALL)
        if match[1] not in "\\\"'"
    )
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _advice(found: str) -> str:
    if found[0] in "\"'":
        return f"close the text with another {found[0]}"
    return f"take `{found}` away: it means nothing in a condition"


def source(tokens: list[Token]) -> str:
    """Return what `tokens` were cut from, white space between them made single spaces."""
    text = ""
    for before, token in zip([None, *tokens[:-1]], tokens, strict=True):
        text += " " + token.text if before is not None and before.end < token.offset else token.text
    return text


def memberships(text: str) -> list[tuple[str, int]]:
    """Return (segment, offset) of every `member("segment")` in `text`, also where the rest of it is wrong."""
    tokens = tokenize(text, [])
    found = []
    for name, opening, segment in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (name.kind, name.text, opening.symbol, segment.kind) == ("name", "member", "(", "text"):
            found.append((str(segment.value), name.offset))
    return found
