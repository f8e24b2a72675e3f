"""Snapshots from outside: what this release can score from, and nothing else gets through."""

from schemas.models import RefusedSnapshot, Snapshot, read_snapshot
from worker.language.catalogue import FEATURE_NAMES
from worker.language.observed import OBSERVED, OBSERVED_HASH

__all__ = ["usable_snapshot", "version_of"]

KNOWN = frozenset((*FEATURE_NAMES, *(feature.name for feature in OBSERVED)))


def usable_snapshot(data: bytes, newer_than: int | None) -> Snapshot:
    """Return the snapshot in these bytes, if it is newer than the version that runs (None: none does).

    Raises `schemas.models.RefusedSnapshot`, whatever the bytes are.
    """
    return read_snapshot(data, newer_than=newer_than, feature_schema=OBSERVED_HASH, known=KNOWN)


def version_of(data: bytes) -> int:
    """Return the version of a snapshot that is sound, be it of a release with other features; else 0."""
    try:
        return usable_snapshot(data, None).version
    except RefusedSnapshot as refused:
        return Snapshot.model_validate_json(data).version if refused.reason == "other_schema" else 0
