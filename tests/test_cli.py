"""The command line as a person meets it: every command in a process of its own, its status, stdout and stderr."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from tests.files.support import DEFINITIONS, shop, write_definitions
from worker.cli import app, offline

SHOAL = [sys.executable, "-m", "worker"]
# A process of its own would compile for minutes what these few records take no time to interpret.
INTERPRETED = {**os.environ, "NUMBA_DISABLE_JIT": "1"}


def shoal(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command and expect its exit status."""
    command = [*SHOAL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=INTERPRETED, timeout=300, check=False)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A small shop's events in a file."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(shop(4)))
    return file


def test_without_arguments_it_says_what_there_is() -> None:
    """The commands of the command line, each with what it does."""
    told = shoal().stdout
    assert told == shoal("--help").stdout
    for command in ("demo", "simulate", "replay", "explain", "definitions", "bench"):
        assert f"\n  {command} " in told


def test_replay_prints_one_object_and_nothing_else(tmp_path: Path, events: Path) -> None:
    """With --json stdout is one object with what the contract names, numbers all, and two objects; stderr is silent."""
    done = shoal("replay", events, "--definitions", write_definitions(tmp_path), "--out", tmp_path / "out", "--json")
    said = json.loads(done.stdout)
    for name in ("read", "applied", "duplicates", "dead_letters", "repaired", "users", "transitions", "seconds"):
        assert isinstance(said[name], int | float), name
    assert isinstance(said["cpu_us_per_event"], float)
    assert said["members"] == {"buyer": 2, "cart_abandoner": 2}
    assert said["decisions"] == {"fired": 2}
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_replay_ends_with_a_table_for_people(tmp_path: Path, events: Path) -> None:
    """Members, transitions by cause, decisions by outcome and dead letters by reason; quiet otherwise."""
    done = shoal("replay", events, "--definitions", write_definitions(tmp_path), "--out", tmp_path / "out")
    for expected in (
        "Members of segments",
        "Transitions by cause",
        "Decisions by outcome",
        "not_json",
        "events per second",
    ):
        assert expected in done.stdout
    assert done.stderr == ""


def test_brackets_are_no_markup(tmp_path: Path) -> None:
    """Neither in the name of a folder nor in what a mapping calls a reason: a job that is done isn't failed by them."""
    table, mapping, out = tmp_path / "t.csv", tmp_path / "[b]m.yaml", tmp_path / "o9[" / "b]x"
    table.write_text("who,at\nu-1,1767614400\n,1767614400\n", encoding="utf-8")
    mapping.write_text(
        "columns: {who: id, at: epoch_seconds}\nuser: who\ntime: at\nevents: [{event: X}]\n"
        'leave_out: [{reason: "gone [/x]", where: {who: {absent: true}}}]\n'
    )
    definitions = tmp_path / "[" / "d].yaml"
    definitions.parent.mkdir()
    definitions.write_text(DEFINITIONS, encoding="utf-8")
    done = shoal("replay", table, "--mapping", mapping, "--definitions", definitions, "--out", out)
    assert f"Written into {out}. " in done.stdout
    assert "gone [/x]" in done.stdout
    assert shoal("definitions", "check", definitions).stdout.startswith(f"{definitions} is right")


def test_events_come_through_stdin_whole(tmp_path: Path) -> None:
    """`cat events | shoal replay /dev/stdin`: every line is read, though a pipe can't be opened twice."""
    options = ["--definitions", str(write_definitions(tmp_path)), "--out", str(tmp_path / "out"), "--json"]
    command, lines = [*SHOAL, "replay", "/dev/stdin", *options], shop(400)
    done = subprocess.run(command, input=b"\n".join(lines), capture_output=True, env=INTERPRETED, check=True)
    assert json.loads(done.stdout)["read"] == len(lines)


def test_explain_answers_on_a_finished_replay(tmp_path: Path, events: Path) -> None:
    """The user's clauses, for people and as JSON."""
    shoal("replay", events, "--definitions", write_definitions(tmp_path), "--out", tmp_path / "out")
    assert "cart_items > 0" in shoal("explain", "u-1", "--state", tmp_path / "out").stdout
    assert json.loads(shoal("explain", "u-1", "--state", tmp_path / "out", "--json").stdout)["user_id"] == "u-1"
    assert "no user nobody" in shoal("explain", "nobody", "--state", tmp_path / "out", status=1).stderr


def test_definitions_check_tells_all_mistakes_at_once(tmp_path: Path) -> None:
    """Two mistakes: two lines with line and column, a sentence, and status 2; a right file is status 0."""
    assert "is right" in shoal("definitions", "check", write_definitions(tmp_path)).stdout
    wrong = DEFINITIONS.replace("orders_total > 0", "order_total > 0").replace("entered: buyer", "entered: byer")
    told = shoal("definitions", "check", write_definitions(tmp_path, wrong), status=2).stderr.splitlines()
    assert len(told) == 3
    assert "line 4" in told[0]
    assert "orders_total" in told[0]
    assert "buyer" in told[1]
    assert "2 mistakes" in told[2]


def test_definitions_test_fails_with_what_was_expected(tmp_path: Path) -> None:
    """Status 0 when every story ends as it says; else status 1, with the clause and its value."""
    assert "1 passed, 0 failed" in shoal("definitions", "test", write_definitions(tmp_path)).stdout
    wrong = DEFINITIONS.replace("in: [buyer]", "in: [cart_abandoner]")
    told = shoal("definitions", "test", write_definitions(tmp_path, wrong), status=1).stdout
    assert "FAIL  an order makes a buyer" in told
    assert "cart_items > 0 is false (0)" in told


def test_mistakes_in_a_mapping_are_told_with_file_line_and_column(tmp_path: Path, events: Path) -> None:
    """A line for each, of events and of columns alike, one that says what to do at the end, and status 2."""
    mapping = tmp_path / "mine.yaml"
    for text, expected in (
        ("match: {event: x}\nkind: view\n", [f"{mapping}, line 1, column 1: put the rules under `rules:`"]),
        (
            "rules:\n- {match: {a: 1}, kind: veiw}\n- {math: {a: 1}, kind: view}\n",
            [f"{mapping}, line 2, column 25, rules[0]: write 'view'", f"{mapping}, line 3, column 4, rules[1]: use a"],
        ),
        ("columns: {a: txt}\nuser: a\ntime: a\nevents: [{event: X}]\n", [f"{mapping}, line 1, column 14, columns: "]),
    ):
        mapping.write_text(text, encoding="utf-8")
        done = shoal("replay", events, "--mapping", mapping, "--out", tmp_path / "out", status=2)
        *told, last = done.stderr.splitlines()
        assert [line[: len(start)] for line, start in zip(told, expected, strict=True)] == expected
        assert last.startswith(f"{mapping} has {len(expected)} mistake")


def test_the_names_of_vendors_are_mappings(tmp_path: Path, events: Path) -> None:
    """`--mapping ga4` is what no mapping is: the shipped one reads all of them, and `explain` finds the same state."""
    options = ["--definitions", str(write_definitions(tmp_path)), "--out", str(tmp_path / "out"), "--json"]
    for mapping in ([], ["--mapping", "ga4"]):
        summary = json.loads(shoal("replay", events, *mapping, *options).stdout)
        assert summary["members"] == {"buyer": 2, "cart_abandoner": 2}
    assert "orders_total > 0" in shoal("explain", "u-1", "--state", tmp_path / "out").stdout
    assert "segment, ga4, braze" in shoal("definitions", "check", events, "--mapping", "nobody", status=2).stderr


def test_simulate_writes_events_that_replay_reads(tmp_path: Path) -> None:
    """The same seed gives the same bytes, and all of it is read."""
    shop_file = tmp_path / "shop.jsonl"
    shoal("simulate", "--users", "20", "--days", "2", "--seed", "3", "--out", shop_file)
    text = shoal("simulate", "--users", "20", "--days", "2", "--seed", "3").stdout
    assert text == shop_file.read_text(encoding="utf-8")
    said = json.loads(shoal("replay", shop_file, "--out", tmp_path / "out", "--json").stdout)
    assert said["read"] == len(text.splitlines())


def test_wrong_usage_is_status_2_and_a_sentence(tmp_path: Path, events: Path) -> None:
    """Whatever is wrong with how a command is called is told in one line on stderr, and nothing on stdout."""
    missing, table = tmp_path / "missing.jsonl", tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    for arguments in (
        ["nonsense"],
        ["replay"],
        ["replay", events],
        ["replay", events, "--out", tmp_path, "--batch", "0"],
        ["replay", events, "--out", tmp_path, "--batch", "-1"],
        ["replay", events, "--out", tmp_path, "--batch", "many"],
        ["replay", events, "--out", tmp_path, "--until", "yesterday"],
        ["replay", events, "--out", tmp_path, "--until", "9999-12-31T23:59:59-14:00"],
        ["replay", events, "--out", tmp_path, "--definitions", missing],
        ["replay", events, "--out", tmp_path, "--definitions", tmp_path],
        ["replay", events, "--out", tmp_path, "--mapping", "no_such"],
        ["replay", missing, "--out", tmp_path],
        ["replay", tmp_path, "--out", tmp_path / "out"],
        ["replay", table, "--out", tmp_path / "out"],
        ["replay", table, "--out", tmp_path / "out", "--mapping", "online_retail"],
        ["replay", events, "--out", events],
        ["explain", "u-1", "--state", tmp_path],
        ["explain", "u-1", "--state", tmp_path, "--live"],
        ["status", "--wait", "0"],
        ["tick", "tomorrow"],
        ["import"],
        ["import", missing],
        ["rekey"],
        ["dead-letters", "redrive", "--from-offset", "7"],
        ["dead-letters", "list", "--reason", "bad"],
        ["events", "check", "--sample", "0"],
        ["definitions", "publish", missing],
        ["definitions", "rollback", "-1"],
        ["simulate", "--to", "file"],
        ["simulate", "--rate", "5"],
        ["definitions"],
        ["definitions", "check", missing],
        ["definitions", "test", missing],
        ["simulate", "--users", "0"],
        ["simulate", "--start", "soon"],
        ["simulate", "--start", "9999-12-01", "--days", "60"],
        ["simulate", "--incident", "flood@1"],
        ["bench", "everything"],
    ):
        done = shoal(*arguments, status=2)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), arguments
        assert "Traceback" not in done.stderr


def test_a_damaged_file_is_status_1_and_a_sentence(tmp_path: Path) -> None:
    """The job was understood and failed: one line on stderr, no traceback."""
    damaged, named = tmp_path / "events.jsonl.gz", tmp_path / "events.parquet"
    damaged.write_bytes(b"\x1f\x8b\x08\x00 this is no gzip")
    named.write_bytes(b"{}\n")
    for file, said in ((damaged, "is damaged"), (named, "is named .parquet but is not Parquet")):
        done = shoal("replay", file, "--out", tmp_path / "out", status=1)
        assert done.stderr.startswith(f"shoal: {file} {said}")
        assert done.stderr.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_accident() -> None:
    """`shoal simulate | head -n 1` ends without a word on stderr."""
    simulate = subprocess.Popen(
        [*SHOAL, "simulate", "--users", "300", "--days", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=INTERPRETED,
    )
    assert simulate.stdout is not None
    assert simulate.stderr is not None
    with simulate.stdout, simulate.stderr:
        assert simulate.stdout.readline().startswith(b"{")
        simulate.stdout.close()
        assert simulate.stderr.read() == b""
    assert simulate.wait(timeout=60) == 1


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_reader_who_wants_nothing_at_all_is_no_accident_either(
    tmp_path: Path, events: Path, options: list[str]
) -> None:
    """`shoal replay ... | true`: the outputs are written, and stderr is silent."""
    reading, writing = os.pipe()
    os.close(reading)
    named = ["--definitions", str(write_definitions(tmp_path)), "--out", str(tmp_path / "out")]
    command = [*SHOAL, "replay", str(events), *named]
    with open(writing, "wb") as nobody:  # noqa: PTH123  a number, not a path
        done = subprocess.run([*command, *options], stdout=nobody, stderr=subprocess.PIPE, env=INTERPRETED, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert (tmp_path / "out" / "state.shoal").is_file()


@pytest.mark.parametrize(
    ("on_path", "program", "expected"),
    [
        ("/usr/bin/shoal", "worker/__main__.py", "shoal"),
        (None, ".venv/bin/shoal", ".venv/bin/shoal"),
        (None, "worker/__main__.py", f"{Path(sys.executable).name} -m worker"),
    ],
)
def test_the_program_is_named_the_way_it_can_be_called(
    monkeypatch: pytest.MonkeyPatch, on_path: str | None, program: str, expected: str
) -> None:
    """By its name if that is on the path, else by where it is, else by the module."""
    monkeypatch.setattr("shutil.which", lambda _: on_path)
    monkeypatch.setattr(sys, "argv", [program])
    assert offline._called() == expected


def test_a_mistake_in_an_option_of_simulate_is_told_as_any_other() -> None:
    """The same program, the same words before it, and a full disk is no traceback."""
    assert shoal("simulate", "--late", "2", status=2).stderr.startswith("shoal: --late: ")
    told = shoal("simulate", "--users", "5", "--out", "/nowhere/file", status=1).stderr
    assert told.startswith("shoal: Writing /nowhere/file failed: ")


def commands_of(group: Any, *before: str) -> Iterator[list[str]]:
    """Each command as it is typed, groups included."""
    yield list(before)
    for name, command in getattr(group, "commands", {}).items():
        yield from commands_of(command, *before, name)


@pytest.mark.parametrize("command", list(commands_of(typer.main.get_command(app))), ids=" ".join)
def test_help_cuts_no_sentence_short(command: list[str]) -> None:
    """What a command does, and what each option does, is there to its end."""
    told = CliRunner().invoke(app, [*command, "--help"], prog_name="shoal").output
    assert told.startswith("Usage: shoal")
    assert "..." not in re.sub(r"[]}]\.\.\.", "", told)
