"""What learning knows as bytes: msgpack of plain data, cut into pieces small enough for one record each.

A name's first piece begins with the number of its pieces, so that pieces left over from a longer time before,
which a compacted topic still holds, are never read.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES_MAX", "cut", "joined", "packed_array", "unpacked_array"]

BYTES_MAX: Final = 900_000
HEADER_BYTES: Final = 4


def cut(name: str, content: Any) -> dict[str, bytes]:
    """Return the content as pieces of at most `BYTES_MAX` bytes, `<name>/0` and so on."""
    encoded = msgspec.msgpack.encode(content)
    room = BYTES_MAX - HEADER_BYTES
    chunks = [encoded[first : first + room] for first in range(0, len(encoded), room)]
    chunks[0] = len(chunks).to_bytes(HEADER_BYTES, "big") + chunks[0]
    return {f"{name}/{place}": chunk for place, chunk in enumerate(chunks)}


def joined(name: str, pieces: Mapping[str, bytes]) -> Any | None:
    """Return what `cut` was given, or None if there is nothing of that name.

    Raises:
        ValueError: a piece is missing, or the content isn't msgpack.
    """
    first = pieces.get(f"{name}/0")
    if first is None:
        return None
    count = int.from_bytes(first[:HEADER_BYTES], "big")
    rest = [pieces.get(f"{name}/{place}") for place in range(1, count)]
    if any(piece is None for piece in rest):
        raise ValueError(f"a piece of {name} is missing: {count} were written")
    try:
        return msgspec.msgpack.decode(b"".join([first[HEADER_BYTES:], *(piece for piece in rest if piece is not None)]))
    except msgspec.DecodeError as error:
        raise ValueError(f"{name} isn't msgpack: {error}") from error


def packed_array(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array of numbers as plain data."""
    return {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": np.ascontiguousarray(array).tobytes()}


def unpacked_array(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Return the array that was packed, a copy of its own."""
    return np.frombuffer(packed["bytes"], np.dtype(packed["dtype"])).reshape(packed["shape"]).copy()
