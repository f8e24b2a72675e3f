"""What the trainer shows of its learning: every figure that there is, and nothing that isn't."""

from tests.learning.people import observations
from tests.learning.support import stream, wanting
from worker.learning.learning import Learning
from worker.learning.population import Population
from worker.observe.learning import LearnerMetrics


def test_every_figure_that_the_learning_gives_is_shown() -> None:
    """Of targets, with thresholds, and of the population: each with its labels and its value."""
    known = Learning(wanting()._replace(traits=["country"], thresholds={"purchase": [0.5]}))
    population = Population(["spend_365d"], clusters=True)
    for sample in stream(1, 1_500, a_day=100):
        known.learn(sample._replace(probability=0.75, traits={"country": "DE"}))
    for observation in observations(300, 6):
        population.observe(observation)
    figures = [*known.figures(), *population.figures()]
    names = {figure.name for figure in figures}
    assert names >= {"auc", "evidence", "precision", "feature_psi", "cluster_share"}
    assert names >= {"trait_calibration", "trait_selection_rate", "trait_precision"}
    metrics = LearnerMetrics()
    metrics.learnt({}, None, figures)
    shown = [sample for family in metrics.registry.collect() for sample in family.samples]
    missing = [f for f in figures if not any(s.labels == f.labels and s.value == f.value for s in shown)]
    assert missing == []
