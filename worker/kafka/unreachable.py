"""Why no broker can be used, in one sentence that says which setting to look at.

aiokafka tells its callers only that it couldn't begin anywhere, and the reason to its log. So the servers are
tried once more, one after the other, until one gives a reason. No sentence repeats a password, or what a broker said.
"""

import socket
import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import IllegalSaslStateError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from worker.errors import JobFailed, ShoalError, WrongUsage
from worker.settings import Settings

__all__ = ["why"]

TRY_MS_MAX = 5_000
WRONG_NAME_CODES = {62, 64}  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH


async def why(settings: Settings, security: dict[str, Any]) -> ShoalError:
    """Return what to raise; `security` is what every client is given."""
    arguments = {name: value for name, value in security.items() if name != "bootstrap_servers"}
    for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False):
        error = await _try(host, port, {**arguments, "client_id": settings.instance_id}, settings)
        told = _told(error, f"{host}:{port}", settings)
        if told is not None:
            return told
    return JobFailed(
        f"No broker answers at {settings.bootstrap_servers}: start it, or correct SHOAL_BOOTSTRAP_SERVERS."
    )


async def _try(host: str, port: int, arguments: dict[str, Any], settings: Settings) -> Exception | None:
    timeout_ms = min(settings.request_timeout_ms, TRY_MS_MAX)
    try:
        connection = await create_conn(host, port, request_timeout_ms=timeout_ms, **arguments)
        try:
            await connection.send(MetadataRequest([]))
        finally:
            await connection.close()
    except (KafkaError, OSError, TimeoutError, UnicodeError) as error:
        return error
    return None


def _told(error: Exception | None, server: str, settings: Settings) -> ShoalError | None:
    """The sentence for what a server did; None: nobody is there, another server may know more."""
    match error:
        case SaslAuthenticationFailed():
            return WrongUsage(
                f"{server} refuses the login of {settings.sasl_username}: check SHOAL_SASL_USERNAME and the password."
            )
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            return WrongUsage(
                f"{server} knows no login by {settings.sasl_mechanism}: check SHOAL_SASL_MECHANISM and "
                "SHOAL_SECURITY_PROTOCOL."
            )
        case ssl.SSLCertVerificationError():
            return _untrusted(error, server)
        case socket.gaierror() | UnicodeError():
            return JobFailed(f"{server} has no address: correct SHOAL_BOOTSTRAP_SERVERS.")
        case ConnectionResetError():
            return JobFailed(
                f"{server} breaks the connection: it starts or ends just now, or doesn't speak "
                f"{settings.security_protocol}; try again, or check SHOAL_SECURITY_PROTOCOL and the port."
            )
        case ssl.SSLError():
            return WrongUsage(
                f"{server} doesn't speak {settings.security_protocol} ({type(error).__name__}): check "
                "SHOAL_SECURITY_PROTOCOL and the port."
            )
        case KafkaError():
            return JobFailed(
                f"{server} ends the connection ({type(error).__name__}): it may want TLS, a login or a client's "
                "certificate; check SHOAL_SECURITY_PROTOCOL."
            )
        case None:
            return JobFailed(f"{server} answers now: try again.")
    return None


def _untrusted(error: ssl.SSLCertVerificationError, server: str) -> WrongUsage:
    if error.verify_code in WRONG_NAME_CODES:
        return WrongUsage(
            f"The certificate of {server} is for another name: write the name that it is for into "
            "SHOAL_BOOTSTRAP_SERVERS and the brokers' advertised.listeners."
        )
    return WrongUsage(
        f"The certificate of {server} isn't trusted ({error.verify_message}): name its authority in SHOAL_SSL_CAFILE."
    )
