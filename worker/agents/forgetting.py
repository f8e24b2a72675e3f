"""What the trainer does when a user is erased: it drops what it holds of her, and learns nothing from her past again.

The rule: it knows of erasures what the commands say, which are kept for as long as the samples it learns from.
"""

from schemas.control import EraseCommand, Receipt
from worker.core.effects import short_hash
from worker.core.layout import FOREVER
from worker.core.pseudonyms import Pseudonyms
from worker.kafka.control import Issued
from worker.kafka.privacy import erased_by, role_receipt
from worker.learning.inputs import Observation, Sample
from worker.learning.learning import Learning

__all__ = ["Forgetting"]

NOT_UNLEARNED = [
    "weights, calibration, clusters and drift references, which models have from samples of many users",
    "the latest samples that learners draw from again, which have neither id nor trait",
]


class Forgetting:
    """Who was erased, and up to when; and the receipts that are yet to be written."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._until: dict[str, int] = {}
        self._asked: list[EraseCommand] = []
        self.receipts: list[Receipt] = []

    @property
    def is_asked(self) -> bool:
        """Whether somebody has yet to be forgotten."""
        return bool(self._asked)

    def note(self, issued: Issued, wall_ms: int, *, done: bool) -> None:
        """Take a command; what was carried out in an earlier life is only remembered."""
        command = issued.command
        if isinstance(command, EraseCommand):
            until_ms = FOREVER if command.suppress else erased_by(command, self._pseudonyms, wall_ms).until_ms
            self._until[command.user_id] = max(until_ms, self._until.get(command.user_id, until_ms))
            self._asked += [] if done else [command]

    def is_past(self, content: object) -> bool:
        """Whether a sample or an observation is of what an erased user did before."""
        if isinstance(content, Sample):
            return content.sampled_ms <= self._until.get(content.user_id, -FOREVER)
        return isinstance(content, Observation) and content.observed_ms <= self._until.get(content.user_id, -FOREVER)

    def carry_out(self, learning: Learning, wall_ms: int) -> None:
        """Have the learning forget who is to be forgotten, and write the receipts."""
        for command in self._asked:
            dropped = learning.forget(lambda what, at_ms, user=command.user_id: short_hash(user, what, at_ms))  # type: ignore[misc]
            receipt = role_receipt(
                "trainer", command, self._pseudonyms, wall_ms, found=dropped > 0, samples=dropped,
                not_unlearned=NOT_UNLEARNED,
            )  # fmt: skip
            self.receipts.append(receipt)
        self._asked.clear()
