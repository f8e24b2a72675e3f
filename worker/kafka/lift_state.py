"""What lift has counted, as records of `lift-state`: see `kept_state.py`. It has entries and no parts.

campaign/ID          JSON: a campaign's runs, with what users who are gone have added, see `worker/lift/runs.py`
hours/PARTITION/ID   JSON: a campaign's decisions fired, by hour, where it has a limit
history/ID           JSON: a campaign's points so far
user/ID              a user's parts, see `worker/lift/people.py`; gone with an erasure
early/ID             JSON: a user's records whose decision is yet to come; gone with an erasure
erased/PSEUDONYM     JSON: when an erased user asked, ms
"""

import msgspec

__all__ = ["LiftProgress"]

FORMAT = 2


class LiftProgress(msgspec.Struct, forbid_unknown_fields=True):
    """How far lift is."""

    format: int = FORMAT
    offsets: dict[str, dict[int, int]] = {}  # next to be read: by topic of the table, by partition
    clocks: dict[int, int] = {}  # by partition: the newest instant, ms
    entries: dict[str, int] = {}  # how many there are, by kind
    commands_offset: int = 0  # the next command
    key_marks: dict[int, str] = {}  # of the keys of the pseudonyms under which erasures are remembered, by version
