"""The benchmark of drift on tiny shops: what it says, not how often anything cries."""

from worker.bench.drift import Shop, table
from worker.language.observed import OBSERVED


def test_the_table_has_a_line_per_shop_and_per_change() -> None:
    """Alarms of one shop over two weeks, then three sizes of change."""
    lines = list(table(shops=((220, 14),)))
    assert lines[2].split()[:2] == ["220", "14"]
    assert [line.split()[1] for line in lines[5:]] == ["0.3", "0.5", "1.0"]


def test_a_shop_observes_each_of_its_users_once_a_week() -> None:
    """Fifty users, three weeks: every one three times, in order of time, with every feature."""
    found = list(Shop(50, seed=1).observations(7, 21))
    assert len(found) == len({each.id for each in found}) == 150
    assert [each.observed_ms for each in found] == sorted(each.observed_ms for each in found)
    assert all(len(each.features) == len(OBSERVED) for each in found)
