"""Batches of records by hand, byte for byte: what no client of ours would send, but some client may.

The rule: what is made here is a valid batch of message format 2, whatever names and values its headers have.
"""

import struct
from collections.abc import Callable, Mapping, Sequence

from aiokafka import codec
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

from tests.support.kafka.deployment import Deployment, run
from worker.kafka import clients

__all__ = ["CODECS", "batch", "produce"]

HEADERS_BEFORE_CHECKSUM = struct.Struct(">qiib")
HEADERS_AFTER_CHECKSUM = struct.Struct(">hiqqqhii")
NOBODY = -1

Record = tuple[bytes | None, bytes | None, Sequence[tuple[bytes, bytes]]]

CODECS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, lambda data: data),
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}


def batch(records: Sequence[Record], compression: str, timestamp_ms: int) -> bytes:
    """Return a batch of records: key, value, headers."""
    number, compress = CODECS[compression]
    body = compress(b"".join(_record(place, *record) for place, record in enumerate(records)))
    last = len(records) - 1
    checked = HEADERS_AFTER_CHECKSUM.pack(
        number, last, timestamp_ms, timestamp_ms, NOBODY, NOBODY, NOBODY, len(records)
    ) + body  # fmt: skip
    head = HEADERS_BEFORE_CHECKSUM.pack(0, 4 + 1 + 4 + len(checked), NOBODY, 2)
    return head + struct.pack(">I", calc_crc32c(checked)) + checked


def _record(place: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    body = b"\0" + _number(0) + _number(place) + _sized(key) + _sized(value) + _number(len(headers))
    body += b"".join(_sized(name) + _sized(content) for name, content in headers)
    return _number(len(body)) + body


def _number(value: int) -> bytes:
    written = bytearray()
    encode_varint(value, written.append)
    return bytes(written)


def _sized(data: bytes | None) -> bytes:
    return _number(-1) if data is None else _number(len(data)) + data


def produce(deployment: Deployment, topic: str, partition: int, data: bytes) -> None:
    """Have the brokers append a batch as it is."""
    name = deployment.full_name(topic)

    async def ask() -> None:
        async with clients.admin(deployment.settings) as client:
            answer = await client._send_request(ProduceRequest(None, -1, 10_000, [(name, [(partition, data)])]))
            assert answer.topics[0][1][0][1] == 0, answer

    run(ask())
