"""`explain` on a finished job's state."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.files.support import shop, write_definitions
from worker.errors import JobFailed, ShoalError, WrongUsage
from worker.files import configuration
from worker.files.explanation import as_text, explain
from worker.files.replay import Request, replay


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a finished job: u-0 has bought, u-1 has left her cart."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(shop(2)))
    replay(configuration.load(write_definitions(tmp_path)), Request([file], tmp_path / "out"))
    return tmp_path / "out"


def test_every_segment_is_explained_by_its_clauses(finished: Path) -> None:
    """In or out, since when, and each clause with the user's value and whether it holds."""
    explained = explain("u-1", finished)
    segments = {segment["id"]: segment for segment in explained["segments"]}
    assert segments["buyer"]["member"] is False
    assert segments["buyer"]["enter"] == [{"clause": "orders_total > 0", "value": 0, "truth": False}]
    assert (segments["cart_abandoner"]["member"], segments["cart_abandoner"]["since"]) == (
        True,
        "2026-01-05T12:30:06.000Z",
    )
    assert segments["cart_abandoner"]["exit"] == [{"clause": "cart_items == 0", "value": 1, "truth": False}]


def test_recent_transitions_come_from_the_output(finished: Path) -> None:
    """The user's own, newest first."""
    recent = explain("u-0", finished)["recent"]
    assert [(change["segment"], change["direction"]) for change in recent] == [("buyer", "entered")]


def test_people_get_the_same_as_a_table(finished: Path) -> None:
    """What is printed names the user, the segment, the clause and its value."""
    console = Console(width=120)
    with console.capture() as captured:
        console.print(as_text(explain("u-1", finished)))
    printed = captured.get()
    for expected in ("u-1", "in since 2026-01-05T12:30:06.000Z", "orders_total > 0", "recent transitions", "timer"):
        assert expected in printed


def test_what_moves_a_probability_is_told_in_words(finished: Path) -> None:
    """Under its clause, and with the transitions: features, values in their units, effects."""
    contributions = [
        {"feature": "time_since_order", "value": 5_400_000, "effect": 0.874},
        {"feature": "views_90d", "value": 0, "effect": -0.1},
    ]
    clause = {"clause": 'probability("churn_30d") >= 0.7', "value": 0.83, "contributions": contributions}
    explained = explain("u-0", finished)
    explained["segments"][0]["enter"] = [{**clause, "truth": True}]
    explained["recent"][0]["reason"] = [clause]
    console = Console(width=220)
    with console.capture() as captured:
        console.print(as_text(explained))
    words = "time since order 62 days (+0.87), views in 90 days 0 (-0.1)"
    lines = [line for line in captured.get().splitlines() if words in line]
    assert len(lines) == 2
    assert f"(0.83: {words})" in lines[1]


def test_an_unknown_user_and_an_unfinished_folder_are_told_apart(finished: Path, tmp_path: Path) -> None:
    """The one is a failed job, the other wrong usage, and each says what to do."""
    with pytest.raises(JobFailed, match="no user u-99"):
        explain("u-99", finished)
    with pytest.raises(WrongUsage, match="holds no finished job"):
        explain("u-1", tmp_path)


@pytest.mark.parametrize("name", ["definitions.yaml", "mapping.yaml", "segment-changes.jsonl"])
def test_a_folder_that_has_lost_a_file_is_told_with_its_name(finished: Path, name: str) -> None:
    """Without any one of the files it needs, there is no telling why; nor is there with a damaged one."""
    (finished / name).unlink()
    with pytest.raises(WrongUsage, match=f"holds no finished job \\(no {name}\\): run shoal replay"):
        explain("u-1", finished)
    (finished / name).write_bytes(b'{"u-1"\xff\n')
    with pytest.raises(ShoalError, match=name):
        explain("u-1", finished)


def test_a_damaged_state_is_told_in_a_sentence(finished: Path) -> None:
    """Half a state is a failed job, not a traceback."""
    state = finished / "state.shoal"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(JobFailed, match="run the job again"):
        explain("u-1", finished)
