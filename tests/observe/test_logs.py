"""Logs: whole lines of JSON, from the worker and from everyone else."""

import contextlib
import io
import json
import logging
import os
import warnings

import hypothesis.strategies as st
import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given

from tests.observe.support import Lines, logging_to, written
from worker.observe.harmless import TEXT_MAX
from worker.observe.logs import configure, log
from worker.observe.repeats import SAID_MAX, WINDOW_SECONDS


def test_a_line_has_time_level_logger_event_and_fields(lines: Lines) -> None:
    """In this order; the time is UTC with milliseconds."""
    log("worker.kafka").bind(partition=3).warning("A partition stops", offset=12, ratio=0.5, why=None, told=True)
    (line,) = lines()
    assert list(line) == ["time", "level", "logger", "event", "partition", "offset", "ratio", "why", "told"]
    assert len(line.pop("time")) == len("2026-11-22T10:15:00.250Z")
    assert line == {
        "level": "warning", "logger": "worker.kafka", "event": "A partition stops", "partition": 3, "offset": 12,
        "ratio": 0.5, "why": None, "told": True,
    }  # fmt: skip


def test_python_s_own_logging_goes_the_same_way(lines: Lines) -> None:
    """Libraries' arguments are put in their places."""
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s: %s", 1, "refused")
    (line,) = lines()
    assert (line["logger"], line["event"]) == ("aiokafka.client", "Unable connect to node with id 1: refused")


def test_what_python_warns_of_is_logged() -> None:
    """It would go to stderr otherwise, as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        text = written("INFO", lambda: warnings.warn("An old way", DeprecationWarning, stacklevel=1))
    line = json.loads(text)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "DeprecationWarning: An old way" in line["event"]


def test_a_broker_that_went_is_no_traceback_of_a_librarys(lines: Lines) -> None:
    """It is logged as unexpected, with all of its frames; what nobody expects keeps its traceback."""
    for error in (KafkaConnectionError("gone"), ConnectionResetError("gone"), AttributeError("ours")):
        logging.getLogger("aiokafka.producer.sender").error("Unexpected error in sender routine", exc_info=error)
    expected, reset, unexpected = lines()
    assert (expected["error"], reset["error"]) == (
        "KafkaConnectionError: KafkaConnectionError: gone",
        "ConnectionResetError: gone",
    )
    assert "traceback" not in expected.keys() | reset.keys()
    assert "AttributeError" in unexpected["traceback"]


def test_a_message_whose_arguments_do_not_fit_is_told_without_them() -> None:
    """A library's mistake in a message loses no line."""
    misfit = "No %s here: %d", "arguments that fit"
    text = written("INFO", lambda: logging.getLogger("faust").info(*misfit))
    assert json.loads(text)["event"] == "No %s here: %d"


def test_configuring_again_replaces_what_was() -> None:
    """One stream, one handler: nothing is written twice, or where it was before."""
    first, second = io.StringIO(), io.StringIO()
    with logging_to(first):
        configure("WARNING", second)
        log("worker").info("quiet")
        log("worker").warning("loud")
    assert first.getvalue() == ""
    assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("INFO", 3), ("WARNING", 2), ("ERROR", 1)])
def test_a_level_leaves_out_what_is_below(level: str, shown: int) -> None:
    """Of the worker's own messages and of others alike."""

    def say() -> None:
        for logger in (log("worker"), logging.getLogger("asyncio")):
            for name in ("debug", "info", "warning", "error"):
                getattr(logger, name)(name)

    assert len(written(level, say).splitlines()) == 2 * shown


@given(st.text(), st.text(), st.text())
def test_any_text_is_one_line_of_printable_ascii(event: str, value: str, name: str) -> None:
    """Line ends of all kinds, escape sequences, lone halves of characters: what is read back is what was said."""

    def say() -> None:
        log("worker").info(event, **{f"f{name}": value})
        logging.getLogger("other").info(event.replace("%", ""))

    text = written("INFO", say)
    assert text.count("\n") == 2
    assert all(" " <= character <= "~" for character in text.replace("\n", ""))
    own, other = map(json.loads, text.splitlines())
    if len(event) <= TEXT_MAX and len(value) <= TEXT_MAX:
        assert (own["event"], own[f"f{name}"], other["event"]) == (event, value, event.replace("%", ""))


@pytest.mark.parametrize(
    "control", ["\x00", "\x1b[2J", "\n", "\r", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e"]
)
def test_control_characters_are_escaped(control: str) -> None:
    """None reaches the stream as it is; JSON gives it back."""
    text = written("INFO", lambda: log("worker").info("before" + control + "after", field=control))
    assert text.isascii()
    assert text.rstrip("\n").isprintable()
    assert json.loads(text)["event"] == "before" + control + "after"


def test_long_texts_are_cut(lines: Lines) -> None:
    """Messages, fields and what is nested in them: 500 characters, the last of which says that there was more."""
    log("worker").info("x" * 10_000, text="y" * 10_000, nested={"a": ["z" * 10_000]}, exact="w" * TEXT_MAX)
    (line,) = lines()
    assert {len(line[name]) for name in ("event", "text", "nested", "exact")} == {TEXT_MAX}
    assert line["text"].endswith("y…")
    assert line["exact"].endswith("w")


def test_a_field_cannot_pass_for_the_line_s_own(lines: Lines) -> None:
    """`level` and `time` are the line's, whatever somebody logs under these names."""
    log("worker").info("told", level="critical", logger="forged")
    (line,) = lines()
    assert (line["level"], line["logger"]) == ("info", "worker")


def test_numbers_that_json_has_not_are_texts(lines: Lines) -> None:
    """A line is JSON to every reader."""
    log("worker").info("lag", seconds=float("inf"), ratio=float("nan"), data=b"\x00", names={"a"})
    (line,) = lines()
    assert (line["seconds"], line["ratio"], line["data"], line["names"]) == ("inf", "nan", "b'\\x00'", '["a"]')


def test_a_flood_is_held_back_and_counted() -> None:
    """Ten lines, and when ten seconds are over one that says how many there would have been."""
    stream = io.StringIO()
    with logging_to(stream):
        for number in range(1_000):
            logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", number)
        assert len(stream.getvalue().splitlines()) == SAID_MAX
        (handler,) = logging.getLogger().handlers
        for window in handler._repeats._windows.values():  # type: ignore[attr-defined]
            window.began -= WINDOW_SECONDS
        log("worker").info("Something else")
    told, after = map(json.loads, stream.getvalue().splitlines()[SAID_MAX:])
    assert told["event"] == "Repeated messages were left out"
    assert (told["logger"], told["message"]) == ("aiokafka.client", "Unable connect to node with id %s")
    assert told["left_out"] == 1_000 - SAID_MAX
    assert after["event"] == "Something else"


def test_each_partition_has_its_say(lines: Lines) -> None:
    """Sixty-four partitions that restore are no flood; one that says so sixty-four times is."""
    for partition in range(64):
        log("worker.kafka").info("Restored", partition=partition)
    for _ in range(64):
        log("worker.kafka").info("Restored", partition=64)
    assert len(lines()) == 64 + SAID_MAX


def test_a_log_that_cannot_be_written_stops_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """The reader of the pipe has gone: lines are lost, the worker goes on, and nothing goes elsewhere."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    with logging_to(stream):
        log("worker").info("lost")
    with contextlib.suppress(BrokenPipeError):  # closing tries once more
        stream.close()
    assert capfd.readouterr() == ("", "")
