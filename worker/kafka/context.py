"""What all partitions of a worker share."""

from dataclasses import dataclass

from worker.kafka.control import Control
from worker.kafka.ends import Ends
from worker.kafka.membership import Membership
from worker.kafka.wall import WallClock
from worker.observe.health import Health
from worker.observe.metrics import Metrics
from worker.settings import Settings

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """The settings, the group, the clocks, and those who listen."""

    settings: Settings
    partitions: int  # of the input
    membership: Membership
    control: Control
    ends: Ends
    wall: WallClock
    metrics: Metrics
    health: Health
