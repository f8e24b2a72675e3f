"""What lift has counted, as records of `lift-state`: see `kept_state.py`. Users are entries under `user/`.

part/kept     msgpack: all that is known beside the users, see `worker/lift/ledger.py`
part/history  JSON: each campaign's points so far
user/ID       msgpack: the user's parts; gone with an erasure
"""

import msgspec

__all__ = ["USER", "LiftProgress"]

FORMAT = 1
USER = b"user/"


class LiftProgress(msgspec.Struct, forbid_unknown_fields=True):
    """How far lift is."""

    format: int = FORMAT
    offsets: dict[str, dict[int, int]] = {}  # next to be read: by topic of the table, by partition
    users: int = 0  # entries that there are
    commands_offset: int = 0  # the next command
    parts: dict[str, str] = {}  # digests by name
