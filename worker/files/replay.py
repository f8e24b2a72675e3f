"""The replay: files in, through the engine, an output folder and a summary out. The main job, with no broker.

The engine is asked for nothing but effects; everything around it (reading, writing, counting, the wall clock) is here.
What is written is a function of the files, the definitions and the mapping: batch size changes nothing but the speed.
"""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.models import Snapshot
from worker.core.engine import Engine
from worker.core.records import Effects
from worker.core.warming import warm_up
from worker.files.configuration import Configuration
from worker.files.lift import Measures
from worker.files.points import Action, Points
from worker.files.sinks import Folder
from worker.files.source import Source
from worker.files.summary import Summary, Tally
from worker.language.definitions import Checked

if TYPE_CHECKING:
    from worker.files.learning import Lessons

__all__ = ["Job", "Request", "lessons", "replay"]

BATCH_RECORDS = 10_000

Progress = Callable[[int, int | None, int], None]  # bytes read, bytes in all (None: a pipe's), records so far


class Job:
    """An engine with an output folder and a tally, and perhaps what learns: what replay and demo have in common."""

    def __init__(self, configuration: Configuration, folder: Folder, engine: Engine | None = None, *,
                 lessons: "Lessons | None" = None) -> None:  # fmt: skip
        self.configuration = configuration
        self.folder = folder
        self.tally = Tally()
        self.engine = engine or Engine(configuration.checked, configuration.mapping, clock="event")
        self.lessons = lessons
        self.measures = Measures()
        self._written: Snapshot | None = None
        self._write_model()

    def feed(self, payloads: Sequence[bytes], offsets: Sequence[int]) -> Effects:
        """Take records, write and count what follows from them, and return it."""
        effects = Effects()
        for followed, midnight_ms in self.engine.by_day(payloads, offsets, wall_ms=wall_ms()):
            effects.add(self._taken(followed))
            if midnight_ms is not None:
                self.measures.day(midnight_ms)
            if midnight_ms is not None and self.lessons is not None:
                effects.add(self._taken(self._learnt_by(midnight_ms, self.lessons)))
        return effects

    def _learnt_by(self, midnight_ms: int, lessons: "Lessons") -> Effects:
        """Put what was learnt in force at a midnight, if there is news."""
        model = lessons.model_at(midnight_ms)
        if model is None:
            return Effects()
        effects = self.engine.advance(midnight_ms, wall_ms=wall_ms())
        effects.add(self.engine.publish(model=model, wall_ms=wall_ms()))
        return effects

    def _write_model(self) -> None:
        """Write the model in force, if it is another than before."""
        model = self.engine.version.model
        if model is not None and model is not self._written:
            self.folder.write("models", [model.model_dump(mode="json")])
            self._written = model

    def pass_time(self, until_ms: int | None = None) -> Effects | None:
        """Let time run on to and including an instant, by default the partition clock's; return the Effects or None."""
        until_ms = self.engine.clock_ms if until_ms is None else until_ms
        return None if until_ms is None else self._taken(self.engine.tick(until_ms, wall_ms=wall_ms()))

    def apply(self, action: Callable[[Engine, int], Effects]) -> None:
        """Do something to the engine, given the wall, and write and count what follows from it."""
        self._taken(action(self.engine, wall_ms()))

    def finish(self) -> None:
        """Write memberships, the campaigns' results and the state: nothing may follow."""
        self.folder.write("memberships", self.engine.memberships())
        self.folder.write("results", self.measures.results(self.engine.clock_ms))
        configuration = self.configuration
        self.folder.finish(self.engine.to_bytes(), configuration.definitions_text, configuration.mapping_text)

    def _taken(self, effects: Effects) -> Effects:
        self._write_model()
        self.folder.take(effects)
        self.tally.take(effects)
        self.measures.take(effects, self.engine.version)
        if self.lessons is not None:
            self.lessons.take(effects)
        return effects


@dataclass(frozen=True)
class Request:
    """What to replay: the files, where to, until when (ms since the epoch; None: the largest event time).

    With the points of a partition it is replayed as its worker ran: under the points' versions, and no longer than they
    say unless `until_ms` does. Else it begins under `model`, if there is one, and learns, unless told not to.
    """

    files: Sequence[Path]
    out: Path
    until_ms: int | None = None
    batch_records: int = BATCH_RECORDS
    points: Points | None = None
    model: Snapshot | None = None
    learn: bool = True


def replay(configuration: Configuration, request: Request, progress: Progress | None = None) -> Summary:
    """Run the job.

    `seconds` and CPU of the summary are from the first byte read to the last written, without starting and compiling.

    Raises:
        WrongUsage: a file or the folder can't be used, or the job would write over what it reads.
        JobFailed: a file is damaged, or the disk refuses.
    """
    source = Source(request.files, configuration.columns)
    with Folder(request.out, [*request.files, *configuration.files]) as folder:
        points = request.points
        under = points.configuration(configuration.columns) if points else configuration
        engine = points.engine() if points else Engine(under.checked, under.mapping, clock="event", model=request.model)
        learns = request.learn and points is None and bool(engine.version.observed)
        job = Job(under, folder, engine, lessons=lessons(under.checked, request.model) if learns else None)
        warm_up()
        started, cpu_started = time.monotonic(), time.process_time()
        later = deque(points.later() if points else ())
        for payloads, offsets in source.batches(request.batch_records):
            _feed(job, payloads, offsets, later)
            if progress:
                progress(source.bytes_read, source.bytes_total, job.tally.read)
        for _, action in later:
            job.apply(action)
        if points is None or request.until_ms is not None:
            job.pass_time(request.until_ms)
        job.finish()
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    engine = job.engine
    return Summary(job.tally, len(engine.users), engine.members(), seconds, cpu_seconds, source.lines, source.left_out)


def lessons(checked: Checked, model: Snapshot | None = None) -> "Lessons":
    """Begin to learn; only a job that does waits for the libraries of learning to be loaded."""
    from worker.files.learning import Lessons  # noqa: PLC0415

    return Lessons(checked, model)


def _feed(job: Job, payloads: list[bytes], offsets: list[int], later: deque[tuple[int, Action]]) -> None:
    """Feed a batch in pieces, so that each point takes effect before the record at its offset."""
    done = 0
    while later and later[0][0] <= offsets[-1]:
        before, action = later.popleft()
        end = bisect_left(offsets, before)
        if end > done:
            job.feed(payloads[done:end], offsets[done:end])
            done = end
        job.apply(action)
    job.feed(payloads[done:], offsets[done:])


def wall_ms() -> int:
    """The wall clock, for `emitted_at`."""
    return time.time_ns() // 1_000_000
