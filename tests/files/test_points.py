"""A replay with points: versions, pauses and ticks take effect before the records they took effect before."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.support import CART, DAY, HOUR, KEYED, MINUTE, START_MS, Story, message, reminder
from tests.support.pair import without_wall
from tests.support.random_definitions import text_of
from worker.core.changelog import Point
from worker.errors import WrongUsage
from worker.files import configuration
from worker.files.points import Place, Points, as_lines
from worker.files.replay import Request, replay
from worker.language.mapping import SHIPPED

PLACE = Place("shoal.events", 3, 8, 2000, "event")
VIEWER = {"id": "viewer", "enter": "views_total > 0"}


def version(offset: int, story: Story) -> Point:
    """The point of the version a story is under."""
    return Point(
        "version", offset, story.engine.clock_ms, definitions=text_of(story.definitions),
        mapping=SHIPPED.read_text(encoding="utf-8"), hash=story.engine.version.checked.hash,
    )  # fmt: skip


def written(folder: Path, name: str) -> list[dict[str, Any]]:
    """The records of a file."""
    return without_wall(json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines())


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_points_take_effect_where_they_did(tmp_path: Path, batch: int) -> None:
    """A version before offset 2, a pause, a tick and a resume before later ones: as an engine told so by hand."""
    story = Story(CART, campaigns=[reminder()], partition=3, partitions=8)
    points = [version(0, story)]
    payloads = [message(moment, "Product Added", user=f"u{moment}") for moment in range(0, 5 * HOUR, HOUR)]
    for place, payload in enumerate(payloads):
        if place == 2:
            story.publish(CART, VIEWER, campaigns=[reminder()])
            points.append(version(2, story))
        if place == 3:
            story.engine.brake("reminder", paused=True)
            points.append(Point("pause", 3, story.engine.clock_ms, campaign="reminder"))
            story.until(3 * HOUR - MINUTE)
            points.append(Point("tick", 3, story.engine.clock_ms, until_ms=START_MS + 3 * HOUR - MINUTE))
        if place == 4:
            story.engine.brake("reminder", paused=False)
            points.append(Point("resume", 4, story.engine.clock_ms, campaign="reminder"))
        story.take(story.engine.step([payload], place, wall_ms=0))
    story.until(DAY)
    points.append(Point("tick", 5, None, until_ms=START_MS + DAY))
    (tmp_path / "log.jsonl").write_bytes(b"".join(payload + b"\n" for payload in payloads))
    (tmp_path / "points.jsonl").write_text("\n".join(as_lines(PLACE, points)))
    request = Request([tmp_path / "log.jsonl"], tmp_path / "out", None, batch, Points.load(tmp_path / "points.jsonl"))
    replay(configuration.load(), request)
    assert written(tmp_path / "out", "segment-changes") == without_wall(story.transitions)
    assert written(tmp_path / "out", "campaign-decisions") == without_wall(story.decisions)
    assert "paused" in {decision["blocked_by"] for decision in story.decisions}
    assert {change["definition"].split("/")[0] for change in story.transitions} == {"7", "8"}


def test_who_was_erased_is_erased_again(tmp_path: Path) -> None:
    """By her pseudonym, at the record where it was done; without the key it was made with a sentence says so."""
    story = Story(CART)
    log = [message(0, "Product Added", "u-1"), message(2 * MINUTE, "Product Viewed", "u-2")]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(log))
    erasure = Point("erase", 1, START_MS, until_ms=START_MS, subject=KEYED.of("u-1"), key_version=1)
    (tmp_path / "points.jsonl").write_text("\n".join(as_lines(PLACE, [version(0, story), erasure])))
    points = Points.load(tmp_path / "points.jsonl", {1: b"a secret"})
    request = Request([tmp_path / "log.jsonl"], tmp_path / "out", START_MS + 40 * MINUTE, points=points)
    summary = replay(configuration.load(), request)
    assert (summary.users, summary.members) == (1, {"cart": 0})
    with pytest.raises(WrongUsage, match="version 1 of the pseudonym key"):
        Points.load(tmp_path / "points.jsonl")


def test_time_goes_no_further_than_the_points_say(tmp_path: Path) -> None:
    """Without a tick a cart of the last minute stays as it is, as it did in the worker; with --until it doesn't."""
    story = Story(CART)
    (tmp_path / "log.jsonl").write_bytes(
        message(0, "Product Added") + b"\n" + message(30 * MINUTE, "Product Viewed", "v")
    )
    (tmp_path / "points.jsonl").write_text("\n".join(as_lines(PLACE, [version(0, story)])))
    points = Points.load(tmp_path / "points.jsonl")
    log = [tmp_path / "log.jsonl"]
    assert replay(configuration.load(), Request(log, tmp_path / "a", points=points)).members == {"cart": 0}
    later = Request(log, tmp_path / "b", until_ms=START_MS + 30 * MINUTE, points=points)
    assert replay(configuration.load(), later).members == {"cart": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no points"),
        ("hello", "holds no points"),
        ("\n".join(as_lines(PLACE, [])), "does not begin with a version"),
        ("\n".join(as_lines(PLACE, [Point("tick", 0, None, until_ms=1)])), "does not begin with a version"),
        ("\n".join(as_lines(Place("t", 0, 1, 0, "wall"), [Point("version", 0, None)])), "wall clock"),
    ],
)
def test_what_are_no_points_of_an_event_clock_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Empty, something else, without a version, of a worker on the wall's clock: one sentence that says so."""
    (tmp_path / "points.jsonl").write_text(text)
    with pytest.raises(WrongUsage, match=said):
        Points.load(tmp_path / "points.jsonl")


def test_points_that_this_release_refuses_are_told_of(tmp_path: Path) -> None:
    """Definitions that no longer mean what they meant: a sentence, not a replay under something else."""
    (tmp_path / "points.jsonl").write_text(
        "\n".join(as_lines(PLACE, [Point("version", 0, None, definitions="version: 1", mapping="x", hash="0")]))
    )
    with pytest.raises(WrongUsage, match="points can't be used"):
        Points.load(tmp_path / "points.jsonl").engine()
