"""A partition's commit, as whoever owns the partition makes it.

The rule: a revocation waits for a transaction under way, and one that was revoked meanwhile commits nothing.
"""

from worker.kafka.beginning import over_size
from worker.kafka.context import Context
from worker.kafka.outbox import Outbox
from worker.kafka.transaction import Offsets, TooLarge, Transactions

__all__ = ["commit"]


async def commit(context: Context, transactions: Transactions, outbox: Outbox, offsets: Offsets) -> None:
    """Commit while the partition is ours. Raises as `Transactions.commit`, PartitionStopped where it is too large."""
    membership, partition = context.membership, transactions.partition
    async with membership.lock(partition):
        try:
            await transactions.commit(outbox, offsets, lambda: partition in membership.owned)
        except TooLarge as refused:
            raise over_size(partition, str(refused)) from refused
