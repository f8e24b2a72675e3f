"""The HTTP server, asked over a real connection."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.observe.support import everything, transition
from worker.core.records import Effects
from worker.errors import WrongUsage
from worker.observe.health import Health
from worker.observe.http import HttpServer
from worker.observe.metrics import Metrics

Answer = tuple[int, str, str]  # status, content type, body
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def served(asking: Callable[[HttpServer], Awaitable[Any]], metrics: Metrics, health: Health) -> Any:
    """What `asking` comes to while a server shows these."""

    async def run() -> Any:
        server = HttpServer(metrics, health, host="127.0.0.1", port=0)
        await server.start()
        try:
            return await asking(server)
        finally:
            await server.stop()

    return asyncio.run(run())


def asked(path: str, *, metrics: Metrics | None = None, health: Health | None = None, method: str = "GET",
          **headers: str) -> Answer:  # fmt: skip
    """The answer to one request."""

    async def ask(server: HttpServer) -> Answer:
        url = f"http://127.0.0.1:{server.port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), await answer.text()

    answer: Answer = served(ask, metrics or Metrics(), health or Health())
    return answer


def well() -> Health:
    """A worker whose loop has just beaten and whose one partition runs."""
    health = Health()
    health.beat(time.monotonic())
    health.joined(assigned=True)
    health.partition(3, "running", time.monotonic())
    return health


def test_a_worker_that_is_well_says_so() -> None:
    """200, and JSON that says what of."""
    status, content_type, body = asked("/live", health=well())
    assert (status, content_type) == (200, "application/json; charset=utf-8")
    assert '"live": true' in body
    status, _, body = asked("/ready", health=well())
    assert status == 200
    assert '"3": {"state": "running"' in body


def test_a_worker_that_is_not_says_why() -> None:
    """503 with the same body: probes see the status, people the reason."""
    status, _, body = asked("/ready", health=Health())
    assert (status, '"joined": false' in body) == (503, True)
    status, _, body = asked("/live", health=Health())
    assert (status, '"heartbeat_seconds": null' in body) == (503, True)


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/plain;version=abc"])
def test_metrics_come_as_text_to_whoever_asks_for_nothing_else(accept: str) -> None:
    """Also to a client that asks for nonsense; every family parses, with the values that were counted."""
    status, content_type, body = asked("/metrics", metrics=everything(), Accept=accept)
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {sample.name: sample.value for family in parse(body) for sample in family.samples}
    assert found["shoal_state_users"] == 4
    assert found["shoal_restore_seconds_sum"] == 1.2


def test_metrics_come_as_openmetrics_to_prometheus() -> None:
    """What it asks for first is what it gets, whole: OpenMetrics' own parser is strict."""
    status, content_type, body = asked("/metrics", metrics=everything(), Accept=OPENMETRICS)
    assert (status, content_type.partition(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith("# EOF\n")
    families = {family.name: family for family in parse_openmetrics(body)}  # type: ignore[no-untyped-call]
    assert families["shoal_transitions"].type == "counter"
    assert families["shoal_event_to_commit_seconds"].type == "histogram"


def test_any_text_is_a_label() -> None:
    """A cluster's name may be anything; it comes back as it was."""
    metrics, name = Metrics(), 'behaviour:"ü"\\\n{x}'
    metrics.committed(Effects([transition(segment=name)]), [], seconds=0.01, wall_ms=0, grace_ms=None)
    _, _, body = asked("/metrics", metrics=metrics)
    shown = [s.labels for family in parse(body) for s in family.samples if s.name == "shoal_transitions_total"]
    assert [labels["segment"] for labels in shown] == [name]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/live/x", "/ready.json", "/%2e%2e/etc/passwd", "/debug", "/state"])
def test_nothing_else_is_there(path: str) -> None:
    """404 for every other path."""
    assert asked(path, health=well())[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    """405 for every method that would."""
    assert [asked(path, method=method)[0] for path in ("/live", "/ready", "/metrics")] == [405] * 3


def test_a_head_request_has_the_status_alone() -> None:
    """Some load balancers ask so."""
    assert asked("/ready", method="HEAD")[::2] == (503, "")


def test_no_user_is_shown_anywhere() -> None:
    """The metrics have counted things of u-7; no answer knows the name."""
    answers = [asked(path, metrics=everything(), health=well()) for path in ("/live", "/ready", "/metrics")]
    assert ["u-7" in body for _, _, body in answers] == [False] * 3


def test_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A probe each second is no news."""
    with caplog.at_level(logging.INFO):
        asked("/live", health=well())
    assert [record.name for record in caplog.records if record.name.startswith("aiohttp")] == []


def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    """It says which, and what to set."""

    async def again(server: HttpServer) -> None:
        await HttpServer(Metrics(), Health(), host="127.0.0.1", port=server.port).start()

    with pytest.raises(WrongUsage, match=r"Nothing can be served at 127\.0\.0\.1:\d+ \(.*\): set SHOAL_HTTP_HOST"):
        served(again, Metrics(), Health())


def test_a_stopped_server_gives_its_port_back() -> None:
    """Also with a connection still open; the next worker on the host can have it at once."""

    async def run() -> int:
        server = HttpServer(Metrics(), well(), host="127.0.0.1", port=0)
        await server.start()
        port = server.port
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/live") as answer:
                await answer.read()
            await server.stop()
            successor = HttpServer(Metrics(), well(), host="127.0.0.1", port=port)
            await successor.start()
            async with session.get(f"http://127.0.0.1:{port}/live") as answer:
                status = answer.status
        await successor.stop()
        return status

    assert asyncio.run(run()) == 200
