"""The command line of the simulated shop."""

import gzip
import io
import json
from pathlib import Path

import pytest
import typer
import zstandard
from typer.testing import CliRunner

from worker.simulate.command import simulate

SMALL = ["--users", "30", "--days", "2", "--seed", "4"]


@pytest.fixture
def app() -> typer.Typer:
    """An application of this one command."""
    made = typer.Typer(add_completion=False)
    made.command()(simulate)
    return made


def test_stdout_and_files_hold_the_same_lines(app: typer.Typer, tmp_path: Path) -> None:
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


def test_the_truth_is_written_beside(app: typer.Typer, tmp_path: Path) -> None:
    """With the settings that were given."""
    path = tmp_path / "truth.json"
    options = ["--start", "2025-03-01", "--late", "0.5", "--incident", "spike@1+3", "--incident", "drift@1"]
    ran = CliRunner().invoke(app, [*SMALL, *options, "--truth", str(path)])
    truth = json.loads(path.read_text(encoding="utf-8"))
    assert len(ran.stdout_bytes.splitlines()) == truth["records"]
    assert (truth["settings"]["start"], truth["settings"]["late"]) == ("2025-03-01", 0.5)
    assert [incident["kind"] for incident in truth["incidents"]] == ["spike", "drift"]


@pytest.mark.parametrize("wrong", [["--users", "0"], ["--late", "2"], ["--incident", "flood@1"], ["--start", "soon"]])
def test_a_wrong_option_is_wrong_usage(app: typer.Typer, wrong: list[str]) -> None:
    """Status 2, and the option is named."""
    ran = CliRunner().invoke(app, [*SMALL, *wrong])
    assert ran.exit_code == 2
    assert wrong[0].lstrip("-") in ran.output


def test_a_file_that_cannot_be_written_is_said_in_one_sentence(app: typer.Typer, tmp_path: Path) -> None:
    """Status 1, with the path and the reason."""
    path = tmp_path / "nowhere" / "events.jsonl"
    ran = CliRunner().invoke(app, [*SMALL, "--out", str(path)])
    assert ran.exit_code == 1
    assert "No such file" in ran.stderr
