"""Logs: one JSON object per line, from the worker and from the libraries it stands on alike.

The rule: a log says what the worker does, never whom it does it to. Fields that would name a user are dropped, errors
that quote their input are told by type and place, and aiokafka is never let below INFO: its DEBUG prints passwords,
keys and values. Everything but printable ASCII is escaped, so that no text can forge a line or drive a terminal.
"""

import asyncio
import json
import logging
import time
import warnings
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog
from aiokafka.errors import KafkaError

from worker.observe.harmless import PERSONAL, error_text, plain, traceback_text
from worker.observe.repeats import Repeats

__all__ = ["AT_LEAST_INFO", "configure", "log"]

AT_LEAST_INFO = ("aiokafka", "kafka", "faust", "mode")
EXPECTED = (KafkaError, OSError, asyncio.CancelledError)  # of libraries: a broker went, not a mistake of anybody's


def configure(level: str, stream: TextIO) -> None:
    """Write everything that is logged from `level` on, and Python's warnings, to `stream`, and to nowhere else."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [_Lines(stream)]
    root.setLevel(level)
    for name in AT_LEAST_INFO:
        logging.getLogger(name).setLevel(max(root.level, logging.INFO))


def log(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of that name: `log("worker.kafka").info("What happened", partition=3)`."""
    wrapped = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _warn_of_personal, _to_library],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return cast("structlog.stdlib.BoundLogger", wrapped)


def _warn_of_personal(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Warn of what won't be written; the warning is an error in tests, where it finds who logged it."""
    for name in PERSONAL & fields.keys():
        warnings.warn(f"{name} is never logged: leave it out of {fields['event']!r}", stacklevel=2)
    return fields


def _to_library(_: object, __: str, fields: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """Hand the message to Python's logging, the fields beside it."""
    event, error = str(fields.pop("event")), fields.pop("exc_info", None)
    return (event,), {"exc_info": error, "extra": {"fields": dict(fields)}}


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines, and holds back what repeats itself: one message of one logger about one partition."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._repeats = Repeats()
        self.addFilter(_may_be_written)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and before it how many were held back in windows that are over by now."""
        now = time.monotonic()
        for message, count in self._repeats.left_out(now):
            super().emit(_about_repeats(*cast("tuple[str, str, Any]", message), count))
        if self._repeats.admits((record.name, str(record.msg), _fields(record).get("partition")), now):
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line; its own members go before fields of the same name."""
        own = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(), "logger": record.name, "event": plain(_event(record)),
        }  # fmt: skip
        fields = {name: plain(value) for name, value in _fields(record).items() if name not in PERSONAL}
        if record.exc_info and (error := record.exc_info[1]) is not None:
            expected = record.name.partition(".")[0] in AT_LEAST_INFO and isinstance(error, EXPECTED)
            fields |= {"error": error_text(error)} if expected else {"traceback": traceback_text(error)}
        return json.dumps(own | fields | own, ensure_ascii=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  as logging names it
        """Lose a line that can't be written: a full disk under the log is no reason to stop working."""


def _may_be_written(record: logging.LogRecord) -> bool:
    """The level of `AT_LEAST_INFO` once more, for loggers below them that were given one of their own."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] not in AT_LEAST_INFO


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "fields", {})


def _event(record: logging.LogRecord) -> str:
    """The message; errors in its arguments say no more than they may."""
    message, arguments = str(record.msg), record.args
    if isinstance(arguments, tuple):
        arguments = tuple(_Said(error_text(one)) if isinstance(one, BaseException) else one for one in arguments)
    if arguments:
        with suppress(TypeError, ValueError, KeyError):  # they don't fit: the message without them is better than none
            message %= arguments
    # asyncio tells in its first line what happened; the lines below repeat the error, message and all.
    return message.partition("\n")[0] if record.name == "asyncio" else message


class _Said(str):
    """A text that is itself under %r as well."""

    __slots__ = ()
    __repr__ = str.__str__


def _about_repeats(logger: str, message: str, partition: Any, count: int) -> logging.LogRecord:
    fields = {"message": message, "left_out": count} | ({} if partition is None else {"partition": partition})
    return logging.makeLogRecord({
        "name": logger, "levelno": logging.WARNING, "levelname": "WARNING", "msg": "Repeated messages were left out",
        "fields": fields,
    })  # fmt: skip
