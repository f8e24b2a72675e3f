"""How often the same message may be said: so often in a while, then it is only counted.

A broker that is away makes its clients say so a hundred times a second; the first few tell all there is to know. Pure:
`now` is an argument, in monotonic seconds.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

__all__ = ["MESSAGES_MAX", "SAID_MAX", "WINDOW_SECONDS", "Repeats"]

WINDOW_SECONDS = 10.0
SAID_MAX = 10  # of one message in a window
MESSAGES_MAX = 1_000  # windows that are kept open: messages made up of changing parts must not fill the memory


@dataclass
class _Window:
    began: float
    said: int = 0


class Repeats:
    """Counts each message in a window that begins with its first time."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, _Window] = {}  # in the order in which they began

    def admits(self, message: Hashable, now: float) -> bool:
        """Whether the message may be said once more."""
        window = self._windows.setdefault(message, _Window(now))
        window.said += 1
        return window.said <= SAID_MAX

    def left_out(self, now: float) -> Iterator[tuple[Hashable, int]]:
        """Close the windows that are over, and yield each message that was held back in one, and how often."""
        while self._windows:
            message, window = next(iter(self._windows.items()))
            if now - window.began < WINDOW_SECONDS and len(self._windows) <= MESSAGES_MAX:
                return
            del self._windows[message]
            if window.said > SAID_MAX:
                yield message, window.said - SAID_MAX
