"""The output folder: a file of JSON lines per topic, the state, and what is needed to read the state again.

    segment-changes.jsonl  memberships.jsonl  campaign-decisions.jsonl  campaign-triggers.jsonl  conversions.jsonl
    messages.jsonl  training-samples.jsonl  observations.jsonl  models.jsonl
    campaign-results.jsonl  dead-letters.jsonl
    state.shoal  definitions.yaml  mapping.yaml

Every file is there after a run, empty or not. The state comes last: a folder with a `state.shoal` is finished.
Nothing is touched if one of the files is what the job is about to read.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from worker.core.records import Effects
from worker.errors import JobFailed, WrongUsage

__all__ = ["DEFINITIONS", "MAPPING", "STATE", "TOPICS", "Folder"]

STATE = "state.shoal"
DEFINITIONS = "definitions.yaml"
MAPPING = "mapping.yaml"

# Which list of an Effects goes into which file; models have no list yet, and their file stays empty.
TOPICS = {
    "transitions": "segment-changes",
    "memberships": "memberships",
    "decisions": "campaign-decisions",
    "triggers": "campaign-triggers",
    "conversions": "conversions",
    "messages": "messages",
    "samples": "training-samples",
    "observations": "observations",
    "models": "models",
    "results": "campaign-results",
    "dead_letters": "dead-letters",
}


class Folder:
    """An output folder being written. Use it in a `with`; leaving that closes the files."""

    def __init__(self, path: Path, inputs: Iterable[Path] = (), more: Iterable[str] = ()) -> None:
        """Make the folder and empty its files: the topics' and `more`.

        Raises:
            WrongUsage: it can't be written, or one of the `inputs` would be written over.
        """
        self.path = path
        self._stack = ExitStack()
        names = [*(f"{topic}.jsonl" for topic in TOPICS.values()), *more]
        try:
            _spare(inputs, [path / name for name in (*names, STATE, DEFINITIONS, MAPPING)])
            path.mkdir(parents=True, exist_ok=True)
            (path / STATE).unlink(missing_ok=True)
            self._files: dict[str, IO[bytes]] = {
                name: self._stack.enter_context((path / name).open("wb")) for name in names
            }
        except OSError as error:
            self._stack.close()
            raise WrongUsage(f"Can't write into {path} ({error.strerror or error}): choose another --out.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _writing(self.path):
            self._stack.close()

    def write(self, name: str, records: Iterable[Any]) -> None:
        """Append records to the file of this list of an Effects. Raises JobFailed if the disk refuses."""
        self.write_lines(f"{TOPICS[name]}.jsonl", map(msgspec.json.Encoder().encode, records))

    def write_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Append lines to the file of this name. Raises JobFailed if the disk refuses."""
        with _writing(self.path / name):
            self._files[name].writelines(line + b"\n" for line in lines)

    def write_text(self, name: str, text: str) -> None:
        """Write a whole file. Raises JobFailed if the disk refuses."""
        with _writing(self.path / name):
            (self.path / name).write_text(text, encoding="utf-8")

    def take(self, effects: Effects) -> None:
        """Append everything an Effects holds."""
        for name in TOPICS:
            if records := getattr(effects, name, None):
                self.write(name, records)

    def finish(self, state: bytes, definitions: str, mapping: str) -> None:
        """Write the texts the state belongs to, then the state. Raises JobFailed if the disk refuses."""
        for name, file in self._files.items():
            with _writing(self.path / name):
                file.flush()
        self.write_text(DEFINITIONS, definitions)
        self.write_text(MAPPING, mapping)
        with _writing(self.path / STATE):
            (self.path / STATE).write_bytes(state)


def _spare(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write over what is still to be read, by whatever name it goes."""
    written = {(output.stat().st_dev, output.stat().st_ino): output for output in outputs if output.exists()}
    for read in inputs:
        if read.exists() and (output := written.get((read.stat().st_dev, read.stat().st_ino))):
            raise WrongUsage(f"{read} is read, and {output} would be written over it: choose another --out.")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JobFailed(
            f"Writing {path} failed: {error.strerror or error}; make room, or choose another --out."
        ) from error
