"""Pseudonyms: keyed hashes that stand for user ids where an id must not be kept.

BLAKE2b-256 (RFC 7693) of the id under a secret key, with the version of the key beside it, so that a key can be
replaced and what was written under the one before is still found. Without a key it is version 0, a plain hash: it
hides an id from who sees it, not from who can guess it. The rule: one person has one pseudonym under one key.
"""

import hashlib
from collections.abc import Mapping

__all__ = ["Pseudonyms", "UnknownKeyError"]

UNKEYED = 0
MARKED = "\x1fkey"  # which no user is called


class UnknownKeyError(ValueError):
    """Something is under a key version that isn't given; the message says which."""


class Pseudonyms:
    """The keys there are; new pseudonyms are under the one with the highest version."""

    def __init__(self, secrets: Mapping[int, bytes] | None = None) -> None:
        """`secrets` are texts of any length by version, which begins at 1."""
        hashed = {version: hashlib.blake2b(secret).digest() for version, secret in (secrets or {}).items()}
        self._keys = {UNKEYED: b"", **hashed}
        self.version = max(self._keys)

    def of(self, user_id: str, version: int | None = None) -> str:
        """Return the pseudonym of a user, 64 hex digits, under the newest key or the one given.

        Raises UnknownKeyError.
        """
        version = self.version if version is None else version
        self.require(version)
        return hashlib.blake2b(user_id.encode(), digest_size=32, key=self._keys[version]).hexdigest()

    def all_of(self, user_id: str) -> list[str]:
        """Return the pseudonyms of a user under every key there is, the newest first."""
        return [self.of(user_id, version) for version in sorted(self._keys, reverse=True)]

    def mark(self, version: int) -> str:
        """Return 16 hex digits that tell a key from another that has its version."""
        return self.of(MARKED, version)[:16]

    def require(self, version: int, mark: str = "") -> None:
        """Raise UnknownKeyError unless the key of that version is there, and the one with this mark, if it is given."""
        if version not in self._keys or (mark and mark != self.mark(version)):
            raise UnknownKeyError(
                f"an erasure is under version {version} of the pseudonym key, which isn't given: set "
                "SHOAL_PSEUDONYM_KEYS_BEFORE, and a higher SHOAL_PSEUDONYM_KEY_VERSION for another key"
            )
