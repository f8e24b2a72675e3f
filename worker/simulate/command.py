"""The job of `shoal simulate`: a shop's events written as Segment-spec JSON lines, and the truth about them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.errors import JobFailed, WrongUsage
from worker.simulate.files import Progress, write_jsonl
from worker.simulate.shop import Incident, Settings
from worker.simulate.stream import Simulation

__all__ = ["settings", "simulate", "write_truth"]


def settings(incidents: Iterable[str], **options: Any) -> Settings:
    """The settings of these options, with incidents as `Incident.parse` reads them. Raises WrongUsage."""
    try:
        return Settings(incidents=tuple(map(Incident.parse, incidents)), **options)
    except ValidationError as error:
        raise WrongUsage("; ".join(map(_mistake, error.errors())) + ": shoal simulate --help says more.") from error
    except ValueError as error:
        raise WrongUsage(f"--incident {error}.") from error


def _mistake(told: ErrorDetails) -> str:
    """A mistake as pydantic tells it, with the option it is about; one of several options names them itself."""
    option = f"--{told['loc'][0]}: " if told["loc"] else ""
    return option + told["msg"].removeprefix("Value error, ")


def simulate(under: Settings, out: str, truth: Path | None, progress: Progress | None = None) -> int:
    """Write the events to `out`, as `write_jsonl` does, and the truth into its file. Returns how many records.

    Raises:
        WrongUsage: they are one file.
        JobFailed: one of them can't be written.
        BrokenPipeError: whoever reads stdout has seen enough.
    """
    if truth is not None and truth.resolve() == Path(out).resolve():
        raise WrongUsage(f"--truth and --out both name {truth}: give each a file of its own.")
    simulation = Simulation(under)
    with _writing("to stdout" if out == "-" else out):
        written = write_jsonl(simulation, out, progress)
    if truth is not None:
        write_truth(simulation, truth)
    return written


def write_truth(simulation: Simulation, file: Path) -> None:
    """Write what is true of a shop, once all its batches are taken. Raises JobFailed if that can't be written."""
    with _writing(file):
        file.write_text(json.dumps(simulation.truth(), indent=1) + "\n", encoding="utf-8")


@contextmanager
def _writing(what: str | Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise JobFailed(f"Writing {what} failed: {error.strerror or error}; make room, or choose another.") from error
