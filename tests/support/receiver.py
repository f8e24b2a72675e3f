"""Somebody who is sent things over HTTP: answers as a test says, and remembers what came.

The rule: it is a real server on a real port, in a thread of its own; what it was sent can be asked for at any time.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

__all__ = ["CLOSES", "HANGS", "OK", "Answer", "Post", "Receiver", "Says"]


@dataclass(frozen=True)
class Post:
    """One request that came; `number` counts those with the same `webhook-id` from 1."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    number: int
    at: float = field(default_factory=time.monotonic)
    at_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers.get("webhook-id", "")

    @property
    def content(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What is answered; or nothing: `hangs` until the receiver ends, `closes` the connection."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    closes: bool = False


OK, HANGS, CLOSES = Answer(), Answer(hangs=True), Answer(closes=True)
Says = Callable[[Post], Answer]


class Receiver:
    """Listens on a free port of this machine as long as a `with` lasts; `says` may be changed meanwhile."""

    def __init__(self, says: Says = lambda _: OK) -> None:
        self.says = says
        self.posts: list[Post] = []
        self._taken: list[tuple[Post, Answer]] = []
        self._numbers: Counter[str] = Counter()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the receiver doesn't start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._end is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[Post]:
        """What it has answered with 200, in the order of its answers."""
        return [post for post, answer in list(self._taken) if answer == OK]

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._end.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        named = headers.get("webhook-id", "")
        self._numbers[named] += 1
        post = Post(request.path, headers, body, self._numbers[named])
        self.posts.append(post)
        answer = self.says(post)
        if answer.hangs:
            assert self._end is not None
            await self._end.wait()
        if answer.closes:
            assert request.transport is not None
            request.transport.close()
        self._taken.append((post, answer))
        return web.Response(status=answer.status, headers=dict(answer.headers))
