"""The command line of the simulated shop, and the job behind it."""

import gzip
import io
import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from worker.cli import app
from worker.errors import JobFailed, WrongUsage
from worker.simulate.command import settings, simulate
from worker.simulate.shop import Settings

SMALL = ["simulate", "--users", "30", "--days", "2", "--seed", "4"]


def test_stdout_and_files_hold_the_same_lines(tmp_path: Path) -> None:
    """Plain, .gz and .zst."""
    lines = CliRunner().invoke(app, SMALL).stdout_bytes
    assert lines.count(b"\n") > 30
    for name in ("events.jsonl", "events.jsonl.gz", "events.jsonl.zst"):
        ran = CliRunner().invoke(app, [*SMALL, "--out", str(tmp_path / name)])
        assert (ran.exit_code, ran.output) == (0, "")
    assert (tmp_path / "events.jsonl").read_bytes() == lines
    assert gzip.decompress((tmp_path / "events.jsonl.gz").read_bytes()) == lines
    packed = io.BytesIO((tmp_path / "events.jsonl.zst").read_bytes())
    assert zstandard.ZstdDecompressor().stream_reader(packed).read() == lines


def test_the_truth_is_written_beside(tmp_path: Path) -> None:
    """With the settings that were given."""
    path = tmp_path / "truth.json"
    options = ["--start", "2025-03-01", "--late", "0.5", "--incident", "spike@1+3", "--incident", "drift@1"]
    ran = CliRunner().invoke(app, [*SMALL, *options, "--truth", str(path)])
    truth = json.loads(path.read_text(encoding="utf-8"))
    assert len(ran.stdout_bytes.splitlines()) == truth["records"]
    assert (truth["settings"]["start"], truth["settings"]["late"]) == ("2025-03-01", 0.5)
    assert [incident["kind"] for incident in truth["incidents"]] == ["spike", "drift"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"users": 0}, "--users: "),
        ({"late": 2}, "--late: "),
        ({"incidents": ["flood@1"]}, "--incident 'flood@1' is no incident"),
        ({"incidents": ["spike@1+0"]}, "--hours: "),
        ({"start": "9999-12-01", "days": 60}, "start and days must end by 9999-01-01"),
        ({"start": "0001-01-01"}, "--start: "),
    ],
)
def test_a_wrong_option_is_wrong_usage(wrong: dict[str, Any], said: str) -> None:
    """One line that names the option, also of days that no calendar has."""
    with pytest.raises(WrongUsage) as told:
        settings(**{"incidents": [], **wrong})
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value)


def test_the_last_days_of_the_calendar_can_be_simulated() -> None:
    """A shop that closes at the end of the year 9998 has events up to then."""
    last = Settings(users=30, days=2, start=date(9998, 12, 30))
    assert simulate(last, os.devnull, None) > 30


def test_progress_is_told_in_simulated_time(tmp_path: Path) -> None:
    """After each hour and at the end: how much of the shop's time is over, and how many records there are."""
    told: list[tuple[int, int, int]] = []
    written = simulate(Settings(users=30, days=2), str(tmp_path / "e.jsonl"), None, lambda *moment: told.append(moment))
    day = 86_400_000
    assert (len(told), told[0][:2], told[-1]) == (49, (day // 24, 2 * day), (2 * day, 2 * day, written))


def test_a_file_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    """The events' and the truth's alike, with the path and the reason."""
    path, shop = tmp_path / "nowhere" / "file", Settings(users=30, days=2)
    with pytest.raises(JobFailed, match=f"Writing {path} failed: No such file"):
        simulate(shop, str(path), None)
    with pytest.raises(JobFailed, match=f"Writing {path} failed: No such file"):
        simulate(shop, os.devnull, path)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /dev/full")
def test_a_full_disk_is_said_in_one_sentence() -> None:
    """Of the file that had no room, be it the truth's."""
    full, shop = "/dev/full", Settings(users=30, days=2)
    for out, truth in ((full, None), (os.devnull, Path(full))):
        with pytest.raises(JobFailed, match=r"Writing /dev/full failed: No space left"):
            simulate(shop, out, truth)


def test_events_and_truth_need_a_file_each(tmp_path: Path) -> None:
    """One name for both, however written: refused before anything is."""
    file = tmp_path / "shop.jsonl"
    with pytest.raises(WrongUsage, match="a file of its own"):
        simulate(settings([], users=3, days=1), str(file), tmp_path / "." / "shop.jsonl")
    assert not file.exists()
