"""Brings requests to one endpoint until there is an answer that settles them.

The rule: a request is made again and again while that may help; only what keeps failing while others get through is
given up, so that an endpoint that is down loses nothing and one poisoned record doesn't hold back all others. Redirects
aren't followed, certificates are verified, and nothing of an answer is kept but its status.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol

import aiohttp

from worker.observe.logs import log
from worker.sinks.answers import is_final, is_taken, pause_seconds, retry_after_seconds
from worker.sinks.parcels import Closing

__all__ = ["Courier", "Limits", "Request"]

GIVEN_BACK_BYTES = 65_536  # of a body, so that the connection can be used again; a longer one closes it


class Request(NamedTuple):
    """One POST."""

    body: bytes
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What came of it: a status, or none and the trouble's name."""

    status: int | None
    trouble: str | None
    retry_after_seconds: float = 0.0


class Verdict(NamedTuple):
    """What settles a request."""

    result: Literal["taken", "refused", "exhausted", "expired"]
    status: int | None
    attempts: int


@dataclass(frozen=True)
class Limits:
    """How a courier goes about it."""

    timeout_seconds: float
    pause_seconds_min: float
    pause_seconds_max: float
    attempts_max: int  # of what fails while others get through


class Noted(Protocol):
    """Who hears of requests."""

    def requested(self, sink: str, seconds: float, *, again: bool) -> None:
        """Take note of a request that took so long, and whether it is made again."""


class Courier:
    """All requests of one sink, whichever partition they are of."""

    def __init__(self, sink: str, url: str, session: aiohttp.ClientSession, in_flight: asyncio.Semaphore,
                 limits: Limits, noted: Noted) -> None:  # fmt: skip
        self._sink, self._url, self._session = sink, url, session
        self._in_flight, self._limits, self._noted = in_flight, limits, noted
        self._chance = random.Random()  # noqa: S311  spreads repetitions, and keeps no secret
        self._taken = 0
        self.trouble: str | None = None  # what the endpoint does instead of taking requests; None: it takes them
        self._quiet_until = 0.0

    async def bring(self, request: Callable[[], Request], closing: asyncio.Event, expires_ms: int | None) -> Verdict:
        """Make a request, anew for every attempt, until there is a verdict. Raises Closing between two attempts."""
        failures, taken_before, status = 0, self._taken, None
        while True:
            await self._quiet(closing, expires_ms)
            async with self._in_flight:
                if closing.is_set():
                    raise Closing
                if _is_over(expires_ms):
                    return Verdict("expired", status, failures)
                if self._is_quiet:
                    continue  # the endpoint has asked for it while this one waited for its turn
                answer = await self._ask(request())
            status = answer.status
            if status is not None and is_taken(status):
                self._taken, self.trouble = self._taken + 1, None
                return Verdict("taken", status, failures + 1)
            failures += 1
            if status is not None and is_final(status):
                return Verdict("refused", status, failures)
            if failures >= self._limits.attempts_max and self._taken > taken_before:
                return Verdict("exhausted", status, failures)
            self._tell(answer, failures)
            await _rest(self._pause(failures), closing, expires_ms)

    def _pause(self, failures: int) -> float:
        limits = self._limits
        return pause_seconds(failures, limits.pause_seconds_min, limits.pause_seconds_max, self._chance.random())

    async def _quiet(self, closing: asyncio.Event, expires_ms: int | None) -> None:
        """Wait while the endpoint has asked to be left alone, or until it makes no more sense."""
        while self._is_quiet and not _is_over(expires_ms):
            await _rest(self._quiet_until - time.monotonic(), closing, expires_ms)

    @property
    def _is_quiet(self) -> bool:
        return time.monotonic() < self._quiet_until

    async def _ask(self, request: Request) -> Answer:
        begun = time.monotonic()
        answer = await self._answer(request)
        again = answer.status is None or not (is_taken(answer.status) or is_final(answer.status))
        self._noted.requested(self._sink, time.monotonic() - begun, again=again)
        if answer.retry_after_seconds:
            self._quiet_until = max(self._quiet_until, time.monotonic() + answer.retry_after_seconds)
        return answer

    async def _answer(self, request: Request) -> Answer:
        timeout = aiohttp.ClientTimeout(total=self._limits.timeout_seconds)
        try:
            async with self._session.post(
                self._url, data=request.body, headers=request.headers, allow_redirects=False, timeout=timeout
            ) as response:
                wanted = retry_after_seconds(response.status, response.headers.get("Retry-After"), datetime.now(UTC))
                with suppress(aiohttp.ClientError, TimeoutError):  # the status is what counts
                    await response.content.read(GIVEN_BACK_BYTES)
                return Answer(response.status, None, wanted)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Answer(None, type(error).__name__)

    def _tell(self, answer: Answer, failures: int) -> None:
        self.trouble = answer.trouble or f"answers {answer.status}"
        log("sinks").warning(
            "An endpoint doesn't take a request; it is made again.", sink=self._sink, status=answer.status,
            trouble=answer.trouble, failures=failures,
        )  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _is_over(expires_ms: int | None) -> bool:
    return expires_ms is not None and _now_ms() > expires_ms


async def _rest(seconds: float, closing: asyncio.Event, expires_ms: int | None) -> None:
    """Wait, but not beyond an instant of the wall clock. Raises Closing."""
    if expires_ms is not None:
        seconds = min(seconds, max(0.0, (expires_ms - _now_ms()) / 1000) + 0.001)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await closing.wait()
    if closing.is_set():
        raise Closing
