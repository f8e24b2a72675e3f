"""Where sinks send, as the settings have it: checked before anything is read.

The rule: an address on another host is reached over TLS and no otherwise, unless a setting allows it; no secret is in
an address, for those are shown.
"""

import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from worker.errors import ShoalError, WrongUsage
from worker.settings import Settings
from worker.sinks.webhook import secrets_of

__all__ = ["Targets", "targets_of"]

NOTHING = (
    "No sink is configured: set SHOAL_WEBHOOK_URL, SHOAL_AUDIENCES_URL or SHOAL_AUDIENCES_TOPIC=true; docs/sinks.md "
    "says what each does."
)


@dataclass(frozen=True, repr=False)
class Targets:
    """What is configured."""

    webhook_url: str | None
    webhook_secrets: list[bytes]
    audiences_url: str | None
    audiences_write_key: str
    audiences_topic: bool
    tls: ssl.SSLContext


def targets_of(settings: Settings) -> Targets:
    """Return what is configured. Raises WrongUsage, a line per mistake, without any secret."""
    mistakes: list[str] = []
    secrets: list[bytes] = []
    if settings.webhook_url:
        mistakes += _about_url("SHOAL_WEBHOOK_URL", settings.webhook_url, settings)
        try:
            secrets = secrets_of(_clear(settings, "webhook_secret"))
        except ShoalError as error:
            mistakes.append(str(error))
    if settings.audiences_url:
        mistakes += _about_url("SHOAL_AUDIENCES_URL", settings.audiences_url, settings)
        if settings.audiences_topic:
            mistakes.append("SHOAL_AUDIENCES_URL and SHOAL_AUDIENCES_TOPIC: one of the two; the other one's reader "
                            "can take what the first writes.")  # fmt: skip
        if not _clear(settings, "audiences_write_key"):
            mistakes.append("SHOAL_AUDIENCES_WRITE_KEY: an audience endpoint wants its source's write key.")
    if not (settings.webhook_url or settings.audiences_url or settings.audiences_topic):
        mistakes.append(NOTHING)
    if mistakes:
        raise WrongUsage("\n".join(mistakes))
    return Targets(
        settings.webhook_url, secrets, settings.audiences_url, _clear(settings, "audiences_write_key"),
        settings.audiences_topic, _tls(settings),
    )  # fmt: skip


def _clear(settings: Settings, name: str) -> str:
    """A secret in the clear; empty if it isn't set."""
    secret = getattr(settings, name)
    return secret.get_secret_value() if secret is not None else ""


def _about_url(name: str, url: str, settings: Settings) -> list[str]:
    """What is wrong with an address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return [f"{name}: it is no address."]
    if parts.scheme not in ("http", "https") or not host:
        return [f"{name}: it begins with https:// and a host."]
    if parts.username or parts.password:
        return [f"{name}: no password belongs into an address."]
    if parts.scheme == "http" and not (settings.sinks_allow_http or _is_this_host(host)):
        return [f"{name}: http:// would send users' data readable; use https://, or set SHOAL_SINKS_ALLOW_HTTP=true."]
    return []


def _is_this_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.sinks_cafile) if settings.sinks_cafile else None)
    except OSError as error:  # ssl.SSLError is one
        raise WrongUsage(
            f"SHOAL_SINKS_CAFILE: {settings.sinks_cafile} can't be used ({type(error).__name__})."
        ) from None
