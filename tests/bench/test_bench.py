"""The core's benchmark on a tiny plan: what it says, not how fast anything is."""

from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from worker.bench import core, meter, workload
from worker.bench.stream import DAY_MS, START_MS, Stream
from worker.core.decode import Decoder
from worker.core.engine import Engine
from worker.core.interning import Strings, Users
from worker.core.zones import Zones

Data = dict[str, Any]

TINY = core.Plan(
    users_few=20, users=30, users_most=40, events=30, segments=(1,), batches=(7,), twin_events=20, pandas_events=40,
    yardstick_users=10, storm_seconds=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def result() -> Iterator[Data]:
    """The figures of the tiny plan; interpreted, because so few events take less than compiling."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        yield core.run(TINY)


def test_the_four_main_figures_are_positive_numbers(result: Data) -> None:
    """Those that the project reports, at most users and 24 segments."""
    for name in ("cpu_us_per_event", "bytes_per_user", "reevaluate_seconds", "storm_wait_ms_max"):
        assert isinstance(result[name], int | float), name
        assert result[name] > 0 or name == "bytes_per_user", name  # so few users may fit what was there before


def test_the_grid_has_a_row_for_everything_that_is_varied(result: Data) -> None:
    """Users, segments, batches, a hot user: each a row with the same fields, and every event was applied."""
    runs = result["runs"]
    assert {row["users"] for row in runs} == {20, 30, 40}
    assert {row["segments"] for row in runs} == {1, 24}
    assert {row["batch"] for row in runs if row["users"] == 30} >= {7, 10_000}
    assert any("hot" in row["what"] for row in runs)
    assert all(row.keys() == runs[0].keys() for row in runs)
    assert all(row["applied"] == row["events"] > 0 for row in runs)
    assert all(row["evaluations_per_event"] >= 1 for row in runs)


def test_the_split_adds_up_to_the_whole(result: Data) -> None:
    """Decode, pass, records and the rest are the CPU per event, give or take rounding."""
    for row in result["runs"]:
        parts = sum(row[f"{name}_us"] for name in ("decode", "pass", "records", "other"))
        assert parts == pytest.approx(row["cpu_us_per_event"], abs=0.01)


def test_the_yardsticks_ran_on_the_engines_log(result: Data) -> None:
    """The twin and pandas, each with its ratio to the engine on the same events."""
    for name, events in (("twin", 20), ("pandas", 40)):
        assert result["beside"][name]["events"] == events
        assert result["beside"][name]["ratio"] > 0


def test_the_storm_makes_everybody_due(result: Data) -> None:
    """Every user is evaluated at least once in it, and live batches were timed meanwhile."""
    assert result["storm"]["evaluations"] >= 40
    assert result["storm"]["batches"] >= 1
    assert all(row["users"] == 40 for row in result["reevaluation"])


def test_it_says_what_was_measured_on(result: Data) -> None:
    """Enough to compare with another machine, and nothing that names this one."""
    assert result["machine"].keys() == meter.machine().keys()
    assert "node" not in result["machine"]


def test_the_table_tells_the_same_figures(result: Data) -> None:
    """A person sees the four figures with what was wanted, the grid and the yardsticks, uncut on 80 columns."""
    console = Console(width=80, record=True, file=None)
    with console.capture() as capture:
        console.print(core.as_table(result))
    shown = capture.get()
    for expected in (
        f"{result['cpu_us_per_event']:,}",
        "wanted, at most",
        "hot",
        "Storm:",
        "twin:",
        "pandas:",
    ):
        assert expected in shown
    assert "…" not in shown


@pytest.mark.parametrize("segments", [1, 24, 256])
def test_definitions_are_as_large_as_asked(segments: int) -> None:
    """256 is what the contract allows with the tiers counted, which are four more than their groups."""
    data = workload.definitions(segments)
    assert len(data["segments"]) == min(segments, 252)
    assert len(Engine(workload.checked(data), workload.MAPPING, model=workload.snapshot()).members()) >= min(
        segments, 255
    )


def test_the_stream_is_understood_and_the_same_every_time() -> None:
    """Every event is accepted without repair, its times are where they belong, and the seed decides all of it."""
    first, again = (
        [event for batch in (*stream.first(16), *stream.skewed(300, 64)) for event in batch]
        for stream in (Stream(40), Stream(40))
    )
    assert first == again
    assert len(first) == 40 + 300
    definitions = workload.checked(workload.definitions()).definitions
    users = Users()
    batch = Decoder(workload.MAPPING, definitions, users, Strings(), Zones(), event_clock=True).decode(
        first, range(len(first))
    )
    assert (len(batch.records), batch.dead_letters, batch.repaired, len(users)) == (340, [], {}, 40)
    assert batch.records[:, 1].min() >= START_MS - DAY_MS


def test_a_hot_user_has_the_share_she_was_given() -> None:
    """Nine events in ten, or nearly, are hers."""
    events = [event for batch in Stream(1_000).skewed(2_000, 500, hot_share=0.9) for event in batch]
    users = [event.partition(b'"userId":"')[2].partition(b'"')[0] for event in events]
    assert 0.85 < max(users.count(user) for user in set(users)) / len(users) < 0.95
