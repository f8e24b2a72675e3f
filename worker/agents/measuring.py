"""Lift at work between a restore and the first doubt, turn by turn: read, count, publish, commit.

The rule: what was counted, how far was read and the results that came of it are one transaction; if it fails all of it
is thrown away and read back. Results are published when everything there was is read, so that no half of the topics'
records is held against the other.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from aiokafka import OffsetAndMetadata

from schemas.access import MEASURED_FROM
from schemas.control import EraseCommand, Receipt
from worker.core.pseudonyms import Pseudonyms
from worker.core.timestamps import instant_ms
from worker.kafka import steps
from worker.kafka.committing import commit
from worker.kafka.context import Context
from worker.kafka.control import Issued, versions_in
from worker.kafka.following import latest
from worker.kafka.kept_state import written
from worker.kafka.lift_state import LiftProgress
from worker.kafka.merged_input import MergedInput, Reading
from worker.kafka.merging import Arrived
from worker.kafka.outbox import Outbox
from worker.kafka.privacy import erased_by, role_receipt
from worker.kafka.steps import Step
from worker.kafka.transaction import Transactions
from worker.lift.designs import ALL_CAMPAIGNS, programme_of, terms_of
from worker.lift.ledger import Ledger
from worker.lift.records import Decided, Observed, Record, read
from worker.lift.results import note, results_of
from worker.observe.lift import LiftMetrics
from worker.observe.logs import log

__all__ = ["READINGS", "Measuring"]

PARTITION = 0
RECORDS_MAX = 1_000  # at once: some 20 ms
USERS_MAX = 5_000  # changed, before they are stored
SHOW_SECONDS = 0.5
LOOK_SECONDS = 5.0  # between two looks for versions that aren't known
NOT_UNLEARNED = ["sums over a campaign's users, which have neither id nor trait"]
BEHIND_MS = 60_000  # what the wall clock is ahead of the records that may still come


def _reading(topic: str) -> Reading:
    def reading(value: bytes) -> tuple[int, Record]:
        record = read(topic, value)
        if isinstance(record, Decided):
            return instant_ms(record.decided_at), record
        if isinstance(record, Observed):
            return instant_ms(record.observed_at), record
        return instant_ms(record.occurred_at), record

    return reading


READINGS: Final[Mapping[str, Reading]] = {topic: _reading(topic) for topic in MEASURED_FROM}


class Measuring:
    """What is counted, and how it comes to be more."""

    def __init__(
        self, context: Context, metrics: LiftMetrics, transactions: Transactions, ledger: Ledger,
        progress: LiftProgress, useless: Iterable[bytes],
    ) -> None:  # fmt: skip
        self.context, self.metrics, self._transactions = context, metrics, transactions
        self.settings = context.settings
        self.committed_at = time.monotonic()
        self._ledger, self.progress = ledger, progress
        self._useless = set(useless)  # keys of a state that can't be gone on from
        self._input = MergedInput(self.settings, READINGS)
        self._currency = ""
        self._published: dict[str, dict[str, Any]] = {}
        self._published_at = -float("inf")
        self._taken: Counter[tuple[str, str]] = Counter()
        self._pseudonyms = Pseudonyms(self.settings.pseudonym_keys)
        self._receipts: list[Receipt] = []  # yet to be written
        self._unsaved = bool(self._useless)
        self._looked_at = 0.0
        self._shown_at = 0.0

    @property
    def lag_records(self) -> int:
        """How many records are yet to be counted, as of a moment ago."""
        return self._input.lag_records

    async def turn(self) -> None:
        """Do what there is to do: once."""
        await self._input.begin(self.progress.offsets)
        self._obey(self.context.control.since(self.progress.commands_offset))
        arrived = await self._input.read(RECORDS_MAX)
        steps.reached(Step.READ, PARTITION)
        if arrived:
            await self._count(arrived)
            steps.reached(Step.STEPPED, PARTITION)
        results = await asyncio.to_thread(self._results) if self._wants_results(len(arrived)) else []
        if results or self._wants_commit:
            await self._commit(results)
        if time.monotonic() - self._shown_at >= SHOW_SECONDS:
            self._shown_at = time.monotonic()
            self.metrics.counts(self.lag_records, len(self._ledger.people), self._campaigns)

    @property
    def _campaigns(self) -> set[str]:
        """What is measured now: the campaigns of the newest definitions, and all together."""
        published = self.context.control.definitions
        campaigns = published.checked.definitions.campaigns if published else ()
        return {ALL_CAMPAIGNS, *(campaign.id for campaign in campaigns)}

    async def end(self) -> None:
        """Save what was counted since the last commit."""
        if self._unsaved and PARTITION in self.context.membership.owned:
            await self._commit([])

    def known(self) -> dict[str, Any]:
        """What it knows of itself, for `shoal status`."""
        return {"users": len(self._ledger.people), "campaigns": len(self._ledger.campaigns())}

    async def close(self) -> None:
        """Put the input away."""
        await self._input.close()

    # Versions and commands.

    async def know_versions(self) -> None:
        """Take note of all versions of the definitions that there are."""
        self._looked_at = time.monotonic()
        for published in versions_in(await latest(self.settings, self.settings.topic("definitions"))):
            checked = published.checked
            label = f"{checked.definitions.version}/{checked.hash}"
            self._ledger.know(label, terms_of(checked), programme_of(checked.definitions))
            self._currency = checked.definitions.currency

    def _obey(self, commands: Iterable[Issued]) -> None:
        """Take commands, in order: erasures are everybody's."""
        for issued in commands:
            self.progress.commands_offset = issued.offset + 1
            self._unsaved = True
            if isinstance(issued.command, EraseCommand):
                self._erase(issued.command)

    def _erase(self, command: EraseCommand) -> None:
        now_ms, version = self.context.wall.now_ms(), self._pseudonyms.version
        self.progress.key_marks[version] = self._pseudonyms.mark(version)
        found = self._ledger.erase(command.user_id, erased_by(command, self._pseudonyms, now_ms).until_ms)
        not_unlearned = NOT_UNLEARNED if found else []
        receipt = role_receipt(
            "lift", command, self._pseudonyms, now_ms, found=found, samples=0, not_unlearned=not_unlearned
        )
        self._receipts.append(receipt)

    # Counting.

    async def _count(self, arrived: list[Arrived]) -> None:
        self._unsaved = True
        if any(self._is_unknown(record.content) for record in arrived) and self._may_look:
            await self.know_versions()
        for record in arrived:
            self._taken[record.topic, self._counted(record)] += 1

    @property
    def _may_look(self) -> bool:
        return time.monotonic() - self._looked_at > LOOK_SECONDS or self.lag_records < RECORDS_MAX

    def _is_unknown(self, content: object) -> bool:
        return isinstance(content, Decided) and not self._ledger.knows(content.definition)

    def _counted(self, record: Arrived) -> str:
        if record.content is None:
            return "refused"
        try:
            return self._ledger.take(record.content, record.partition)
        except ValueError as error:
            log("lift").warning("A record can't be counted and is left out.", topic=record.topic, error=error)
            return "refused"

    # Results.

    def _wants_results(self, arrived: int) -> bool:
        waited = time.monotonic() - self._published_at >= self.settings.lift_publish_interval_ms / 1000
        return waited and arrived < RECORDS_MAX and self.lag_records < RECORDS_MAX and bool(self._ledger.campaigns())

    def _results(self) -> list[dict[str, Any]]:
        """Return the results that have changed, as of now."""
        self._published_at = time.monotonic()
        if self.settings.clock == "wall":
            self._ledger.pass_time(self.context.wall.now_ms() - BEHIND_MS)
        self._ledger.forget()
        found = [note(self._ledger.history, result) for result in results_of(self._ledger, self._currency)]
        return [result for result in found if not _same(result, self._published.get(result["campaign"]))]

    # Commit.

    @property
    def _wants_commit(self) -> bool:
        waited = time.monotonic() - self.committed_at >= self.settings.lift_commit_interval_ms / 1000
        return self._unsaved and (waited or bool(self._receipts) or self._ledger.people.changes_waiting > USERS_MAX)

    async def _commit(self, results: list[dict[str, Any]]) -> None:
        offsets = await self._input.offsets()
        self.progress.offsets = self._input.by_topic(offsets)
        outbox = Outbox(self.settings.topic_prefix)
        outbox.take_results(results)
        for receipt in self._receipts:
            outbox.take_receipt(receipt.model_dump())
        outbox.take_counted(self._changes())
        copies = {place: OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
        await commit(self.context, self._transactions, outbox, copies)
        self.committed_at, self._unsaved = time.monotonic(), False
        self._receipts.clear()
        self._useless.clear()
        self._tell(results)
        self._transactions.assert_no_doubt()

    def _changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what has changed, progress last; what is of no use goes, unless it is there again."""
        yield from ((key, None) for key in self._useless)
        yield from self._ledger.changes()
        self.progress.clocks, self.progress.entries = dict(self._ledger.clocks), self._ledger.counts()
        yield written(self.progress)

    def _tell(self, results: list[dict[str, Any]]) -> None:
        """Count and log what is true now."""
        self._published |= {result["campaign"]: result for result in results}
        self.metrics.counted(self._taken, self._published.values())
        self._taken = Counter()
        if results:
            log("lift").info("Results are published.", campaigns=len(results))


def _same(result: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Whether nothing has changed but the time."""
    return before is not None and {**result, "as_of": ""} == {**before, "as_of": ""}
