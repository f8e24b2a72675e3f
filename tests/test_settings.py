"""Settings by hand: what follows from what."""

import pytest

from worker import settings


def test_a_deployment_has_a_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named after the prefix, unless somebody names it."""
    monkeypatch.delenv("SHOAL_GROUP", raising=False)
    monkeypatch.setenv("SHOAL_TOPIC_PREFIX", "brand.")
    assert settings.load().group == "brand.workers"
    assert settings.load(topic_prefix="other-").group == "other-workers"
    monkeypatch.setenv("SHOAL_GROUP", "mine")
    assert settings.load().group == "mine"
