"""What somebody may do to a deployment's state who knows its format and has the right to write there."""

from tests.support.kafka import meddling
from tests.support.kafka.deployment import Deployment
from worker.core.changelog import ROW, USER, sealed

__all__ = ["move_entry"]


def move_entry(deployment: Deployment, user_id: str, segment: str) -> None:
    """Make the state of a user say that she entered a segment a millisecond earlier. No worker may run."""
    for partition in range(deployment.partitions):
        engine = deployment.state(partition).finish()
        if engine is None or user_id not in engine[0].users.slots:
            continue
        rows, slot = engine[0].rows, engine[0].users.slots[user_id]
        row = rows.rows[slot, : rows.layout.words].copy()
        row[rows.layout[f"member:{segment}"]] -= 1
        key = USER + user_id.encode()
        body = ROW.pack(bytes.fromhex(rows.layout.hash), slot, int(rows.due[slot])) + row.tobytes()
        meddling.write(deployment, "state", partition, [(key, sealed(key, body))])
        return
    raise LookupError(f"The state has no {user_id}.")
