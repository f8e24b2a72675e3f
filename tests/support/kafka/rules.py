"""What the proxy does to the frames that pass, each fault a rule that counts how often it struck.

The rule of the house: a test that injects a fault asserts that the fault happened (`fired`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.kafka.frames import Request, flipped, with_error

__all__ = ["ACTS", "Passage", "Rule"]


@dataclass
class Passage:
    """A frame on its way: `frame` is None once it's lost, `due_s` when it may leave by the loop's clock.

    `port` is the broker's. `free_s` is when the direction's throttled line has sent all before it.
    """

    request: Request
    frame: bytes | None
    due_s: float
    free_s: float
    port: int
    close: bool = False
    gates: list["Rule"] = field(default_factory=list)


class Rule:
    """One fault, in force until it is removed, by `remove` or as a context manager.

    It strikes frames of an `api` (None: of all), of clients whose id begins with `client`, where `where(request's
    frame)` holds; not the first `after` such frames, and `times` times in all (None: without end).
    """

    def __init__(
        self,
        act: str,
        api: int | None = None,
        *,
        client: str = "",
        where: Callable[[bytes], bool] | None = None,
        after: int = 0,
        times: int | None = None,
        **arguments: Any,
    ) -> None:
        assert act in ACTS, f"{act} is none of {', '.join(ACTS)}"
        self.act, self.arguments, self.held = act, arguments, list[tuple[int, bytes]]()
        self.active, self.fired = True, 0
        self._api, self._client, self._where, self._after, self._times = api, client, where, after, times
        self._struck = threading.Condition()

    def apply(self, passage: Passage) -> None:
        """Do to a frame what the rule says, if it is for this frame."""
        if not self._is_for(passage.request) or self._times == self.fired:
            return
        if self._after > 0:
            self._after -= 1
        elif ACTS[self.act](self, passage):
            self.count()

    def _is_for(self, request: Request) -> bool:
        return (
            self._api in (None, request.api)
            and request.client.startswith(self._client)
            and (self._where is None or self._where(request.frame))
        )

    def count(self) -> None:
        """Note that the fault happened."""
        with self._struck:
            self.fired += 1
            self._struck.notify_all()

    def wait(self, times: int = 1, seconds: float = 30) -> None:
        """Wait until the fault has happened so often; in a coroutine, by `asyncio.to_thread`.

        Raises AssertionError if it doesn't.
        """
        with self._struck:
            done = self._struck.wait_for(lambda: self.fired >= times, seconds)
        assert done, f"{self.act} fired {self.fired} times, not {times}, in {seconds} s"

    def remove(self) -> None:
        """End the fault; frames that it made wait go on."""
        self.active = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _drop(rule: Rule, passage: Passage) -> bool:
    passage.frame, passage.close = None, rule.arguments.get("close", False)
    return True


def _hold(rule: Rule, passage: Passage) -> bool:
    assert passage.frame is not None
    rule.held.append((passage.port, passage.frame))
    return _drop(rule, passage)


def _delay(rule: Rule, passage: Passage) -> bool:
    passage.due_s += rule.arguments["seconds"]
    return True


def _throttle(rule: Rule, passage: Passage) -> bool:
    begins_s = max(passage.due_s, passage.free_s)
    passage.due_s = passage.free_s = begins_s + len(passage.frame or b"") / rule.arguments["bytes_per_s"]
    return True


def _stall(rule: Rule, passage: Passage) -> bool:
    passage.gates.append(rule)
    return True


def _flip(_: Rule, passage: Passage) -> bool:
    assert passage.frame is not None
    changed = flipped(passage.request, passage.frame)
    passage.frame = changed or passage.frame
    return changed is not None


def _error(rule: Rule, passage: Passage) -> bool:
    passage.frame = with_error(passage.request, rule.arguments["error"])
    return True


def _close(_: Rule, passage: Passage) -> bool:
    passage.frame, passage.close = None, True
    return True


def _nothing(_: Rule, __: Passage) -> bool:
    return False


# What each act does, by its name; the last word says to what. `cut` is about connections, see Proxy.
ACTS: dict[str, Callable[[Rule, Passage], bool]] = {
    "drop_request": _drop,
    "drop_reply": _drop,
    "hold_request": _hold,
    "delay_request": _delay,
    "delay_reply": _delay,
    "throttle_request": _throttle,
    "throttle_reply": _throttle,
    "stall_request": _stall,
    "stall_reply": _stall,
    "flip_request": _flip,
    "flip_reply": _flip,
    "error_reply": _error,
    "close_request": _close,
    "close_reply": _close,
    "cut": _nothing,
}
