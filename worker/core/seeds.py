"""Hashes that chance is drawn from: the same in every process, on every day (never Python's salted `hash`)."""

import hashlib

__all__ = ["drawn", "seed_of"]

MASK = (1 << 64) - 1


def digest_64(text: str) -> int:
    """Return the BLAKE2b-64 digest of a text's UTF-8 bytes as an unsigned big-endian number."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def seed_of(*parts: str) -> int:
    r"""Return the digest of the parts joined by \x1f, as the signed int64 with the same bits."""
    digest = digest_64("\x1f".join(parts))
    return digest - (1 << 64) if digest >= 1 << 63 else digest


def drawn(user_id: str, seed: int) -> float:
    """Return a user's random number in [0, 1) for a purpose, as the pass draws it (`checks.random_number`)."""
    z = ((digest_64(user_id) ^ seed) + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return (z ^ z >> 31) / 18446744073709551616.0
