"""Where sinks send: what is refused, with a sentence and without a secret."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.kafka.secured import shoal
from worker import settings as configuration
from worker.errors import WrongUsage
from worker.sinks.targets import targets_of
from worker.sinks.webhook import secrets_of, signature

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRETS = {"webhook_secret": SECRET, "audiences_write_key": "the-write-key"}


def mistakes(**given: Any) -> str:
    """What is wrong with settings; empty if nothing is."""
    try:
        targets_of(configuration.load(**SECRETS | given))
    except WrongUsage as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "No sink is configured"),
        ({"webhook_url": "http://shop.example/hook"}, "http:// would send"),
        ({"webhook_url": "ftp://shop.example/hook"}, "begins with https://"),
        ({"webhook_url": "https:///hook"}, "begins with https://"),
        ({"webhook_url": "https://shop.example:99999/"}, "is no address"),
        ({"webhook_url": "https://me:hush@shop.example/"}, "no password belongs"),
        ({"webhook_url": "https://shop.example/", "webhook_secret": "hush"}, "SHOAL_WEBHOOK_SECRET: number 1"),
        ({"webhook_url": "https://shop.example/", "webhook_secret": SECRET + " whsec_aHVzaA=="}, "number 2"),
        ({"webhook_url": "https://shop.example/", "webhook_secret": " "}, "it is empty"),
        ({"audiences_url": "https://shop.example/v1/batch", "audiences_write_key": ""}, "WRITE_KEY"),
        ({"audiences_url": "https://shop.example/v1/batch", "audiences_topic": True}, "one of the two"),
        ({"audiences_topic": True, "sinks_cafile": "/nowhere.pem"}, "SHOAL_SINKS_CAFILE"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told(given: dict[str, Any], said: str) -> None:
    """A line for each mistake; no secret is in any."""
    told = mistakes(**given)
    assert said in told
    assert "hush" not in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_url": "https://shop.example/hook"}, {"webhook_url": "http://localhost:8000/hook"},
        {"webhook_url": "http://[::1]:8000/"}, {"webhook_url": "http://127.0.0.2/"}, {"audiences_topic": True},
        {"webhook_url": "http://shop.example/hook", "sinks_allow_http": True},
        {"audiences_url": "https://api.segment.io/v1/batch"},
    ],
)  # fmt: skip
def test_what_can_be_used_is(given: dict[str, Any]) -> None:
    """TLS anywhere, plain HTTP on this host or where it is allowed."""
    assert mistakes(**given) == ""


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """As orchestrators hand it out; several while it is changed, a line each."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n{SECRET}\n")
    given = configuration.load(webhook_url="https://shop.example/", webhook_secret_file=file)
    assert targets_of(given).webhook_secrets == [bytes(range(32))] * 2
    assert SECRET not in repr(given)


def test_each_secret_signs_and_a_receiver_takes_any() -> None:
    """By the rules of those who wrote the specification."""
    body, now = b'{"type":"t"}', str(int(time.time()))
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    made = signature(secrets_of(f"{SECRET}\n{other}"), "id-1", now, body)
    headers = {"webhook-id": "id-1", "webhook-timestamp": now, "webhook-signature": made}
    for secret in (SECRET, other):
        assert Webhook(secret).verify(body, headers) == {"type": "t"}


def test_sinks_without_anything_to_do_end_with_2() -> None:
    """Before they ask any broker."""
    done = shoal({}, "sinks", status=2)
    assert "No sink is configured" in done.stderr
