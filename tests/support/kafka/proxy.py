"""A TCP proxy between Kafka's clients and brokers that harms what passes, as told by rules (`rules.py`).

It runs in a thread of its own and is told what to do from any other. It changes the ports in the replies that name
brokers, so clients that begin at the proxy stay with it; a broker needs to know nothing of it. Frames of a direction
keep their order. TLS can't be looked into: over TLS the proxy is of no use.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from tests.support.kafka.frames import Request, read, redirected, with_size
from tests.support.kafka.properties import HOST
from tests.support.kafka.rules import Passage, Rule

__all__ = ["Proxy"]

CALL_SECONDS_MAX = 30
STALLED_SECONDS_STEP = 0.01
FRAMES_WAITING_MAX = 64
Result = TypeVar("Result")


class Proxy:
    """A proxy for one broker or several, by their ports; `ports` has the proxy's ports in the same order."""

    def __init__(self, *upstream_ports: int) -> None:
        self.rules: list[Rule] = []
        self.ports: list[int] = []
        self.errors: list[Exception] = []
        self._upstream_ports = upstream_ports
        self._connections: set[_Connection] = set()
        self._accepted: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True)
        self._thread.start()
        assert self._ready.wait(CALL_SECONDS_MAX)

    @property
    def port(self) -> int:
        """The proxy's port for the first broker."""
        return self.ports[0]

    @property
    def bootstrap(self) -> str:
        """Where clients begin: host:port, commas between."""
        return ",".join(f"{HOST}:{port}" for port in self.ports)

    def rule(self, act: str, api: int | None = None, **arguments: Any) -> Rule:
        """Put a fault in force; see Rule for whom it strikes.

        The acts, and what they take besides:

        drop_request, drop_reply    lost; with close=True the connection breaks as well
        hold_request                lost for now: `replay` sends it later; with close=True as above
        delay_request, _reply       comes `seconds` later
        throttle_request, _reply    through a line that carries `bytes_per_s`
        stall_request, _reply       waits until the rule is removed
        flip_request, flip_reply    with a wrong bit in the last record of a Produce request or Fetch reply
        error_reply                 the broker's answer (it did what was asked) becomes error code `error`
        close_request, close_reply  lost, and the connection is reset
        cut                         all connections are reset and none can be made
        """
        made = Rule(act, api, **arguments)
        self.rules = [*(rule for rule in self.rules if rule.active), made]
        if act == "cut":
            self._call(self._cut(made))
        return made

    def flap(self, *, up_seconds: float, down_seconds: float) -> Rule:
        """Cut the line again and again, beginning now, until the rule is removed; it counts the cuts."""
        flapping = Rule("cut")
        asyncio.run_coroutine_threadsafe(self._flap(flapping, up_seconds, down_seconds), self._loop)
        return flapping

    def replay(self, rule: Rule) -> list[bytes]:
        """Send what a rule holds, each request on a connection of its own, and return the replies."""
        held, rule.held = rule.held, []
        return [self._call(_ask(port, frame)) for port, frame in held]

    def close(self) -> None:
        """Reset all connections and end the thread. Raises what a rule raised, if one did."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(CALL_SECONDS_MAX)
        assert not self._thread.is_alive()
        for error in self.errors:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_SECONDS_MAX)

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        servers = [await asyncio.start_server(self._accepting(port), HOST, 0) for port in self._upstream_ports]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._ready.set()
        await self._closing.wait()
        for server in servers:
            server.close()
        while self._accepted:
            for connection in self._connections:
                connection.reset()
            await asyncio.wait(self._accepted, timeout=0.1)

    def _accepting(self, upstream_port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            passing = asyncio.ensure_future(self._pass(upstream_port, (reader, writer)))
            self._accepted.add(passing)
            passing.add_done_callback(self._accepted.discard)

        return accept

    async def _pass(self, upstream_port: int, client: "Stream") -> None:
        for rule in self.rules:
            if rule.act == "cut" and rule.active:
                rule.count()
                return _reset(client[1])
        try:
            broker = await asyncio.open_connection(HOST, upstream_port)
        except OSError:
            return _reset(client[1])
        ports = dict(zip(self._upstream_ports, self.ports, strict=True))
        connection = _Connection(self, upstream_port, ports, client, broker)
        self._connections.add(connection)
        await connection.run()
        self._connections.discard(connection)
        return None

    async def _cut(self, rule: Rule) -> None:
        for connection in self._connections:
            connection.reset()
            rule.count()

    async def _flap(self, flapping: Rule, up_seconds: float, down_seconds: float) -> None:
        while flapping.active:
            down = Rule("cut")
            self.rules = [*(rule for rule in self.rules if rule.active), down]
            await self._cut(down)
            flapping.count()
            await asyncio.sleep(down_seconds)
            down.remove()
            await asyncio.sleep(up_seconds)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """A client's connection and ours to its broker. A side that ends is ended for the other when all has gone out."""

    def __init__(self, proxy: Proxy, port: int, ports: dict[int, int], client: Stream, broker: Stream) -> None:
        self._proxy, self._port, self._ports = proxy, port, ports
        self._client, self._broker = client, broker
        self._pending: dict[int, Request] = {}
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Pass frames until a side ends."""
        self._pumps = [
            asyncio.create_task(self._pump("request", self._client[0], self._broker[1])),
            asyncio.create_task(self._pump("reply", self._broker[0], self._client[1])),
        ]
        await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in self._pumps:
            pump.cancel()
        ends = await asyncio.gather(*self._pumps, return_exceptions=True)
        self._proxy.errors += [end for end in ends if isinstance(end, Exception)]
        for _, writer in (self._client, self._broker):
            writer.close()

    def reset(self) -> None:
        """Break the connection on both sides; what was still under way is lost."""
        for _, writer in (self._client, self._broker):
            _reset(writer)
        for pump in self._pumps:
            pump.cancel()

    async def _pump(self, side: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line: asyncio.Queue[Passage | None] = asyncio.Queue(FRAMES_WAITING_MAX)
        sending = asyncio.create_task(self._send(line, writer))
        try:
            free_s = 0.0
            while (frame := await read(reader)) is not None:
                passage = self._passage(side, frame, free_s)
                free_s = passage.free_s
                await line.put(passage)
            await line.put(None)
            await sending
        finally:
            sending.cancel()

    def _passage(self, side: str, frame: bytes, free_s: float) -> Passage:
        if side == "request":
            request = Request.of(frame)
            self._pending[request.correlation] = request
        else:
            request = self._pending.pop(struct.unpack_from(">i", frame)[0])
            frame = redirected(request, frame, self._ports, HOST)
        passage = Passage(request, frame, asyncio.get_running_loop().time(), free_s, self._port)
        for rule in self._proxy.rules:
            if rule.active and rule.act.endswith(side) and passage.frame is not None:
                rule.apply(passage)
        return passage

    async def _send(self, line: "asyncio.Queue[Passage | None]", writer: asyncio.StreamWriter) -> None:
        while (passage := await line.get()) is not None:
            await asyncio.sleep(passage.due_s - asyncio.get_running_loop().time())
            while any(gate.active for gate in passage.gates):  # noqa: ASYNC110  removed from another thread
                await asyncio.sleep(STALLED_SECONDS_STEP)
            if passage.frame is not None:
                with suppress(OSError):
                    writer.write(with_size(passage.frame))
                    await writer.drain()
            if passage.close:
                self.reset()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other end sees a reset (RST), not an orderly end."""
    with suppress(OSError):  # closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _ask(port: int, frame: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(with_size(frame))
    async with asyncio.timeout(CALL_SECONDS_MAX):
        reply = await read(reader)
    writer.close()
    assert reply is not None, "the broker closed the connection instead of answering"
    return reply
