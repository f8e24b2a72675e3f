"""The job in Faust, at least once: a table in memory with a changelog. Runs in an environment of its own.

Faust's exactly-once mode isn't safe with tables, so it isn't used; of Faust's tables those in memory are the cheapest.
"""

import logging
import sys

from tests.bench.peers import job

LINGER_SECONDS = 0.1  # by default every record is a request of its own, which costs half as much again


def main(bootstrap: str, input_topic: str, output_topic: str, group: str, folder: str) -> None:
    """Run until SIGTERM. What has a default keeps it, but for what it reads and what makes it cheaper."""
    import faust

    logging.disable(logging.INFO)  # a worker makes records of debug messages that it then throws away
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        topic_partitions=job.PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        producer_linger=LINGER_SECONDS,
        web_enabled=False,
    )
    events = app.topic(input_topic, key_type=str, key_serializer="raw", value_serializer="json")
    changes = app.topic(output_topic, key_type=str, key_serializer="raw", value_serializer="json")
    users = app.Table("users", default=job.fresh, partitions=job.PARTITIONS, key_type=str)

    @app.agent(events)  # type: ignore[untyped-decorator]
    async def judge(stream: "faust.StreamT") -> None:
        async for user, event in stream.items():
            state = users[user]
            changed, tier = job.apply(state, event)
            if changed:
                users[user] = state
            if tier:
                await changes.send(key=user, value=job.change(event, tier))

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
