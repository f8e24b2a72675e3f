"""The same settings give the same bytes, wherever and however they are run."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulate.shops import Shop, run
from worker.simulate.files import write_jsonl
from worker.simulate.shop import Settings
from worker.simulate.stream import Simulation

OPTIONS: dict[str, Any] = {"users": 100, "days": 3, "seed": 42}
SCRIPT = """
import hashlib
from worker.simulate.shop import Settings
from worker.simulate.stream import Simulation
digest = hashlib.sha256()
for batch in Simulation(Settings(users=100, days=3, seed=42)).batches():
    for payload in batch.payloads:
        digest.update(payload + b"\\n")
print(digest.hexdigest())
"""


def digest_of(shop: Shop) -> str:
    """SHA-256 of the lines."""
    return hashlib.sha256(b"".join(payload + b"\n" for payload in shop.payloads)).hexdigest()


def test_another_process_writes_the_same_bytes() -> None:
    """With another hash seed, zone and working environment too."""
    environment = {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo", "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == digest_of(run(**OPTIONS))


def test_the_bytes_are_those_of_the_day_this_was_written() -> None:
    """A seed means the same shop on every day; whoever changes the shop on purpose changes this line."""
    assert digest_of(run(**OPTIONS)) == "d7d455b9bbc9b05713d360dccb75834714d272e5e91f0c82397696c34a94eb9c"


def test_another_seed_is_another_shop() -> None:
    """No payload is shared."""
    one, other = run(**OPTIONS), run(**OPTIONS | {"seed": 43})
    assert not set(one.payloads) & set(other.payloads)


def test_the_length_of_a_slice_changes_nothing() -> None:
    """Not even the order, with an incident and faults about."""
    options = OPTIONS | {"late": 0.1, "duplicates": 0.1, "incidents": [{"kind": "backlog", "day": 1}]}
    hourly, fine = run(**options, slice_minutes=60), run(**options, slice_minutes=5)
    assert hourly.payloads == fine.payloads
    assert hourly.arrivals_ms == fine.arrivals_ms


def test_compressed_files_have_no_clock_in_them(tmp_path: Path) -> None:
    """Written twice, under two names, a .gz and a .zst are the same bytes each."""
    for ending in ("gz", "zst"):
        written = []
        for name in ("one", "other"):
            path = tmp_path / f"{name}.{ending}"
            write_jsonl(Simulation(Settings(users=20, days=1)), path)
            written.append(path.read_bytes())
        assert written[0] == written[1]
