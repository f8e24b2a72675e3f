"""Settings by hand: what follows from what."""

import pytest

from worker import settings
from worker.errors import WrongUsage


def test_a_deployment_has_a_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named after the prefix, unless somebody names it."""
    monkeypatch.delenv("SHOAL_GROUP", raising=False)
    monkeypatch.setenv("SHOAL_TOPIC_PREFIX", "brand.")
    assert settings.load().group == "brand.workers"
    assert settings.load(topic_prefix="other-").group == "other-workers"
    monkeypatch.setenv("SHOAL_GROUP", "mine")
    assert settings.load().group == "mine"


def test_a_key_of_pseudonyms_can_be_put_among_those_before() -> None:
    """Which are told apart by commas: a key with one is refused before anything is under it."""
    with pytest.raises(WrongUsage, match="has a comma"):
        settings.load(pseudonym_key="sixteen letters, or more")
    kept = settings.load(pseudonym_key="n" * 16, pseudonym_key_version=2, pseudonym_keys_before="1:" + "o" * 16)
    assert kept.pseudonym_keys == {1: b"o" * 16, 2: b"n" * 16}
