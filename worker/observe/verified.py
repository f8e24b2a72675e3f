"""What `shoal verify` found, as a file for the textfile collector of Prometheus' node_exporter.

The rule: the file is whole or it isn't there: it is written beside its place and moved into it.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from worker.errors import WrongUsage
from worker.observe.series import shown

__all__ = ["VerifyMetrics"]


class VerifyMetrics:
    """The metrics of one run."""

    def __init__(self, same: int, different: int, not_judged: int) -> None:
        self._users = {("same",): same, ("different",): different, ("not_judged",): not_judged}
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield every family; the registry calls this."""
        yield shown("shoal_verify_users", self._users)
        yield shown("shoal_verify_timestamp_seconds", {(): time.time()})

    def write(self, path: Path) -> None:
        """Write them. Raises WrongUsage if the file can't be written."""
        try:
            new = path.with_name(path.name + ".new")
            new.write_bytes(generate_latest(self.registry))
            new.replace(path)
        except OSError as error:
            raise WrongUsage(f"{path} can't be written ({error.strerror}): give --metrics another place.") from error
