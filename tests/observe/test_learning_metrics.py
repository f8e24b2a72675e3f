"""What the trainer shows of its learning: every figure that there is, and nothing that isn't."""

from tests.learning.people import observations
from tests.learning.support import learning, stream
from worker.learning.population import Population
from worker.observe.learning import LearnerMetrics


def test_every_figure_that_the_learning_gives_is_shown() -> None:
    """Of targets, with thresholds, and of the population: each with its labels and its value."""
    known, population = learning(purchase=[0.5]), Population(["spend_365d"], clusters=True)
    for sample in stream(1, 1_500, a_day=100):
        known.learn(sample)
    for observation in observations(300, 6):
        population.observe(observation)
    figures = [*known.figures(), *population.figures()]
    assert {figure.name for figure in figures} >= {"auc", "evidence", "precision", "feature_psi", "cluster_share"}
    metrics = LearnerMetrics()
    metrics.learnt({}, None, figures)
    shown = [sample for family in metrics.registry.collect() for sample in family.samples]
    missing = [f for f in figures if not any(s.labels == f.labels and s.value == f.value for s in shown)]
    assert missing == []
