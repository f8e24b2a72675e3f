"""The key that a record has to have: its user's id, read as the decoder reads it.

The rule: what the decoder refuses before it looks at the key has none, and what it would accept has the one that it
asks for. A test holds the two to each other.
"""

from schemas.events import DEPTH_MAX, PAYLOAD_BYTES_MAX, TEXT_BYTES_MAX
from worker.core.batch import Refused
from worker.core.json_text import Event, depth, event_of, parse_event, parsed, parsed_slowly
from worker.language.mapping import Mapping

__all__ = ["key_of", "opened"]

TYPES = ("track", "page", "screen", "identify")
ANONYMOUS = "anon:"


def key_of(payload: bytes, mapping: Mapping) -> bytes | None:
    """Return the `userId`, or the bare `anonymousId`, of a record; None if nobody can read one in it."""
    event = opened(payload, mapping)
    if event is None:
        return None
    known = event.userId is not None
    user = event.userId if known else event.anonymousId
    if type(user) is not str or not user or (known and user.startswith(ANONYMOUS)):
        return None
    try:
        key = user.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return key if len(key) + (0 if known else len(ANONYMOUS)) <= TEXT_BYTES_MAX else None


def opened(payload: bytes, mapping: Mapping) -> Event | None:
    """Return the event in Segment's form, whatever form it came in; None for what is none."""
    if len(payload) > PAYLOAD_BYTES_MAX or (payload.count(b"[") + payload.count(b"{") > DEPTH_MAX < depth(payload)):
        return None
    try:
        event = _parsed(payload)
        if event.type in TYPES:
            return event
        form = mapping.segment_form(parsed(payload)[0]) if event.type is None else None
        return event_of(form) if form is not None and form.get("type") in TYPES else None
    except Refused:
        return None


def _parsed(payload: bytes) -> Event:
    try:
        event = parse_event(payload)
        if not payload.isascii():
            payload.decode()  # members that aren't read were skipped without a look at their UTF-8
    except Exception:  # noqa: BLE001  whatever the quick parser has against it, the slow one decides
        return parsed_slowly(payload)[0]
    return event
