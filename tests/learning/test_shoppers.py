"""The simulated shop's types of shoppers, known to nobody but the simulator, come out as clusters."""

from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.support.pair import MAPPING, checked_of
from worker.core.engine import Engine
from worker.learning.inputs import Observation, observation_of
from worker.learning.kmeans import nearest
from worker.learning.population import Population
from worker.simulate.shop import Settings
from worker.simulate.stream import Simulation
from worker.simulate.truth import type_of

DEFINITIONS = {"version": 1, "segments": [{"id": "behaviour", "clusters": True}]}
SHOP = Settings(users=500, days=100, seed=5, late=0.0, duplicates=0.0, malformed=0.0)


@pytest.fixture(scope="module")
def seen() -> tuple[list[Observation], dict[str, Any]]:
    """What the engine observes in a hundred days of a shop, and the truth about it."""
    simulation, engine = Simulation(SHOP), Engine(checked_of(DEFINITIONS), MAPPING, clock="event")
    found: list[Observation] = []
    offset = 0
    for batch in simulation.batches():
        offsets = range(offset, offset + len(batch.payloads))
        effects = engine.step(batch.payloads, offsets, wall_ms=0)
        found += [observation_of(msgspec.to_builtins(each)) for each in effects.observations]
        offset += len(batch.payloads)
    return found, simulation.truth()


def test_types_of_shoppers_are_recovered(seen: tuple[list[Observation], dict[str, Any]]) -> None:
    """Adjusted Rand index between types and clusters of those seen in the last week: above 0.5 (measured: 0.7)."""
    observations, truth = seen
    population = Population([], clusters=True)
    for observation in observations:
        population.observe(observation)
    newest = {
        each.user_id: each for each in observations if each.observed_ms > observations[-1].observed_ms - 7 * 86_400_000
    }
    clusters = population._clusters
    assert clusters is not None
    rows = np.array([each.features for each in newest.values()])
    labels = nearest(clusters.preparation.apply(rows), clusters.centres)
    assert adjusted_rand_score([type_of(truth, user_id) for user_id in newest], labels) > 0.5


def test_a_shop_in_which_nothing_happens_gives_no_alarm_of_means(
    seen: tuple[list[Observation], dict[str, Any]],
) -> None:
    """Its users grow older and some leave, as they always did: no mean jumps."""
    population = Population([], clusters=True)
    for observation in seen[0]:
        population.observe(observation)
    alarms = [record for record in population.decisions() if record["kind"] == "alarm"]
    assert [record for record in alarms if record["what"] == "mean"] == []
