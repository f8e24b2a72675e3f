"""The learning forgets a user: what is held of her goes, what was learnt of many stays, and nobody else's goes."""

import hashlib

import numpy as np

from tests.learning.support import DAY, HORIZON, START, features_of, sample, wanting
from worker.learning.inputs import Observation
from worker.learning.learning import Learning
from worker.learning.panel import HASHES, SIZE, Panel

WANTED = wanting()._replace(traits=["country"], clusters=True)
FEATURES = features_of(np.random.default_rng(1))
HERS, OTHERS = "zanzibar", "DE"


def id_of(user: str, what: str, at_ms: int) -> str:
    """The id of a user's sample of a target, or of her observation."""
    return hashlib.sha256(f"{user}\x1f{what}\x1f{at_ms}".encode()).hexdigest()[:32]


def of_her(what: str, at_ms: int) -> str:
    """The ids by which she is found."""
    return id_of("her", what, at_ms)


def taught(parts: dict[str, bytes] | None = None) -> Learning:
    """Two users' samples of long ago and of today, with live scores, and their observations."""
    learning = Learning(WANTED, parts=parts)
    for user, country in (("her", HERS), ("other", OTHERS)):
        for at_ms in (START, START + HORIZON + DAY):
            made = sample(1, at_ms, 1, FEATURES, traits={"country": country}, probability=0.5)
            learning.learn(made._replace(id=id_of(user, "purchase", at_ms)))
        seen_ms = START + HORIZON + DAY
        learning.observe(Observation(id_of(user, "observation", seen_ms), user, seen_ms, FEATURES, {}))
    return learning


def test_what_is_held_of_a_user_goes() -> None:
    """Her waiting sample, her live score with its traits, her observation: three; and not a text of hers is stored."""
    learning = taught()
    assert any(HERS.encode() in part for part in learning.parts().values())
    assert learning.forget(of_her) == 3
    assert learning.forget(of_her) == 0
    stored = learning.parts()
    assert not any(HERS.encode() in part for part in stored.values())
    assert any(OTHERS.encode() in part for part in stored.values())
    resumed = Learning(WANTED, parts=stored)
    assert resumed.parts() == stored
    assert resumed.forget(lambda what, at_ms: id_of("other", what, at_ms)) == 3


def test_a_user_who_is_not_there_takes_nobody_along() -> None:
    """Nothing is dropped, and what is stored is as it was."""
    learning = taught()
    before = learning.parts()
    assert learning.forget(lambda what, at_ms: id_of("nobody", what, at_ms)) == 0
    assert learning.parts() == before


def test_a_full_week_stays_a_uniform_sample_when_somebody_goes() -> None:
    """Whoever was too many doesn't come back, now or after a restart: the limit stays where it was."""
    panel = Panel(1)
    for number in range(SIZE + 50):
        panel.add(number * (HASHES // (SIZE + 50)), START, np.array([1.0]))
    (week,) = panel.weeks.values()
    limit, gone = week.limit, next(iter(week.rows))
    assert panel.forget(lambda _: gone) == 1
    resumed = Panel.unpacked(panel.packed(), [0], 1)
    for kept in (panel, resumed):
        (week,) = kept.weeks.values()
        assert (week.limit, len(week.rows)) == (limit, SIZE - 1)
