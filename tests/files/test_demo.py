"""The demo: a small shop through it, and its definitions as a tour of all that definitions can say."""

import datetime
import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from schemas.definitions import Campaign, Definitions, Segment
from tests.files.test_replay import without_wall
from worker.errors import JobFailed
from worker.files import configuration
from worker.files.demo import SHOP, demo
from worker.files.demo_view import View
from worker.files.replay import Request, replay
from worker.files.sinks import TOPICS

SMALL = SHOP.model_copy(update={"users": 40, "days": 12, "incidents": ()})


@pytest.fixture(scope="module")
def tour() -> tuple[str, Definitions]:
    """The demo's definitions, as text and checked."""
    under = configuration.load()
    return under.definitions_text, under.checked.definitions


def test_a_replay_of_the_demos_events_gives_the_same_ids(tmp_path: Path) -> None:
    """What shoppers did in answer to triggers is in the events, so a replay needs no shop to come to the same."""
    summary = demo(tmp_path / "demo", SMALL)
    again = Request([tmp_path / "demo" / "events.jsonl"], tmp_path / "again")
    replay(configuration.load(tmp_path / "demo" / "definitions.yaml"), again)
    assert summary.tally.triggers > 0
    for topic in TOPICS.values():
        assert without_wall(tmp_path / "demo" / f"{topic}.jsonl") == without_wall(tmp_path / "again" / f"{topic}.jsonl")


def test_the_demo_tells_the_truth_about_its_shop(tmp_path: Path) -> None:
    """The view is called once an hour and at the end, and the truth's records are the events that were read."""
    hours = []
    summary = demo(tmp_path, SMALL, lambda moment: hours.append(moment.now_ms))
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert len(hours) == SMALL.days * 24 + 1
    assert truth["records"] == summary.tally.read > 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
@pytest.mark.parametrize("name", ["events.jsonl", "truth.json"])
def test_a_full_disk_is_a_failed_demo(tmp_path: Path, name: str) -> None:
    """Told in a sentence with the folder, for the files that only the demo has as well."""
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(JobFailed, match=f"Writing {tmp_path}.* failed: No space left on device"):
        demo(tmp_path, SMALL.model_copy(update={"days": 2}))


def test_the_view_draws_while_the_shop_is_open(tmp_path: Path) -> None:
    """On a terminal each frame shows the segments, the counts and the latest triggers with their reasons."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, height=50)
    with Live(console=console, auto_refresh=False) as live:
        demo(tmp_path, SMALL, View(live))
    frames = screen.getvalue().split("A simulated shop")
    assert len(frames) > 10
    assert "welcome" in frames[-1]
    assert "value_tier:high" in frames[-1]
    assert "by passing time" in frames[-1]


def test_the_tour_names_every_field_there_is(tour: tuple[str, Definitions]) -> None:
    """Whatever a segment, a campaign or the file as a whole may say is said at least once."""
    _, definitions = tour
    assert set(Definitions.model_fields) - definitions.model_fields_set == set()
    segments = [segment.model_fields_set for segment in definitions.segments]
    assert set(Segment.model_fields) - set().union(*segments) == set()
    campaigns = [campaign.model_fields_set for campaign in definitions.campaigns]
    assert set(Campaign.model_fields) - set().union(*campaigns) == set()
    assert {campaign.status for campaign in definitions.campaigns} == {"live", "shadow", "paused"}
    assert {campaign.on_exit for campaign in definitions.campaigns} == {"cancel", "continue"}


@pytest.mark.parametrize(
    "pattern",
    [
        r"\band\b", r"\bor\b", r"\bnot\b", r"==", r"<=", r">=", r" < ", r" > ", r"\d <= \w+ <= \d", r"\bin \(",
        r"\d[mhdw]\b", r" \* ", r" / ", r"member\(", r"interest\(", r"trait\(", r"percentile\(", r"probability\(",
        r"cluster\(\)",
    ],
)  # fmt: skip
def test_the_tour_uses_every_form_of_condition(tour: tuple[str, Definitions], pattern: str) -> None:
    """Operators, chains, lists, durations and calls each occur in some condition."""
    conditions = [
        condition
        for segment in tour[1].segments
        for part in (segment, *(segment.tiers or ()))
        for condition in (part.enter, part.exit)
        if condition
    ]
    assert any(re.search(pattern, condition) for condition in conditions)


def test_the_tour_has_a_campaign_in_season_during_the_demo(tour: tuple[str, Definitions]) -> None:
    """`starts` and `ends` lie within the 60 days, so that their effect is seen."""
    (seasonal,) = [campaign for campaign in tour[1].campaigns if campaign.starts and campaign.ends]
    first = datetime.datetime.combine(SHOP.start, datetime.time(), datetime.UTC)
    assert seasonal.starts is not None
    assert seasonal.ends is not None
    assert first < seasonal.starts < seasonal.ends < first + datetime.timedelta(days=SHOP.days)
