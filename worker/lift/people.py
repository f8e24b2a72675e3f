"""What is kept of a user: when her channels were used, and her part in every run that she is in.

The rule: a part says what happened within its window, which is the conversion's, from the first decision on; whatever
order records come in, and however late, the same is said in the end. It is the one thing kept by user, so that an
erasure can take it away; what was counted before stays in the accounts.
"""

import msgspec

__all__ = ["CLICKED", "FIRED", "SENT", "Part", "Person", "join", "told"]

FIRED, SENT, CLICKED = 1, 2, 4  # bits of `seen`
JOINED_MAX = 4  # fired decisions whose messages are still waited for
SENDS_MAX = 8  # the largest limit of a cap


class Part(msgspec.Struct, array_like=True, gc=False):
    """A user in a run, from her first decision under its design on."""

    run: str
    arm: int
    decided_ms: int
    until_ms: int  # the last instant of the window
    partition: int
    limited: bool  # a limit stopped the first decision, or would have: no part of the comparison
    campaign: str  # whose conversions count
    seen: int = 0
    cost_micros: int = 0  # of what was fired within the window
    conversions: int = 0
    amount: int = 0  # hundredths
    active: int = -1  # four weeks later: 1 active, 0 not, -1 not known (yet)
    joined: str = ""  # decision ids, 32 characters each


class Person(msgspec.Struct, array_like=True):
    """A user's parts by campaign, the latest run last; the instants of her latest decisions by channel."""

    parts: dict[str, list[Part]] = {}
    sends: dict[str, list[int]] = {}
    latest: dict[str, int] = {}  # her latest decision by campaign, ms

    def part(self, campaign: str, run: str) -> Part | None:
        """Return her part in a run."""
        return next((part for part in self.parts.get(campaign, ()) if part.run == run), None)

    def used(self, channel: str, at_ms: int) -> None:
        """Note a decision that fills caps."""
        self.sends[channel] = [*self.sends.get(channel, ()), at_ms][-SENDS_MAX:]

    def all_parts(self) -> list[tuple[str, Part]]:
        """Return (campaign, part), all of them."""
        return [(campaign, part) for campaign, parts in self.parts.items() for part in parts]


def join(part: Part, decision_id: str) -> None:
    """Wait for the messages of a fired decision."""
    part.joined = (part.joined + decision_id)[-32 * JOINED_MAX :]


def told(part: Part, decision_id: str, event: str) -> bool:
    """Note a message, if it is of a decision of this part."""
    if not any(part.joined[at : at + 32] == decision_id for at in range(0, len(part.joined), 32)):
        return False
    part.seen |= SENT if event == "message_sent" else SENT | CLICKED  # who clicks was sent to, whatever got lost
    return True
