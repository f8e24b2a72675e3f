"""Kafka's wire format, as much of it as the proxy has to know: who asks for what, and where the records lie.

A frame is a request or a reply without the four bytes that tell its size. The versions are those that aiokafka speaks.
"""

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

__all__ = ["Api", "Request", "commits", "error_code", "flipped", "read", "redirected", "with_error", "with_size"]

FETCH_VERSION = 11
OFFSET_FETCH_VERSIONS = range(3, 6)
ERROR_ALONE = "throttle and error code, nothing else"


class Api(IntEnum):
    """The requests' keys."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    API_VERSIONS = 18
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


@dataclass(frozen=True)
class Request:
    """A request's header, and the whole of it as `frame`."""

    api: int
    version: int
    correlation: int
    client: str
    frame: bytes

    @classmethod
    def of(cls, frame: bytes) -> Self:
        """Read the header."""
        api, version, correlation, size = struct.unpack_from(">hhih", frame)
        return cls(api, version, correlation, frame[10 : 10 + max(size, 0)].decode(), frame)


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next frame, or None at the end, however the connection ended."""
    try:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        return None


def with_size(frame: bytes) -> bytes:
    """Return a frame as it is sent."""
    return struct.pack(">i", len(frame)) + frame


def redirected(request: Request, reply: bytes, ports: dict[int, int], host: str) -> bytes:
    """Return a reply that names brokers with other ports: `ports` has the proxy's by the broker's."""
    if request.api in (Api.METADATA, Api.FIND_COORDINATOR):
        for port, other in ports.items():
            reply = reply.replace(_address(host, port), _address(host, other))
    return reply


def _address(host: str, port: int) -> bytes:
    return host.encode() + struct.pack(">i", port)


def commits(frame: bytes) -> bool:
    """Whether an EndTxn request commits (its last byte says so), rather than aborts."""
    return frame[-1] == 1


def error_code(reply: bytes) -> int:
    """Return the error code of a reply that has nothing else but the throttle time, as EndTxn's."""
    assert len(reply) == 10, ERROR_ALONE
    _, _, error = struct.unpack(">iih", reply)
    return int(error)


def with_error(request: Request, error: int) -> bytes:
    """Return the reply by which a broker refuses an OffsetFetch, EndTxn or Heartbeat as a whole."""
    if request.api == Api.OFFSET_FETCH:
        assert request.version in OFFSET_FETCH_VERSIONS
        return struct.pack(">iiih", request.correlation, 0, 0, error)
    assert request.api in (Api.END_TXN, Api.HEARTBEAT), ERROR_ALONE
    return struct.pack(">iih", request.correlation, 0, error)


def flipped(request: Request, frame: bytes) -> bytes | None:
    """Return a Produce request or Fetch reply with a bit of its last record turned over; None if it has no records."""
    if request.api == Api.FETCH:
        assert request.version == FETCH_VERSION
        end = _records_end(frame)
    else:
        assert request.api == Api.PRODUCE
        end = len(frame)
    return frame[: end - 1] + bytes([frame[end - 1] ^ 1]) + frame[end:] if end else None


def _records_end(frame: bytes) -> int:
    """Where the records of a Fetch reply end that come last; 0 if there are none."""
    end, place = 0, 4 + 4 + 2 + 4  # correlation id, throttle, error, session
    topics, place = _number(frame, place)
    for _ in range(topics):
        (name_size,) = struct.unpack_from(">h", frame, place)
        partitions, place = _number(frame, place + 2 + name_size)
        for _ in range(partitions):
            aborted, place = _number(frame, place + 4 + 2 + 8 + 8 + 8)  # number, error, three offsets
            size, place = _number(frame, place + 16 * max(aborted, 0) + 4)  # preferred replica
            place += max(size, 0)
            end = place if size > 0 else end
    return end


def _number(frame: bytes, place: int) -> tuple[int, int]:
    """A 32-bit number, and where it ends."""
    (number,) = struct.unpack_from(">i", frame, place)
    return number, place + 4
