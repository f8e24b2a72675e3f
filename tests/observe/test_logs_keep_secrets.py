"""What is never in a log: secrets that libraries would print, and the ids of users, whichever way they come."""

import asyncio
import gc
import io
import json
import logging

import aiokafka.conn
import msgspec
import pytest

from tests.observe.support import Lines, logging_to, raised, written
from worker.observe.harmless import TRACEBACK_MAX
from worker.observe.logs import log


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
@pytest.mark.parametrize("name", ["aiokafka.conn", "aiokafka.producer.producer", "faust.app", "mode.services"])
def test_libraries_are_never_let_below_info(name: str, level: str) -> None:
    """Not with DEBUG wanted, and not by a level of their own."""
    logger = logging.getLogger(name)
    before = logger.level

    def say() -> None:
        logger.debug("SaslAuthenticate canary")
        logger.setLevel(logging.DEBUG)
        logger.debug("SaslAuthenticate canary")
        logger.info("connected")

    try:
        text = written(level, say)
    finally:
        logger.setLevel(before)
    assert "canary" not in text
    assert "connected" in text


def test_aiokafka_does_not_even_reach_other_handlers_with_debug(caplog: pytest.LogCaptureFixture) -> None:
    """The level is set where the message is born; without it this message is shown."""
    with logging_to(io.StringIO(), "DEBUG"):
        logging.getLogger().addHandler(caplog.handler)
        aiokafka.conn.log.debug("canary")
        log("worker").debug("shown")
    assert [record.getMessage() for record in caplog.records] == ["shown"]


@pytest.mark.parametrize("name", ["user_id", "key", "payload"])
def test_fields_that_would_name_a_user_are_dropped_with_a_warning(lines: Lines, name: str) -> None:
    """The warning names the field and the message; a test that logs one fails by it."""
    with pytest.warns(UserWarning, match=f"{name} is never logged: leave it out of 'Refused'") as caught:
        log("worker").info("Refused", partition=1, **{name: "u-7"})
    (line,) = (line for line in lines() if line["event"] == "Refused")
    assert name not in line
    assert line["partition"] == 1
    assert "u-7" not in json.dumps(lines()) + str(caught[0].message)


def test_nested_fields_are_dropped_as_well(lines: Lines) -> None:
    """At every depth, and from what a library hands over as `fields`."""
    log("worker").info("Refused", record={"user_id": "u-7", "rest": [{"key": "u-7", "offset": 4}]})
    logging.getLogger("other").info("Refused", extra={"fields": {"payload": "u-7"}, "user_id": "u-7"})
    first, second = lines()
    assert first["record"] == '{"rest": [{"offset": 4}]}'
    assert "u-7" not in json.dumps([first, second])


def test_a_traceback_shows_code_and_no_data(lines: Lines) -> None:
    """Type, message and place, but no message that quotes its input; the causes behind it come first."""
    cause = raised(KeyError("u-7"))
    log("worker").error("It broke", exc_info=raised(OSError("disk full"), cause))
    (line,) = lines()
    assert line["event"] == "It broke"
    told = line["traceback"]
    assert told.index("KeyError") < told.index("OSError: disk full")
    assert "support.py" in told
    assert "raise error from cause" in told
    assert "u-7" not in json.dumps(line)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("u-7"), ValueError("no number: u-7"), IndexError("u-7"), msgspec.ValidationError("u-7"),
        UnicodeDecodeError("utf-8", b"u-7", 0, 1, "u-7"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_s_message_is_left_out_where_it_quotes(lines: Lines, error: Exception) -> None:
    """In a traceback, as a field, nested, and as an argument of a library's message, with %s and %r."""
    log("worker").error("a", error=error, nested=[error], exc_info=raised(error))
    logging.getLogger("faust.app").error("Crashed reason=%r, that is %s", error, error)
    first, second = lines()
    name = type(error).__name__
    assert (first["error"], first["nested"]) == (name, f'["{name}"]')
    assert second["event"] == f"Crashed reason={name}, that is {name}"
    assert "u-7" not in json.dumps([first, second])


def test_errors_in_groups_are_told_too(lines: Lines) -> None:
    """Each by its own type and place; an error that is its own cause ends the chain."""
    loop = raised(RuntimeError("again"))
    loop.__cause__ = loop
    log("worker").exception("Many", exc_info=ExceptionGroup("of two", [OSError("one"), loop]))
    (line,) = lines()
    assert [part in line["traceback"] for part in ("of two", "OSError: one", "RuntimeError: again")] == [True] * 3


def test_a_long_traceback_keeps_its_end(lines: Lines) -> None:
    """The end says what went wrong."""
    causes = raised(OSError("the first"))
    for number in range(100):
        causes = raised(OSError(f"number {number}"), causes)
    log("worker").error("Deep", exc_info=causes)
    (line,) = lines()
    assert len(line["traceback"]) == TRACEBACK_MAX
    assert line["traceback"].endswith("OSError: number 99")


def test_a_task_that_nobody_awaited_tells_its_error_without_the_data(lines: Lines) -> None:
    """What asyncio says repeats the error's message; only the first line of it is kept."""

    async def forgotten(user: str = "u-7") -> None:
        raise KeyError(user)

    async def run() -> None:
        task = asyncio.create_task(forgotten())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()

    asyncio.run(run())
    (line,) = (line for line in lines() if line["level"] == "error")
    assert line["event"] == "Task exception was never retrieved"
    assert "forgotten" in line["traceback"]
    assert "u-7" not in json.dumps(line)
