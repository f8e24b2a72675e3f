"""Engine and twin on what hypothesis makes up: any definitions, any log, cut, restarted and changed anywhere.

A failing example is shrunk and printed with the seed it all follows from.
"""

import random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.core.support import ALL, Log, Scenario, tidied
from tests.support import random_definitions
from tests.support.pair import Pair
from tests.support.streams import DAY_MS, Settings

thorough = settings(max_examples=60)


@st.composite
def stream_settings(draw: st.DrawFn) -> Settings:
    """How unkind the log is."""
    return Settings(
        users=draw(st.integers(1, 6)),
        hot=draw(st.sampled_from((0.0, 0.9))),
        late=draw(st.sampled_from((0.0, 0.2, 0.8))),
        malformed=draw(st.sampled_from((0.0, 0.05))),
        duplicate=draw(st.sampled_from((0.0, 0.1, 0.4))),
        border=draw(st.sampled_from((0.0, 0.12, 0.6))),
    )


@thorough
@given(
    seed=st.integers(0, 2**32),
    events=st.integers(2, 120),
    clock=st.sampled_from(("event", "wall")),
    size=st.sampled_from((ALL, 7, 1, 0)),
    versions=st.integers(0, 1),
    new_reads=st.booleans(),
    restarts=st.sampled_from((0.0, 0.5)),
    settings=stream_settings(),
)
def test_engine_equals_twin_on_any_log(
    seed: int, events: int, clock: str, size: int, versions: int, new_reads: bool, restarts: float, settings: Settings
) -> None:
    """Whatever the log, the definitions, the cut, the version and the restarts: the twin's records."""
    scenario = Scenario(seed, clock, events, versions, new_reads, settings)
    note(f"seed {seed}: {scenario}")
    scenario.drive(scenario.pair(), size, restarts).assert_equal()


@thorough
@given(rng=st.randoms(use_true_random=False), segments=st.integers(1, 3), events=st.integers(1, 12))
def test_engine_equals_twin_on_small_logs_choice_by_choice(rng: random.Random, segments: int, events: int) -> None:
    """Every choice in a small log and its definitions is hypothesis's own and can be shrunk: the twin's records."""
    definitions = tidied(random_definitions.definitions(rng, segments=segments, campaigns=1, model=False))
    pair = Pair(definitions)
    pair.step(Log(rng, Settings(users=2, malformed=0.0)).make(events))
    pair.tick((pair.twin.clock or 0) + 40 * DAY_MS)
    pair.assert_equal()
