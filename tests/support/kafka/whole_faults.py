"""What can happen to a whole shop: each fault by its name, done and over when it returns, to whom chance has it.

The rule: a fault is one from outside, such as an operator or a bad day brings; none of it asks a process for leave. One
process at a time is spared what ends it, so that it grows old and its memory can be seen.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping

from tests.kafka.working import RUNS
from tests.support.kafka.broker import Broker
from tests.support.kafka.deployment import run
from tests.support.kafka.whole_shop import ROLES, Shop, definitions
from worker.operations.commanding import brake

__all__ = ["Faults"]

AT_WORK: Mapping[str, str] = {
    "worker": RUNS, "trainer": "The trainer learns.", "lift": "Lift is measured.",
    "sinks": "The partition is delivered.",
}  # fmt: skip
ERASED_AT_ONCE = 3


class Faults:
    """Chance and its means; `done` counts what happened, `spared` is the process that nothing ends now."""

    def __init__(self, shop: Shop, broker: Broker, rng: random.Random, seed: int) -> None:
        self.shop, self.broker, self.rng, self.seed = shop, broker, rng, seed
        self.spared = ""
        self.done: Counter[str] = Counter()
        self.version = 1
        self._braked = False
        self._instances = 0
        self._table: Mapping[str, Callable[[], None]] = {
            "none": lambda: None,
            "kill": self._kill,
            "term": self._term,
            "freeze": self._freeze,
            "overtake": self._overtake,
            "freeze_broker": self._freeze_broker,
            "bounce_broker": self._bounce_broker,
            "kill_broker": self._kill_broker,
            "publish": self._publish,
            "brake": self._brake,
            "erase": self._erase,
        }

    def happen(self) -> None:
        """Have something happen."""
        name = self.rng.choice(list(self._table))
        self._table[name]()
        self.done[name] += 1

    def _somebody(self) -> str:
        return self.rng.choice([name for name in ROLES if name != self.spared])

    def _kill(self) -> None:
        """SIGKILL to a process, which is started again."""
        name = self._somebody()
        self.shop.roles[name].kill()
        self.shop.start(name)

    def _term(self) -> None:
        """SIGTERM to a process, which ends with 0 and is started again."""
        name = self._somebody()
        assert self.shop.roles[name].stop() == 0
        self.shop.start(name)

    def _freeze(self) -> None:
        """SIGSTOP to a process, for less or more than its session lasts."""
        process = self.shop.roles[self.rng.choice(list(ROLES))]
        process.freeze()
        time.sleep(self.rng.uniform(0.5, 6))
        process.thaw()

    def _overtake(self) -> None:
        """SIGSTOP to a process until another has its work; then it wakes up, and is told to end."""
        name = self._somebody()
        old = self.shop.roles[name]
        old.freeze()
        self._instances += 1
        new = self.shop.start(name, f"{name}-{self._instances}")
        new.wait_for(AT_WORK[ROLES[name]])
        old.thaw()
        time.sleep(self.rng.uniform(0, 3))
        assert old.stop() == 0

    def _freeze_broker(self) -> None:
        """SIGSTOP to the broker."""
        self.broker.freeze()
        time.sleep(self.rng.uniform(0.5, 8))
        self.broker.thaw()

    def _bounce_broker(self) -> None:
        """SIGTERM to the broker, which is started again."""
        self.broker.stop()
        self.broker.restart()

    def _kill_broker(self) -> None:
        """SIGKILL to the broker, which is started again."""
        self.broker.kill()
        self.broker.restart()

    def _publish(self) -> None:
        """Another version of the definitions."""
        self.version += 1
        self.shop.deployment.publish(definitions(self.seed, self.version))

    def _brake(self) -> None:
        """A campaign is paused, or resumed."""
        self._braked = not self._braked
        run(brake(self.shop.deployment.settings, "look_again", paused=self._braked))

    def _erase(self) -> None:
        """Some users are erased, for good or not, of whom lift knows nothing.

        What lift has counted of somebody depends on how far it was when it heard of her erasure, and no replay knows.
        """
        users = self.rng.sample(sorted({*self.shop.unreachable()} - self.shop.erased.keys()), ERASED_AT_ONCE)
        for user in users:
            self.shop.erase(user, suppress=self.rng.random() < 0.5)
