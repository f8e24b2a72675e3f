"""Hashes that chance is drawn from: the same in every process, on every day (never Python's salted `hash`)."""

import hashlib

__all__ = ["seed_of"]


def digest_64(text: str) -> int:
    """Return the BLAKE2b-64 digest of a text's UTF-8 bytes as an unsigned big-endian number."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def seed_of(*parts: str) -> int:
    r"""Return the digest of the parts joined by \x1f, as the signed int64 with the same bits."""
    digest = digest_64("\x1f".join(parts))
    return digest - (1 << 64) if digest >= 1 << 63 else digest
