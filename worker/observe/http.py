"""Health and metrics over HTTP: `/live`, `/ready`, `/metrics`, and nothing else.

The rule: read-only, no state of users, no user ids, nothing that waits. On loopback unless the settings say otherwise.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from worker.errors import WrongUsage
from worker.observe.health import Health
from worker.observe.metrics import Metrics

__all__ = ["HttpServer"]

STOP_SECONDS_MAX = 1.0


class HttpServer:
    """Serves what `metrics` and `health` say; their clock is `time.monotonic`."""

    def __init__(self, metrics: Metrics, health: Health, *, host: str, port: int) -> None:
        """Take note of where to listen, on port 0 at any free one; `start` does it."""
        self._metrics = metrics
        self._health = health
        self._address = (host, port)
        app = web.Application()
        app.add_routes([
            web.get("/live", self._live), web.get("/ready", self._ready), web.get("/metrics", self._exposition),
        ])  # fmt: skip
        app.on_response_prepare.append(self._count)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX)

    async def start(self) -> None:
        """Listen. Raises WrongUsage if the address can't be had."""
        host, port = self._address
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            raise WrongUsage(
                f"Nothing can be served at {host}:{port} ({error.strerror}): "
                "set SHOAL_HTTP_HOST and SHOAL_HTTP_PORT to a free address of this machine."
            ) from error

    async def stop(self) -> None:
        """Stop listening; answers under way have a second."""
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return int(self._runner.addresses[0][1])

    async def _count(self, request: web.Request, response: web.StreamResponse) -> None:
        self._metrics.answered(request.path, response.status)

    async def _live(self, _: web.Request) -> web.Response:
        return _answer(*self._health.live(time.monotonic()))

    async def _ready(self, _: web.Request) -> web.Response:
        return _answer(*self._health.ready(time.monotonic()))

    async def _exposition(self, request: web.Request) -> web.Response:
        accepted = ",".join(request.headers.getall("Accept", []))
        try:
            encode, content_type = choose_encoder(accepted)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        taken = _Taken(list(self._metrics.registry.collect()))
        body = await asyncio.to_thread(encode, taken)  # thousands of series take tens of milliseconds
        return web.Response(body=body, headers={"Content-Type": content_type})


@dataclass(frozen=True)
class _Taken:
    """The families as they were at one moment, so that a thread may write them out while the counting goes on."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


def _answer(good: bool, body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=200 if good else 503)
