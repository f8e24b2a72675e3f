"""The job in Quix Streams, exactly once: state in RocksDB with a changelog. Runs in an environment of its own."""

import sys
from typing import Any

from tests.bench.peers import job


def main(bootstrap: str, input_topic: str, output_topic: str, group: str, folder: str) -> None:
    """Run until SIGTERM. Every setting that has a default keeps it, but for what is processed and how safely."""
    from quixstreams import Application  # type: ignore[import-not-found]  # it is in the peer's environment

    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel="WARNING",
    )
    events = app.dataframe(app.topic(input_topic, key_deserializer="str", value_deserializer="json"))
    changes = events.apply(_step, stateful=True).filter(lambda change: change is not None)
    changes.to_topic(app.topic(output_topic, key_serializer="str", value_serializer="json"))
    app.run()


def _step(event: dict[str, Any], users: Any) -> dict[str, str] | None:
    """Count an event in the state of its key; return the record of a change of tier, if there is one."""
    state = users.get("state") or job.fresh()
    changed, tier = job.apply(state, event)
    if changed:
        users.set("state", state)
    return job.change(event, tier) if tier else None


if __name__ == "__main__":
    main(*sys.argv[1:])
