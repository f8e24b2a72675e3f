"""What a test's broker is told: quick to start, quick to notice, small.

Three listeners: CLIENT for those that the tests are about, INTERNAL between brokers, CONTROLLER for the quorum. Only
the first may be secured: over the other two everybody is anonymous, and anonymous may do all.
"""

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["ADMIN", "Ports", "Security", "combined", "tls", "written"]

ADMIN = "admin"
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)  # below those that the system gives to outgoing connections: a broker finds its own again

QUICK = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "broker.session.timeout.ms": "2000",  # a killed broker is taken back only when it has been missed
    "broker.heartbeat.interval.ms": "250",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "500",
    "log.cleaner.backoff.ms": "200",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}
BROKER_LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Ports:
    """The three ports of a broker."""

    client: int
    internal: int
    controller: int

    @classmethod
    def free(cls) -> Self:
        """Choose ports that nobody listens on just now."""
        chosen: list[int] = []
        while len(chosen) < 3:
            port = random.SystemRandom().choice(PORTS)
            if port not in chosen and _is_free(port):
                chosen.append(port)
        return cls(*chosen)


def _is_free(port: int) -> bool:
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Security:
    """How clients show who they are; `users` are passwords by name, and there is always an ADMIN, who may do all.

    SASL_SSL and SASL_PLAINTEXT take each user's password by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 (Kafka's storage
    tool reads no commas, quotes, backslashes or brackets in one). SSL takes a certificate instead. With `authorize` a
    user may do what ACLs allow and nothing else.
    """

    protocol: str = "SASL_SSL"
    users: Mapping[str, str] = field(default_factory=dict)
    authorize: bool = False

    @property
    def passwords(self) -> dict[str, str]:
        """Everybody's password by name."""
        return {ADMIN: f"the password of {ADMIN}", **self.users}

    def properties(self) -> dict[str, str]:
        """Return what the broker is told about its users."""
        told: dict[str, str] = {}
        if self.protocol.startswith("SASL"):
            told |= self._sasl()
        if self.protocol == "SSL":
            told |= {"ssl.client.auth": "required", "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/"}
        if self.authorize:
            told |= {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": f"User:ANONYMOUS;User:{ADMIN}",
            }
        return told

    def _sasl(self) -> dict[str, str]:
        listed = " ".join(f'user_{name}="{password}"' for name, password in self.passwords.items())
        scram = f"{BROKER_LOGIN}.scram.ScramLoginModule required;"
        return {
            "listener.name.client.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.client.plain.sasl.jaas.config": f"{BROKER_LOGIN}.plain.PlainLoginModule required {listed};",
            "listener.name.client.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.client.scram-sha-512.sasl.jaas.config": scram,
        }

    def format_arguments(self) -> list[str]:
        """Return what the storage tool is told, so that SCRAM users are there from the beginning."""
        if not self.protocol.startswith("SASL"):
            return []
        return [
            argument
            for name, password in self.passwords.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]


def tls(keys: Path, trusted: Path) -> dict[str, str]:
    """Return the properties for TLS: the broker's key and certificate, and the authority's certificate, both PEM."""
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(trusted),
    }


def combined(node: int, quorum: Mapping[int, Ports], protocol: str, advertised_port: int | None) -> dict[str, str]:
    """Return the properties of a node that is broker and controller, one of `quorum`."""
    ports, replicas = quorum[node], min(len(quorum), 3)
    enough = str(max(1, replicas - 1))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(f"{each}@{HOST}:{its.controller}" for each, its in quorum.items()),
        "listeners": f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal},"
        f"CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{advertised_port or ports.client},INTERNAL://{HOST}:{ports.internal}",
        "listener.security.protocol.map": f"CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": enough,
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": enough,
        **QUICK,
    }


def written(properties: Mapping[str, str]) -> str:
    """Return properties as Java reads them from a file: in ASCII."""
    lines = "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in properties.items())
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in lines)
