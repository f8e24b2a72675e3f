"""The pass is plain arithmetic: the same outputs and state, byte by byte, compiled or not, in any process, any day.

Other processes have another hash seed, another time zone and another locale. States go across: what compiled code
saved, interpreted code goes on with, and the other way round.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.core.support import Scenario
from tests.support.pair import MAPPING, checked_of, on_the_wire
from worker.core.compiled import _forget_old
from worker.core.engine import Engine
from worker.core.records import Effects

ROOT = Path(__file__).parents[2]
SEEDS = (21, 22, 23)
HALF, WHOLE = 150, 300
TOLD = ("transitions", "decisions", "triggers", "conversions", "messages", "dead_letters", "repaired_counts")
COMMAND = "import sys; from tests.core.test_compiled import transcript; transcript(*sys.argv[1:])"


def part(seed: int, first: int, last: int, state: bytes | None = None, wall_ms: int = 0) -> tuple[list[Any], bytes]:
    """What an engine tells of a part of a scenario, and its state after that; it begins with `state`."""
    scenario = Scenario(seed, events=WHOLE)
    model = scenario.pair().model
    checked = checked_of(scenario.definitions)
    engine = Engine.from_bytes(state, checked, MAPPING, model) if state else Engine(checked, MAPPING, model=model)
    found: list[Effects] = []
    for place in range(first, last, 30):
        payloads = [record.payload for record in scenario.records[place : place + 30]]
        found.append(engine.step(payloads, place, wall_ms=wall_ms))
    found.append(engine.tick((engine.clock_ms or 0) + 86_400_000, wall_ms=wall_ms))
    return [[on_the_wire(getattr(effects, name)) for name in TOLD] for effects in found], engine.to_bytes()


def transcript(task: str, result: str) -> None:
    """Do what the file `task` says (seed, first, last, state) and write what came of it; for other processes."""
    answers = []
    for seed, first, last, state in json.loads(Path(task).read_text(encoding="utf-8")):
        told, after = part(seed, first, last, base64.b64decode(state))
        answers.append([told, base64.b64encode(after).decode()])
    Path(result).write_text(json.dumps(answers), encoding="utf-8")


def elsewhere(
    folder: Path, tasks: list[tuple[int, int, int, bytes]], **environment: str
) -> list[tuple[list[Any], bytes]]:
    """The same in another process, with another environment."""
    lines = [(seed, first, last, base64.b64encode(state).decode()) for seed, first, last, state in tasks]
    (folder / "task").write_text(json.dumps(lines), encoding="utf-8")
    command = [sys.executable, "-c", COMMAND, str(folder / "task"), str(folder / "result")]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "TZ": "Pacific/Apia", "LC_ALL": "C"} | environment)
    answers = json.loads((folder / "result").read_text(encoding="utf-8"))
    return [(told, base64.b64decode(state)) for told, state in answers]


def as_read(answer: tuple[list[Any], bytes]) -> tuple[list[Any], bytes]:
    """An answer as it is after writing and reading."""
    return json.loads(json.dumps(answer[0])), answer[1]


@pytest.mark.parametrize("jit_disabled", ["0", "1"])
def test_another_process_gives_the_same_bytes_compiled_or_not(tmp_path: Path, jit_disabled: str) -> None:
    """The whole log, and each half with the state carried across: every output and every byte of state is the same."""
    halves = [part(seed, 0, HALF) for seed in SEEDS]
    tasks = [(seed, 0, WHOLE, b"") for seed in SEEDS] + [(seed, 0, HALF, b"") for seed in SEEDS]
    tasks += [(seed, HALF, WHOLE, state) for seed, (_, state) in zip(SEEDS, halves, strict=True)]
    answers = elsewhere(tmp_path, tasks, NUMBA_DISABLE_JIT=jit_disabled, PYTHONHASHSEED="4711")
    mine = [part(*task) for task in tasks]
    assert sum(len(effects[0]) for told, _ in mine for effects in told) > 100
    assert answers == [as_read(answer) for answer in mine]
    for seed, (_, state) in zip(SEEDS, answers[len(SEEDS) : 2 * len(SEEDS)], strict=True):
        assert part(seed, HALF, WHOLE, state)[1] == part(seed, HALF, WHOLE, halves[SEEDS.index(seed)][1])[1]


def test_the_cache_keeps_the_versions_used_last(tmp_path: Path) -> None:
    """Each version of the sources has a folder of machine code; all but the latest few are removed."""
    for number in range(12):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "code").write_bytes(b"")
        os.utime(tmp_path / f"v{number}", (number, number))
    _forget_old(tmp_path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(f"v{number}" for number in range(4, 12))


def without_emission(told: list[Any]) -> list[Any]:
    """What was told without the times of emission."""
    return [
        [
            [{key: value for key, value in record.items() if key != "emitted_at"} for record in records]
            if isinstance(records, list)
            else records
            for records in effects
        ]
        for effects in told
    ]


def test_another_day_changes_nothing_but_emitted_at() -> None:
    """The wall two years on: with the event clock only `emitted_at` is another, and the state is the same."""
    (today, state), (later, state_later) = (part(SEEDS[0], 0, WHOLE, wall_ms=wall) for wall in (0, 63_072_000_000))
    assert state == state_later
    assert today != later
    assert without_emission(today) == without_emission(later)
