"""What the learning benchmark learns on: data sets found by their files' names, or a simulated shop.

A set is events in order of time, the targets to learn and how often a batch model is refitted. Files are read as
`shoal replay` reads them; what isn't in order of time is put in order first, as it once arrived.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from worker.errors import WrongUsage
from worker.files import configuration
from worker.files.configuration import Configuration
from worker.files.source import Source
from worker.language import definitions
from worker.simulate.shop import Settings
from worker.simulate.stream import Simulation

__all__ = ["DataSet", "found", "simulated"]

Data = dict[str, Any]
MAPPINGS: Final = Path(__file__).parent / "sets"


@dataclass(frozen=True)
class Target:
    """What is to be foretold."""

    id: str
    positive: str
    horizon: str


@dataclass(frozen=True)
class Known:
    """A data set that is known by its file's name: `stem` begins it."""

    name: str
    stem: str
    mapping: str
    targets: tuple[Target, ...]
    ranked: str
    refit_days: int = 7


SETS: Final = (
    Known(
        "Online Retail", "online_retail", "online_retail",
        (Target("order_30d", "order", "30d"), Target("silence_60d", "silence", "60d")), "spend_total",
    ),
    Known("Taobao", "taobao", str(MAPPINGS / "taobao.yaml"), (Target("buy_1d", "order", "1d"),), "orders_total", 1),
    Known(
        "Retentioneering", "SYNTHETIC_retentioneering", str(MAPPINGS / "retentioneering.yaml"),
        (Target("purchase_7d", "order", "7d"),), "orders_total",
    ),
)  # fmt: skip
SIMULATED: Final = Known(
    "Simulated shop", "", "segment",
    (Target("purchase_7d", "order", "7d"), Target("silence_30d", "silence", "30d")), "spend_total",
)  # fmt: skip


@dataclass(frozen=True)
class DataSet:
    """Events in order of time, under definitions that have everything learnt from them; `types` are known of a shop."""

    known: Known
    under: Configuration
    payloads: list[bytes]
    truth: Data | None = None


def found(folder: Path) -> list[DataSet]:
    """Return every known set that a folder has a file of. Raises WrongUsage if there is none."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    pairs = [(known, file) for known in SETS for file in files if file.name.startswith(known.stem)]
    if not pairs:
        stems = ", ".join(f"{known.stem}*" for known in SETS)
        raise WrongUsage(f"There is no file {stems} in {folder}: name another folder with --data, or leave it out.")
    return [_read(known, file) for known, file in pairs]


def simulated(settings: Settings) -> DataSet:
    """Return a shop of our own, whose shoppers' types are known."""
    shop = Simulation(settings)
    payloads = [payload for batch in shop.batches() for payload in batch.payloads]
    return DataSet(SIMULATED, _under(SIMULATED), payloads, shop.truth())


def _read(known: Known, file: Path) -> DataSet:
    under = _under(known)
    source = Source([file], under.columns)
    payloads = [payload for batch, _ in source.batches(10_000) for payload in batch]
    return DataSet(known, under, sorted(payloads, key=_time))


def _time(payload: bytes) -> str:
    """Return when an event of a table was: RFC 3339 in UTC, so that texts stand as the instants do."""
    return str(msgspec.json.decode(payload)["timestamp"])


def _under(known: Known) -> Configuration:
    shipped = configuration.load(None, known.mapping)
    text = "\n".join(_lines(known))
    return Configuration(
        text, shipped.mapping_text, definitions.load(text, shipped.mapping), shipped.mapping, shipped.columns
    )


def _lines(known: Known) -> Iterator[str]:
    """Yield definitions that read a probability of each target, clusters and a percentile."""
    yield "version: 1"
    yield "segments:"
    for target in known.targets:
        yield f'  - {{id: likely_{target.id}, enter: probability("{target.id}") >= 0.5}}'
    yield "  - {id: behaviour, clusters: true}"
    yield f'  - {{id: top, enter: percentile("{known.ranked}") >= 0.9}}'
    yield "targets:"
    for target in known.targets:
        yield f"  - {{id: {target.id}, positive: {target.positive}, horizon: {target.horizon}}}"
