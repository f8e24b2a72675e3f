"""Models as files: a snapshot as JSON on a line."""

from pathlib import Path

from schemas.models import RefusedSnapshot, Snapshot
from worker.core.snapshots import usable_snapshot
from worker.errors import WrongUsage

__all__ = ["read_model"]


def read_model(path: Path) -> Snapshot:
    """Return the model in a file, of several lines the last one's. Raises WrongUsage for what can't be used."""
    try:
        lines = path.read_bytes().splitlines() or [b""]
        return usable_snapshot(lines[-1], None)
    except OSError as error:
        raise WrongUsage(f"Can't read {path}: {error.strerror or error}; check the path.") from error
    except RefusedSnapshot as refused:
        raise WrongUsage(f"{path} holds no model that can be used ({refused}): take one of models.jsonl.") from None
