"""Make ready what a broker needs: `python -m tests.support.kafka.install`. Instant when it is ready already."""

import sys

from tests.support.kafka.broker import Broker
from tests.support.kafka.jars import jars
from tests.support.kafka.java import archive, archiving
from worker.errors import ShoalError


def main() -> int:
    """Return the exit status: 2 if something has to be installed by hand first, 1 if copying failed."""
    try:
        jars()
        if not archive().is_file():
            with archiving() as options, Broker(java_options=options) as broker:
                broker.stop()
    except ShoalError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
