"""What is kept of a user: her part in every run that she is in, her latest decisions, when her channels were used.

The rule: a part says what happened within its window, which is the conversion's, from the first decision on; whatever
order records come in, and however late, the same is said in the end. It is the one thing kept by user, so that an
erasure can take it away; what was counted before stays in the accounts.

An entry is a user in some 100 bytes, in memory as in `lift-state`: how many parts (uint16, all numbers little-endian),
a row of `FIELDS` for each, then msgpack: [latest, sends, joined by part]. Rows are of one width, so that the accounts
read everybody's as columns.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["ACTIVE", "CLICKED", "FIRED", "LIMITED", "OBSERVED", "SENT", "Part", "Person", "Rows", "last_ms", "name_of",
           "packed", "rows_of", "unpacked"]  # fmt: skip

FIRED, SENT, CLICKED = 1, 2, 4  # bits of `seen`
LIMITED = 8  # a limit stopped the first decision, or would have: no part of the comparison
OBSERVED, ACTIVE = 16, 32  # four weeks later
JOINED_MAX = 4  # fired decisions whose messages are still waited for
HELD_SINCE_MS = 28 * 86_400_000
"""Who was active in the two weeks before her first observation after so long is held."""
OBSERVED_UNTIL_MS = HELD_SINCE_MS + 8 * 86_400_000  # one of the weekly observations is before
AMOUNT_MAX = (1 << 63) - 1
SENDS_MAX = 8  # the largest limit of a cap

FIELDS = {
    "run": "I", "of": "H", "partition": "H", "arm": "b", "seen": "B", "conversions": "I", "decided_ms": "q",
    "until_ms": "q", "cost_micros": "q", "amount": "q",
}  # fmt: skip
COUNT = struct.Struct("<H")
ROW = struct.Struct("<" + "".join(FIELDS.values()))
COLUMNS = np.dtype([(name, "<" + code) for name, code in FIELDS.items()])

Rows = npt.NDArray[np.void]


class Part(msgspec.Struct, gc=False):
    """A user in a run, from her first decision under its design on; the fields are `FIELDS` and `joined`."""

    run: int  # its number
    of: int  # the number of the campaign whose conversions count
    partition: int
    arm: int
    seen: int
    conversions: int
    decided_ms: int
    until_ms: int  # the last instant of the window
    cost_micros: int  # of what was fired within the window
    amount: int  # hundredths
    joined: Sequence[int]  # names of decisions whose messages are hers

    @property
    def limited(self) -> bool:
        """Whether she is left out of the comparison."""
        return bool(self.seen & LIMITED)

    def fire(self, named: int, cost_micros: int) -> None:
        """Count a fired decision, by its name, and wait for its messages."""
        self.seen |= FIRED
        self.joined = (*self.joined, named)[-JOINED_MAX:]
        self.cost_micros += cost_micros

    def counts(self, campaign: int, at_ms: int) -> bool:
        """Whether an event at an instant is within the window, and counts for this campaign's number."""
        return self.of == campaign and self.decided_ms < at_ms <= self.until_ms

    def convert(self, amount: int) -> None:
        """Count a conversion, in hundredths."""
        self.conversions += 1
        self.amount = min(self.amount + amount, AMOUNT_MAX)

    def tell(self, event: str) -> None:
        """Note a message of a decision of this part."""
        self.seen |= SENT if event == "message_sent" else SENT | CLICKED  # who clicks was sent to, whatever got lost

    def is_to_be_observed(self, at_ms: int) -> bool:
        """Whether an observation at an instant is the one that tells whether she is still active."""
        return not self.seen & OBSERVED and HELD_SINCE_MS <= at_ms - self.decided_ms < OBSERVED_UNTIL_MS


class Person(msgspec.Struct, gc=False):
    """A user's parts; her latest decision by campaign's number, ms; the instants of her latest ones by channel."""

    parts: list[Part] = []
    latest: dict[int, int] = {}
    sends: dict[str, list[int]] = {}

    def part(self, run: int) -> Part | None:
        """Return her part in a run."""
        for part in self.parts:
            if part.run == run:
                return part
        return None

    def used(self, channel: str, at_ms: int) -> None:
        """Note a decision that fills caps."""
        self.sends[channel] = [*self.sends.get(channel, ()), at_ms][-SENDS_MAX:]


class Tail(msgspec.Struct, array_like=True, gc=False):
    """What has no width of its own."""

    latest: dict[int, int]
    sends: dict[str, list[int]]
    joined: list[Sequence[int]]


TAIL = msgspec.msgpack.Decoder(Tail)
ENCODER = msgspec.msgpack.Encoder()


def name_of(decision_id: str) -> int:
    """Return a decision's name: its id's last 64 bits, in which no two of one user are alike.

    Raises ValueError if it is no decision's id.
    """
    return int(decision_id[-16:], 16)


def packed(person: Person) -> bytes:
    """Return a user as an entry. Raises struct.error for a number that has no room."""
    rows = [
        ROW.pack(part.run, part.of, part.partition, part.arm, part.seen, part.conversions, part.decided_ms,
                 part.until_ms, part.cost_micros, part.amount)
        for part in person.parts
    ]  # fmt: skip
    tail = Tail(person.latest, person.sends, [part.joined for part in person.parts])
    return b"".join((COUNT.pack(len(rows)), *rows, ENCODER.encode(tail)))


def unpacked(entry: bytes) -> Person:
    """Return the user of an entry. Raises ValueError if it is none."""
    try:
        rows, tail = _rows(entry), _tail(entry)
        parts = [Part(*(*row, joined)) for row, joined in zip(ROW.iter_unpack(rows), tail.joined, strict=True)]
    except (IndexError, struct.error, msgspec.DecodeError) as error:
        raise ValueError("no entry of a user") from error
    return Person(parts, tail.latest, tail.sends)


def rows_of(entries: Iterable[bytes]) -> Rows:
    """Return the parts of many users as one array, with a column for each of `FIELDS`."""
    return np.frombuffer(b"".join(map(_rows, entries)), COLUMNS)


def last_ms(entry: bytes) -> int:
    """Return when a user was decided on last."""
    return max(_tail(entry).latest.values())


def _rows(entry: bytes) -> bytes:
    return entry[COUNT.size : _end(entry)]


def _tail(entry: bytes) -> Any:
    return TAIL.decode(entry[_end(entry) :])


def _end(entry: bytes) -> int:
    return COUNT.size + ROW.size * (entry[0] | entry[1] << 8)
