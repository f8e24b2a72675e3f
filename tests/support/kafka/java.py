"""Kafka's programs as commands: small and quick to start, as many of them live for seconds.

Half of a JVM's start is loading classes. The classes of one broker's life are kept in an archive, which later JVMs map
into memory: a broker is up in one second instead of three. Without an archive, or with one of another Java, they just
start more slowly.
"""

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.kafka.jars import jars

__all__ = ["archive", "archiving", "command"]

OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto",
           "-Xlog:disable", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")  # fmt: skip
LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
           "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
           "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info")  # fmt: skip


def command(main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """Return how to run one of Kafka's classes; of contradicting `options` of the JVM the last is taken."""
    shared = [f"-XX:SharedArchiveFile={archive()}"] if archive().is_file() else []
    return ["java", *OPTIONS, *shared, *LOGGING, *options, "-cp", f"{jars()}/*", main, *arguments]


def archive() -> Path:
    """Return where the classes' archive lies, or would lie, for the Java that is installed."""
    java = Path(shutil.which("java") or "java").resolve()
    made = java.stat().st_mtime_ns if java.exists() else 0
    return jars().parent / f"classes-{zlib.crc32(f'{java} {made}'.encode()):08x}.jsa"


@contextmanager
def archiving() -> Iterator[Sequence[str]]:
    """Give the options with which a JVM writes the archive when it exits."""
    with tempfile.TemporaryDirectory(dir=jars().parent) as made:
        fresh = Path(made) / "classes.jsa"
        yield [f"-XX:ArchiveClassesAtExit={fresh}"]
        if fresh.is_file():
            os.replace(fresh, archive())  # noqa: PTH105  replaces what a neighbour has just made
