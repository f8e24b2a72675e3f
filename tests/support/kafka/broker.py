"""A Kafka broker of a test's own, and a cluster of them: real processes that may be stopped, killed and frozen.

The rule: a broker keeps its ports and its data over `stop`, `kill` and `start`; nothing is left of it after `close`.
"""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.kafka.certificates import Authority
from tests.support.kafka.home import Home
from tests.support.kafka.java import command
from tests.support.kafka.properties import ADMIN, HOST, Ports, Security, combined, tls, written
from worker.errors import JobFailed

__all__ = ["Broker", "Cluster"]

CLUSTER_ID = "c2hvYWwtdGVzdHMtMDAwMQ"
UP_SECONDS_MAX = 90
STOP_SECONDS_MAX = 60
STARTED = "Kafka Server started"
PORT_TAKEN = "Address already in use"
PLAINTEXT = Security("PLAINTEXT")


class Broker:
    """One broker, which is its own controller.

    `properties` go before ours. `security` is how clients log in, `advertised_port` what they are told to connect to
    (that of a proxy). `disk_bytes` puts the data on a disk of that size, which needs root. `java_options` go after
    ours. `node` and `quorum` (every node's ports) make it one of a cluster.
    """

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        security: Security = PLAINTEXT,
        *,
        advertised_port: int | None = None,
        disk_bytes: int | None = None,
        java_options: Sequence[str] = (),
        node: int = 1,
        quorum: Mapping[int, Ports] | None = None,
    ) -> None:
        self.properties, self.security, self.node = dict(properties or {}), security, node
        self._advertised_port, self._java_options, self._alone = advertised_port, java_options, quorum is None
        self._quorum = dict(quorum or {node: Ports.free()})
        self._process: subprocess.Popen[bytes] | None = None
        self.home = Home(disk_bytes)
        self._log = self.home.folder / "broker.log"
        self._authority = Authority(self.home.folder) if security.protocol.endswith("SSL") else None

    def _all_properties(self) -> dict[str, str]:
        told = combined(self.node, self._quorum, self.security.protocol, self._advertised_port)
        told |= {"log.dirs": str(self.home.data), "metadata.log.dir": str(self.home.folder / "metadata")}
        told |= self.security.properties()
        if self._authority is not None:
            told |= tls(self._authority.issue("broker"), self._authority.certificate)
        return told | self.properties

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._quorum[self.node].client

    @property
    def bootstrap(self) -> str:
        """Where clients begin: host:port."""
        return f"{HOST}:{self._advertised_port or self.port}"

    @property
    def internal(self) -> str:
        """The door between brokers, never secured, where everybody may do all: for a test's own preparations."""
        return f"{HOST}:{self._quorum[self.node].internal}"

    def client(self, user: str = ADMIN) -> dict[str, str]:
        """Return the settings with which a user connects, by the names of `Settings`."""
        protocol = self.security.protocol
        given = {"bootstrap_servers": self.bootstrap, "security_protocol": protocol}
        if self._authority is not None:
            given["ssl_cafile"] = str(self._authority.certificate)
            if protocol == "SSL":
                pem = str(self._authority.issue(user))
                given |= {"ssl_certfile": pem, "ssl_keyfile": pem}
        if protocol.startswith("SASL"):
            password = self.security.passwords[user]
            given |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": user, "sasl_password": password}
        return given

    def start(self) -> Self:
        """Start the broker and wait until it serves. Raises JobFailed, with the end of its log, if it doesn't."""
        self.launch()
        self.wait_until_up()
        return self

    def launch(self) -> None:
        """Start the broker without waiting for it; the first time its data is formatted."""
        assert not self.is_running
        file = self.home.folder / "server.properties"
        file.write_text(written(self._all_properties()))
        if not (self.home.folder / "metadata").exists():
            self._format(file)
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command("kafka.Kafka", str(file), options=self._java_options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.home.watch(self._process.pid)

    def _format(self, file: Path) -> None:
        made = subprocess.run(
            command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(file),
                    *self.security.format_arguments()),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode != 0:
            raise JobFailed(f"The broker's storage can't be formatted:\n{made.stdout}{made.stderr}")

    def wait_until_up(self) -> None:
        """Wait until the broker serves; a first start whose ports were taken meanwhile is tried on others."""
        assert self._process is not None
        deadline = time.monotonic() + UP_SECONDS_MAX
        while STARTED not in self.log():
            if self._process.poll() is not None and PORT_TAKEN in self.log() and self._alone and self._log_begins == 0:
                self._quorum = {self.node: Ports.free()}
                self.launch()
            elif self._process.poll() is not None:
                raise JobFailed(f"The broker ended with {self._process.returncode}:\n{self._last_words()}")
            elif time.monotonic() > deadline:
                raise JobFailed(f"The broker doesn't come up in {UP_SECONDS_MAX} s:\n{self._last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the broker as an operator would (SIGTERM)."""
        process = self._running()
        process.terminate()
        process.send_signal(signal.SIGCONT)
        process.wait(STOP_SECONDS_MAX)
        self.home.watch(None)

    def kill(self) -> None:
        """End the broker as a power cut would (SIGKILL)."""
        process = self._running()
        process.kill()
        process.wait()
        self.home.watch(None)

    def freeze(self) -> None:
        """Halt the broker (SIGSTOP): connections stay, nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self._running().send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop the broker if it runs, and start it with its data on its ports."""
        if self.is_running:
            self.stop()
        self.start()

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return what the broker has logged since it was last launched (warnings and worse)."""
        with self._log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace")

    def close(self) -> None:
        """Kill the broker if it runs, and remove its data."""
        self.home.close()
        if self._process is not None:
            self._process.wait()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the broker was never started"
        assert self._process.poll() is None, f"the broker has ended:\n{self._last_words()}"
        return self._process

    def _last_words(self) -> str:
        return "\n".join(self.log().splitlines()[-40:])


class Cluster:
    """Brokers 1 to `size`, all controllers too; topics and offsets have three replicas, of which one may fail."""

    def __init__(self, size: int = 3, properties: Mapping[str, str] | None = None) -> None:
        quorum = {node: Ports.free() for node in range(1, size + 1)}
        small = ("-Xmx256m",)
        self.brokers = [Broker(properties, node=node, quorum=quorum, java_options=small) for node in quorum]

    @property
    def bootstrap(self) -> str:
        """Where clients begin: every broker."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> Self:
        """Start all and wait until all serve."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_until_up()
        return self

    def close(self) -> None:
        """Kill all and remove their data."""
        for broker in self.brokers:
            broker.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()
