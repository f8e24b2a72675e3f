"""What the engine really writes is what the published models say: every record of random logs, member by member."""

import json

import msgspec
import pytest

from schemas import outputs
from tests.core.support import ALL, Scenario
from tests.support.pair import Pair
from tests.support.streams import Settings

TOPICS: dict[str, type[outputs.Record]] = {
    "memberships": outputs.Membership,
    "transitions": outputs.SegmentChange,
    "decisions": outputs.CampaignDecision,
    "triggers": outputs.CampaignTrigger,
    "conversions": outputs.Conversion,
    "messages": outputs.Message,
    "samples": outputs.TrainingSample,
    "observations": outputs.Observation,
    "dead_letters": outputs.DeadLetter,
}


@pytest.fixture(scope="module")
def driven() -> list[Pair]:
    """A few scenarios, each driven to its end."""
    settings = Settings(users=3)
    scenarios = [
        Scenario(seed, clock=("event", "wall")[seed % 2], versions=2, settings=settings) for seed in range(40, 52)
    ]
    return [scenario.drive(scenario.pair(), ALL) for scenario in scenarios]


def records(pairs: list[Pair], topic: str) -> list[bytes]:
    """The topic's records, as they are written."""
    if topic == "memberships":
        return [msgspec.json.encode(record) for pair in pairs for record in pair.engine.memberships()]
    effects = [effects for pair in pairs for effects in pair.effects]
    return [msgspec.json.encode(record) for effect in effects for record in getattr(effect, topic)]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_record_obeys_its_model(driven: list[Pair], topic: str) -> None:
    """Nothing is missing, added, out of order or out of bounds; written by the model it is the same."""
    model = TOPICS[topic]
    written = records(driven, topic)
    assert written
    for line in written:
        record = json.loads(line)
        again = json.loads(model.model_validate_json(line).model_dump_json())
        assert list(again) == list(record)
        assert again == record
