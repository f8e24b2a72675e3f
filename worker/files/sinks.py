"""The output folder: a file of JSON lines per topic, the state, and what is needed to read the state again.

    segment-changes.jsonl  memberships.jsonl  campaign-decisions.jsonl  campaign-triggers.jsonl  conversions.jsonl
    training-samples.jsonl  models.jsonl  dead-letters.jsonl  state.shoal  definitions.yaml  mapping.yaml

Every file is there after a run, empty or not. The state comes last: a folder with a `state.shoal` is finished.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from worker.core.records import Effects
from worker.errors import JobFailed, WrongUsage

STATE = "state.shoal"
DEFINITIONS = "definitions.yaml"
MAPPING = "mapping.yaml"

# Which list of an Effects goes into which file. The learning topics have no list yet, and their files stay empty.
TOPICS = {
    "transitions": "segment-changes",
    "memberships": "memberships",
    "decisions": "campaign-decisions",
    "triggers": "campaign-triggers",
    "conversions": "conversions",
    "samples": "training-samples",
    "models": "models",
    "dead_letters": "dead-letters",
}


class Folder:
    """An output folder being written. Use it in a `with`; leaving that closes the files."""

    def __init__(self, path: Path) -> None:
        """Make the folder and empty its files. Raises WrongUsage if it can't be written."""
        self.path = path
        self._stack = ExitStack()
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / STATE).unlink(missing_ok=True)
            self._files: dict[str, IO[bytes]] = {
                name: self._stack.enter_context((path / f"{topic}.jsonl").open("wb")) for name, topic in TOPICS.items()
            }
        except OSError as error:
            self._stack.close()
            raise WrongUsage(f"Can't write into {path} ({error.strerror or error}): choose another --out.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def write(self, name: str, records: Iterable[Any]) -> None:
        """Append records to the file of this list of an Effects. Raises JobFailed if the disk refuses."""
        encode = msgspec.json.Encoder().encode
        try:
            self._files[name].writelines(encode(record) + b"\n" for record in records)
        except OSError as error:
            raise JobFailed(f"Writing {TOPICS[name]}.jsonl failed: {error.strerror or error}.") from error

    def take(self, effects: Effects) -> None:
        """Append everything an Effects holds."""
        for name in TOPICS:
            if records := getattr(effects, name, None):
                self.write(name, records)

    def finish(self, state: bytes, definitions: str, mapping: str) -> None:
        """Write the texts the state belongs to, then the state. Raises JobFailed if the disk refuses."""
        try:
            for file in self._files.values():
                file.flush()
            (self.path / DEFINITIONS).write_text(definitions, encoding="utf-8")
            (self.path / MAPPING).write_text(mapping, encoding="utf-8")
            (self.path / STATE).write_bytes(state)
        except OSError as error:
            raise JobFailed(f"Writing the state into {self.path} failed: {error.strerror or error}.") from error
