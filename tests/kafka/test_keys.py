"""The key a record has to have, held to the decoder: with it nothing is ever a mismatch."""

import json
import random

import pytest

from schemas.definitions import Definitions
from tests.support import streams
from worker.core.decode import Decoder
from worker.core.interning import Strings, Users
from worker.core.zones import Zones
from worker.language.mapping import Mapping
from worker.operations.keys import key_of, opened

NOW_MS = 1_795_342_500_250
MAPPING = Mapping.load()
BEFORE_THE_KEY = {"too_large", "too_deep", "not_json", "not_an_object", "bad_type", "missing_user", "bad_user"}
ODD = [
    b"", b"{", b"[]", b"null", b'{"type":"trak","userId":"u"}', b'{"userId":"u"}', b'{"type":["track"],"userId":"u"}',
    b'{"type":"page"}', b'{"type":"page","userId":""}', b'{"type":"page","userId":7}',
    b'{"type":"page","userId":"anon:u"}', b'{"type":"page","anonymousId":"anon:u"}',
    b'{"type":"page","userId":"\\ud800"}',
    b'{"type":"page","userId":"u","context":7}', b'{"type":"page","userId":null,"anonymousId":"a-1"}',
    b'{"type":"page","userId":"u","userId":"v"}', b'{"type":"page","userId":"u","x":"\xff"}',
    b'{"type":"page","userId":"u","x":NaN}', b'{"type":"page","userId":"u","x":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"type":"page","userId":"u","x":"' + b"[" * 40 + b'"}', b'{"type":"track","userId":"u"}',
    b'{"type":"page","userId":"u","timestamp":"yesterday"}', b'{"type":"page","userId":"u","properties":7}',
    b'{"type":"page","userId":"u","x":"' + b"y" * 70_000 + b'"}',
    *(json.dumps({"type": "page", name: "é" * count + "x" * more}).encode()
      for name in ("userId", "anonymousId") for count, more in ((128, 0), (128, 1), (125, 1), (125, 2))),
    b'{"external_id":"b-1","name":"ecommerce.order_placed","time":"2026-11-22T12:00:00.000Z","properties":{}}',
]  # fmt: skip


def refusal(payload: bytes, keys: list[bytes | None] | None) -> str | None:
    """The decoder's reason against a record that arrives now; None if it takes it."""
    definitions = Definitions.model_validate({"version": 1, "segments": []})
    decoder = Decoder(MAPPING, definitions, Users(), Strings(), Zones(), event_clock=False)
    letters = decoder.decode([payload], [0], keys, [NOW_MS]).dead_letters
    return letters[0].reason if letters else None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_decoder_finds_no_mismatch_with_it(seed: int) -> None:
    """Whatever the record, it comes to the same as without a look at keys, and has a key exactly if it needs one."""
    unkind = streams.payloads(random.Random(seed), 300, streams.Settings(malformed=0.3))
    for payload in [*unkind, *ODD]:
        without, key = refusal(payload, None), key_of(payload, MAPPING)
        assert refusal(payload, [key]) == without, payload[:200]
        assert (key is None) == (without in BEFORE_THE_KEY), payload[:200]


def test_another_key_would_be_one() -> None:
    """The test above can fail: with a key of another user the same records are mismatches."""
    payload = b'{"type":"page","userId":"u-1"}'
    assert (key_of(payload, MAPPING), refusal(payload, [b"u-2"])) == (b"u-1", "key_mismatch")


def test_the_forms_of_vendors_are_opened() -> None:
    """An event of Braze is read through the mapping's envelope."""
    event = opened(ODD[-1], MAPPING)
    assert event is not None
    assert (event.type, event.event, key_of(ODD[-1], MAPPING)) == ("track", "ecommerce.order_placed", b"b-1")
