"""The two texts a job is run under, definitions and mapping, read from files with their mistakes told in full."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.errors import WrongUsage
from worker.files import columns
from worker.files.columns import Columns
from worker.language import definitions
from worker.language.definitions import Checked, DefinitionsError
from worker.language.mapping import SHIPPED as SHIPPED_MAPPING
from worker.language.mapping import Mapping

__all__ = ["SHIPPED_DEFINITIONS", "Configuration", "checked", "load", "text_of"]

SHIPPED_DEFINITIONS = Path(__file__).parent / "definitions" / "demo.yaml"


@dataclass(frozen=True)
class Configuration:
    """Definitions and mapping of events, checked, with their texts; the mapping of columns, for tables; their files."""

    definitions_text: str
    mapping_text: str
    checked: Checked
    mapping: Mapping
    columns: Columns | None = None
    files: tuple[Path, ...] = ()


def load(definitions_path: Path | None = None, mapping_name: str | None = None) -> Configuration:
    """Read and check both. Without a path the demo's definitions, without a name the shipped mapping of events.

    A mapping file is one of columns if it has `columns`, and then its events go through the shipped mapping of events.

    Raises:
        WrongUsage: a file is missing or has mistakes; the message has them all, a line each.
    """
    file = columns.find(mapping_name) if mapping_name else SHIPPED_MAPPING
    files = (file, definitions_path or SHIPPED_DEFINITIONS)
    mapping_text = text_of(file)
    of_columns = None
    if file != SHIPPED_MAPPING:
        with _mistakes_of(file):
            of_columns = columns.load(mapping_text)
    if of_columns is not None:
        file, mapping_text = SHIPPED_MAPPING, text_of(SHIPPED_MAPPING)
    under = checked(text_of(files[1]), mapping_text, definitions_path, file)
    return dataclasses.replace(under, columns=of_columns, files=files)


def checked(
    text: str,
    mapping_text: str,
    name: Path | None = None,
    mapping_name: Path | None = None,
) -> Configuration:
    """The configuration of two texts, which are those of the named files. Raises WrongUsage as `load`."""
    with _mistakes_of(mapping_name or "the mapping"):
        mapping = Mapping.parse(mapping_text)
    with _mistakes_of(name or "the definitions"):
        return Configuration(text, mapping_text, definitions.load(text, mapping), mapping)


@contextmanager
def _mistakes_of(file: Path | str) -> Iterator[None]:
    """Tells mistakes as wrong usage: every one on its own line with the file, then what to do."""
    try:
        yield
    except DefinitionsError as error:
        count = len(error.mistakes)
        mistakes = "1 mistake" if count == 1 else f"{count} mistakes"
        told = [f"{file}, {mistake}" for mistake in error.mistakes]
        raise WrongUsage("\n".join([*told, f"{file} has {mistakes}: correct the lines named above."])) from error


def text_of(path: Path) -> str:
    """A file's text. Raises WrongUsage if it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"Can't read {path}: {error.strerror or error}; check the path.") from error
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path} is not UTF-8 text: save it as UTF-8.") from error
