"""What a stopped partition says and what the page for operators says of it: a row each, and no row too many."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition

from worker import settings as configuration
from worker.core.changelog import Checkpoint, OtherReleaseError, StateRecordError
from worker.kafka import beginning
from worker.kafka.beginning import PartitionStopped

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
SECTION = PAGE.split("\n## When a partition stops\n")[1].split("\n## ")[0]
PHRASES = re.findall(r"^\| `(.+?)` \|", SECTION, re.MULTILINE)
SETTINGS = configuration.load()
PLACE = TopicPartition("shoal.events", 1)
CHECKPOINT = Checkpoint(
    format=1, topic="shoal.events", partition=1, partitions=2, next_offset=9, commands_offset=0, clock="wall",
    grace_ms=0, clock_ms=0, passed_ms=0, taken=0, braked=[], users=0, texts=0, zones=0, points=1,
)  # fmt: skip


def refused(**changes: Any) -> str:
    """What is said to a state whose checkpoint differs."""
    context: Any = SimpleNamespace(settings=SETTINGS, partitions=2)
    with pytest.raises(PartitionStopped) as stopped:
        beginning.unless_ours(context, 1, msgspec.structs.replace(CHECKPOINT, **changes))
    return str(stopped.value)


SENTENCES = [
    refused(topic="other.events"),
    refused(clock="event"),
    refused(partitions=3),
    str(beginning.over_lost_state(SETTINGS, 1, 9)),
    str(beginning.over_gap(PLACE, 9, 17)),
    str(beginning.over_gap(PLACE, 9, 0)),
    str(beginning.over_timestamps(PLACE, 9)),
    str(beginning.over_size(1, "shoal.state")),
    str(beginning.over_engine(1)),
    str(beginning.over_state(SETTINGS, 1, StateRecordError("at offset 3 a record of type b'u' is damaged"))),
    str(beginning.over_state(SETTINGS, 1, StateRecordError("its checkpoint counts 3 users, and there are 2"))),
    str(beginning.over_state(SETTINGS, 1, OtherReleaseError("this release refuses the definitions in force: no\nno"))),
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_has_its_row_and_says_what_to_do(sentence: str) -> None:
    """One line, one sentence: why, a colon, what to do."""
    assert sum(phrase in sentence for phrase in PHRASES) == 1, sentence
    assert re.fullmatch(r"[A-Zs][^\n]+: [a-z][^\n]+\.", sentence), sentence


def test_every_row_is_a_sentence_that_can_be_said() -> None:
    """The page has no row about what no partition says any more."""
    assert len(PHRASES) == len(SENTENCES)
    assert all(any(phrase in sentence for sentence in SENTENCES) for phrase in PHRASES)


def test_a_restore_that_is_held_up_is_on_the_page() -> None:
    """It isn't a stop, but a person has to look as well."""
    said = beginning.over_transaction(TopicPartition("shoal.state", 1), 9)
    assert "as long as somebody's transaction is open there" in said
    assert "`as long as somebody's transaction is open there`" in SECTION
