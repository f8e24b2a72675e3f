"""`shoal bench peers`: Shoal beside other stream processors, the same job on the same topic of one broker.

The others live in `tests/bench/peers`, where they are built, run and judged; so this works from a checkout only.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from worker.bench.peers_report import as_table
from worker.errors import WrongUsage

__all__ = ["as_table", "run"]

Data = dict[str, Any]

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PEERS: Final = "tests.bench.peers.run"


def run(events: int, say: Callable[[str], object], checkout: Path = CHECKOUT) -> Data:
    """Measure all peers on so many events, on a broker of their own; `say` is told what is being measured.

    Returns what `measure` in `tests/bench/peers/run.py` does.

    Raises:
        JobFailed: a peer can't be had here, ended or stood still.
        WrongUsage: this isn't a checkout, or Java or Maven is missing.
    """
    if not (checkout / PEERS.replace(".", "/")).with_suffix(".py").exists():
        raise WrongUsage("The peers are no part of what is installed: run shoal bench peers from a checkout of Shoal.")
    sys.path.insert(0, str(checkout))
    result: Data = import_module(PEERS).measure(None, events, say=say)
    return result
