"""The population learns from observations alone, goes on exactly where it stopped, and tells what it decided."""

import json
from typing import Any

import numpy as np
import pytest

from tests.learning.people import DAY_MS, KINDS, START_MS, Kind, observations
from worker.learning.pieces import BYTES_MAX, cut, joined
from worker.learning.population import Population


def learnt(weeks: int, users: int = 300, **options: Any) -> Population:
    """A population that has seen so many weeks."""
    population = Population(["spend_365d"], clusters=True)
    for observation in observations(users, weeks, **options):
        population.observe(observation)
    return population


def test_a_snapshot_has_clusters_quantiles_and_references_of_plain_finite_numbers() -> None:
    """After four weeks: a card per cluster, 101 ascending quantiles, shares that sum to 1; all of it JSON."""
    found = json.loads(json.dumps(learnt(4).snapshot_parts(), allow_nan=False))
    clusters = found["clusters"]
    assert len(clusters["names"]) == len(clusters["centres"]) == 3
    assert set(clusters["cards"]) == set(clusters["names"])
    assert sum(card["size"] for card in clusters["cards"].values()) == pytest.approx(1)
    assert all(len(centre) == len(clusters["inputs"]) for centre in clusters["centres"])
    assert len(found["quantiles"]["spend_365d"]) == 101
    assert found["quantiles"]["spend_365d"] == sorted(found["quantiles"]["spend_365d"])
    assert found["quantiles"]["spend_365d"][:50] == [0.0] * 50
    assert "views_7d" in found["reference"]
    for reference in found["reference"].values():
        assert sum(reference["shares"]) == pytest.approx(1)
        assert len(reference["shares"]) == len(reference["edges"]) + 1


def test_a_centre_in_the_features_own_units_is_what_its_users_do() -> None:
    """Those who look: about sixty views in 90 days and hardly an order."""
    cards = learnt(3).snapshot_parts()["clusters"]["cards"].values()
    lookers = max(cards, key=lambda card: card["centre"]["views_90d"])
    assert 50 < lookers["centre"]["views_90d"] < 70
    assert lookers["centre"]["orders_365d"] < 0.5
    strongest = [abs(entry["deviations"]) for entry in lookers["different"]]
    assert strongest == sorted(strongest, reverse=True)


@pytest.mark.parametrize("stop", [10, 301, 777, 1_100])
def test_resuming_from_parts_equals_learning_in_one_go(stop: int) -> None:
    """Stopped anywhere: the same parts, to the byte, and the same snapshot at the end."""
    stream = list(observations(300, 5))
    whole, first = Population(["spend_365d"], True), Population(["spend_365d"], True)
    for observation in stream:
        whole.observe(observation)
    for observation in stream[:stop]:
        first.observe(observation)
    resumed = Population(["spend_365d"], True, parts=first.parts())
    for observation in stream[stop:]:
        resumed.observe(observation)
    assert resumed.parts() == whole.parts()
    assert resumed.snapshot_parts() == whole.snapshot_parts()
    assert resumed.decisions() == whole.decisions()


def test_asking_changes_nothing_but_what_is_news() -> None:
    """Snapshots, figures and parts asked for at every step: clusters, quantiles and references are as without."""
    asked, unasked = Population(["spend_365d"], True), Population(["spend_365d"], True)
    for place, observation in enumerate(observations(300, 3)):
        asked.observe(observation)
        unasked.observe(observation)
        if place % 50 == 0:
            assert asked.has_news() in (True, False)
            asked.snapshot_parts()
            asked.figures()
            asked.parts()
    assert asked._clusters is not None
    assert unasked._clusters is not None
    assert asked._clusters.packed() == unasked._clusters.packed()
    for name in ("quantiles", "reference"):
        assert asked.snapshot_parts()[name] == unasked.snapshot_parts()[name]


def test_centres_stay_published_where_they_were_until_one_has_moved() -> None:
    """Other news is published on a quiet day: the same centres, though learning goes on. When one has gone further than
    a tenth of a standard deviation, today's are.
    """
    population = learnt(3)
    first = population.snapshot_parts()["clusters"]["centres"]
    quiet, loud = observations(300, 1, first_week=3), observations(300, 3, first_week=3, table=(KINDS[1],) * 3)
    for observation, _ in zip(quiet, range(40), strict=False):
        population.observe(observation)
    assert population._clusters is not None
    assert population._clusters.centres.tolist() != first
    assert population.snapshot_parts()["clusters"]["centres"] == first
    for observation in loud:
        population.observe(observation)
    assert population.snapshot_parts()["clusters"]["centres"] == population._clusters.centres.tolist() != first


def test_there_is_news_when_something_can_be_said_and_none_while_it_stays_the_same() -> None:
    """Nothing before the first observation; then quantiles; none right after a snapshot, nor a quiet week later."""
    population = Population(["spend_365d"], True)
    assert not population.has_news()
    stream = list(observations(300, 6))
    population.observe(stream[0])
    assert population.has_news()
    for observation in stream[:1_500]:
        population.observe(observation)
    population.snapshot_parts()
    assert not population.has_news()
    for observation in stream[1_500:1_540]:
        population.observe(observation)
    assert not population.has_news()


def test_a_change_of_everybodys_ways_leads_to_an_alarm_a_refit_and_silence() -> None:
    """All buy three times as much from week 16 on: alarms, a refit a week later, then it is the new normal."""
    population = learnt(16)
    assert [record for record in population.decisions() if record["kind"] == "alarm"] == []
    more = tuple(kind._replace(orders=3 * kind.orders + 3) for kind in KINDS)
    for observation in observations(300, 6, first_week=16, table=more):
        population.observe(observation)
    decisions = population.decisions()
    alarms = [record for record in decisions if record["kind"] == "alarm" and record["name"] == "orders_90d"]
    refits = [record for record in decisions if record["kind"] == "refit"]
    assert len(alarms) == 1
    assert alarms[0]["value"] > alarms[0]["limit"]
    assert (alarms[0]["at_ms"] - START_MS) / DAY_MS - 16 * 7 < 7
    assert len(refits) == 1
    assert 6 <= (refits[0]["at_ms"] - alarms[0]["at_ms"]) / DAY_MS <= 8
    counted = {tuple(each.labels.values()): each.value for each in population.figures() if each.name == "drift_alarms"}
    assert counted[alarms[0]["what"], "orders_90d"] == 1.0


def test_a_new_kind_of_users_becomes_a_cluster_and_the_others_keep_their_names() -> None:
    """A fourth kind from week 16 on: found by the refit that its alarm leads to."""
    population = learnt(16)
    names = set(population.snapshot_parts()["clusters"]["names"])
    table = (*KINDS, Kind(views=200.0, orders=40.0, adds_per_view=0.6, evening=0.95))
    for observation in observations(400, 4, first_week=16, table=table):
        population.observe(observation)
    after = population.snapshot_parts()["clusters"]["names"]
    assert len(after) == 4
    assert len(names & set(after)) >= 2


def test_a_card_tells_how_a_clusters_share_has_changed_within_a_week() -> None:
    """A quarter more of one kind in the last week: its card says by how much it grew, the others shrank."""
    population = learnt(3)
    assert all(abs(card["trend"]) < 0.02 for card in population.snapshot_parts()["clusters"]["cards"].values())
    for observation in observations(300, 1, first_week=3, table=(*KINDS, KINDS[0])):
        population.observe(observation)
    trends = sorted(card["trend"] for card in population.snapshot_parts()["clusters"]["cards"].values())
    assert trends[-1] > 0.05
    assert trends[0] < 0


def test_observations_a_week_behind_are_too_late() -> None:
    """They change nothing at all."""
    population, stream = learnt(3), list(observations(300, 1))
    before = population.parts()
    for observation in stream:
        population.observe(observation)
    assert population.parts() == before


def test_what_definitions_no_longer_rank_by_is_forgotten_and_new_columns_fill() -> None:
    """Resumed with another list: the one that stayed keeps its quantiles, the new one has none yet."""
    parts = learnt(3).parts()
    stays = Population(["views_90d", "spend_365d"], True, parts=parts)
    assert stays.snapshot_parts()["quantiles"] == learnt(3).snapshot_parts()["quantiles"]
    assert Population([], False, parts=parts).snapshot_parts()["quantiles"] == {}
    assert Population([], False, parts=parts).snapshot_parts()["clusters"] is None


def test_a_few_users_are_no_crowd() -> None:
    """Below two hundred there are quantiles, and neither clusters nor references."""
    found = learnt(4, users=60).snapshot_parts()
    assert found["clusters"] is None
    assert found["reference"] == {}
    assert len(found["quantiles"]["spend_365d"]) == 101


def test_null_features_are_no_trouble() -> None:
    """Every second user lacks every value that can lack."""
    population = Population(["time_since_order"], True)
    for place, observation in enumerate(observations(300, 4)):
        features = np.where(place % 2, np.nan, observation.features)
        population.observe(observation._replace(features=features, ranked={"time_since_order": np.nan}))
    json.dumps(population.snapshot_parts(), allow_nan=False)
    assert "time_since_order" not in population.snapshot_parts()["quantiles"]


def test_parts_fit_a_record_and_pieces_of_before_are_left() -> None:
    """Large content is cut at the limit; of a shorter successor the pieces that were left over aren't read."""
    long, short = cut("it", [b"x" * 2_000_000]), cut("it", [b"y"])
    assert max(map(len, long.values())) == BYTES_MAX
    assert joined("it", {**long, **short}) == [b"y"]
    assert joined("it", long) == [b"x" * 2_000_000]
    assert joined("other", long) is None
    with pytest.raises(ValueError, match="a piece of it is missing"):
        joined("it", {name: piece for name, piece in long.items() if name != "it/1"})
