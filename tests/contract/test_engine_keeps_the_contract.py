"""What the engine really writes is what the published models say: every record of random logs, member by member."""

import json

import msgspec
import pytest

from schemas import outputs
from tests.core.support import ALL, Scenario
from tests.support.streams import Settings

TOPICS: dict[str, type[outputs.Record]] = {
    "memberships": outputs.Membership,
    "transitions": outputs.SegmentChange,
    "decisions": outputs.CampaignDecision,
    "triggers": outputs.CampaignTrigger,
    "conversions": outputs.Conversion,
    "dead_letters": outputs.DeadLetter,
}


def records(topic: str) -> list[bytes]:
    """The topic's records of a few scenarios, as they are written."""
    found = []
    for seed in range(40, 52):
        scenario = Scenario(seed, clock=("event", "wall")[seed % 2], versions=2, settings=Settings(users=3))
        pair = scenario.drive(scenario.pair(), ALL)
        if topic == "memberships":
            found += [msgspec.json.encode(record) for record in pair.engine.memberships()]
        else:
            found += [msgspec.json.encode(record) for effects in pair.effects for record in getattr(effects, topic)]
    return found


@pytest.mark.parametrize("topic", TOPICS)
def test_every_record_obeys_its_model(topic: str) -> None:
    """Nothing is missing, added, out of order or out of bounds; written by the model it is the same."""
    model = TOPICS[topic]
    written = records(topic)
    assert written
    for line in written:
        record = json.loads(line)
        again = json.loads(model.model_validate_json(line).model_dump_json())
        assert list(again) == list(record)
        assert again == record
