"""Clusters find the kinds of users there are, follow them, and keep their names."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from river.cluster import KMeans
from sklearn.cluster import KMeans as BatchKMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from tests.learning.people import KINDS, NAMES, Kind, crowd
from worker.language.clauses import reads
from worker.language.observed import expression_of
from worker.learning.behaviour import BEHAVIOUR, Preparation
from worker.learning.clusters import Clusters
from worker.learning.kmeans import FAR, best_fit, distances, fitted, nearest, silhouette
from worker.learning.naming import is_true, kept_names, named, title_of

Rows = NDArray[np.float64]
Kinds = NDArray[np.int64]


def people(users: int, seed: int, table: tuple[Kind, ...] = KINDS) -> tuple[Rows, Kinds]:
    """Users of these kinds in equal numbers, shuffled, and which is which."""
    dice = np.random.default_rng(seed)
    kinds = dice.permutation(np.arange(users) % len(table))
    return crowd(kinds, dice, table), kinds


@pytest.mark.parametrize("seed", range(5))
def test_the_kinds_of_users_are_recovered(seed: int) -> None:
    """Three kinds of users: as many clusters, and nearly every user in that of her kind."""
    rows, kinds = people(900, seed)
    clusters = Clusters.found(rows, per_week=1_000.0)
    assert len(clusters.names) == 3
    assert adjusted_rand_score(kinds, nearest(clusters.preparation.apply(rows), clusters.centres)) > 0.9


def test_a_fit_is_as_good_as_scikit_learns() -> None:
    """The silhouette is the same number, and the squared distances to the centres within two hundredths of its best."""
    rows, _ = people(900, 7)
    prepared = Preparation.fitted(rows).apply(rows)
    for count in (3, 5):
        apart = distances(prepared, fitted(prepared, count))
        labels = apart.argmin(axis=1)
        assert silhouette(distances(prepared, prepared), labels) == pytest.approx(silhouette_score(prepared, labels))
        assert apart.min(axis=1).sum() < 1.02 * BatchKMeans(count, n_init=10, random_state=1).fit(prepared).inertia_


def test_the_same_users_give_the_same_centres() -> None:
    """To the last bit: the draws are seeded."""
    rows, _ = people(400, 8)
    prepared = Preparation.fitted(rows).apply(rows)
    assert np.array_equal(best_fit(prepared).centres, best_fit(prepared).centres)


def test_centres_move_and_users_are_told_apart_as_river_does() -> None:
    """After a thousand users the centres are river's own, and so is every user's cluster."""
    rows, _ = people(1_000, 9)
    clusters = Clusters.found(rows[:300], per_week=500.0)
    theirs = KMeans(n_clusters=len(clusters.names), halflife=clusters.rate)
    theirs.centers = {at: dict(enumerate(centre)) for at, centre in enumerate(clusters.centres.tolist())}
    prepared = clusters.preparation.apply(rows)
    for row, user in zip(rows, prepared, strict=True):
        clusters.learn(row)
        theirs.learn_one(dict(enumerate(np.clip(user, -FAR, FAR).tolist())))
    assert np.array_equal(clusters.centres, [list(centre.values()) for centre in theirs.centers.values()])
    ours = nearest(prepared, clusters.centres).tolist()
    assert ours == [theirs.predict_one(dict(enumerate(user))) for user in prepared.tolist()]


def test_half_of_a_centre_is_renewed_in_two_weeks() -> None:
    """All of one kind change to the same ways: after two weeks' observations the centre has come half the way."""
    rows, kinds = people(900, 10)
    clusters = Clusters.found(rows, per_week=300.0)
    user = rows[kinds == 0][0]
    prepared = clusters.preparation.apply(user[None, :])
    cluster = int(nearest(prepared, clusters.centres)[0])
    way = prepared[0] - clusters.centres[cluster]
    before = clusters.centres[cluster]
    for _ in range(2 * 300 // 3):
        clusters.learn(user)
    assert clusters.centres[cluster] - before == pytest.approx(way / 2, rel=1e-6)


def test_no_cluster_rests_on_what_flows() -> None:
    """A user who does nothing stays where she is: nothing of behaviour is a time, or made of one."""
    for behaviour in BEHAVIOUR:
        read = [each.feature for each in reads(expression_of(behaviour.name))]
        assert read
        assert not [name for name in read if name.startswith("time_since_") or name in {"age", "orders_per_month"}]


def test_names_say_what_sets_a_cluster_apart() -> None:
    """Those who look and don't buy, and those who buy: identifiers, all different, with a title for people."""
    rows, kinds = people(900, 11)
    clusters = Clusters.found(rows, per_week=1_000.0)
    labels = nearest(clusters.preparation.apply(rows), clusters.centres)
    lookers = clusters.names[int(np.bincount(labels[kinds == 0]).argmax())]
    assert "many_views" in lookers
    assert "few_orders" in lookers or "slow_to_the_cart" in lookers or "evenings" in lookers
    assert len(set(clusters.names)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) for name in clusters.names)


def test_names_differ_even_where_nothing_else_does() -> None:
    """Centres in the same place get numbers; one like everybody is usual."""
    names = named(np.zeros((3, len(BEHAVIOUR))))
    assert names == ["usual", "usual_2", "usual_3"]
    much = np.zeros(len(BEHAVIOUR))
    much[0], much[4] = 2.0, -1.0
    assert named(np.stack([much, much]), taken=["many_views_few_orders"]) == [
        "many_views_few_orders_2", "many_views_few_orders_3",
    ]  # fmt: skip
    assert title_of(much) == "Many views, few orders"


def test_names_are_kept_by_the_assignment_that_moves_least() -> None:
    """Shuffled and slightly moved centres keep their names; one that went too far is another cluster."""
    before = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    after = before[[2, 0, 1]] + 0.5
    assert kept_names(before, ["a", "b", "c"], after) == ["c", "a", "b"]
    after[0] = [9.0, 9.0]
    assert kept_names(before, ["a", "b", "c"], after) == [None, "a", "b"]


def test_a_name_that_is_no_longer_true_is_given_up() -> None:
    """Its users came to buy little: a name that says many orders is untrue, wherever else the centre is."""
    centre = np.zeros(len(BEHAVIOUR))
    centre[0], centre[4] = 1.0, 0.5
    assert is_true("many_views_many_orders", centre)
    centre[4] = -0.5
    assert not is_true("many_views_many_orders", centre)
    rows, kinds = people(900, 20)
    clusters = Clusters.found(rows, per_week=1_000.0)
    names = list(clusters.names)
    buyers = int(np.bincount(nearest(clusters.preparation.apply(rows), clusters.centres)[kinds == 1]).argmax())
    assert "many_orders" in names[buyers]
    rows[kinds == 1, NAMES.index("orders_365d")] = 0.0
    for row in np.tile(rows, (4, 1)):
        clusters.learn(row)
    after = clusters.refitted(rows, per_week=1_000.0).clusters.names
    assert names[buyers] not in after
    assert not [name for name in after if "many_orders" in name and name in names]


def test_a_refit_of_the_same_crowd_changes_nothing() -> None:
    """It isn't better, so the live centres and their names go on."""
    clusters = Clusters.found(people(900, 12)[0], per_week=1_000.0)
    before = clusters.centres
    done = clusters.refitted(people(900, 13)[0], per_week=1_000.0)
    assert not done.adopted
    assert done.clusters is clusters
    assert np.array_equal(clusters.centres, before)


def test_a_refit_finds_a_new_kind_and_keeps_the_names_of_the_old_ones() -> None:
    """A fourth kind of users comes: the refit is adopted, and the kinds that were there keep their names."""
    clusters = Clusters.found(people(900, 14)[0], per_week=1_000.0)
    names = set(clusters.names)
    rows, kinds = people(1_200, 15, (*KINDS, Kind(views=150.0, orders=30.0, adds_per_view=0.6, evening=0.9)))
    done = clusters.refitted(rows, per_week=1_000.0)
    assert done.adopted
    assert done.after > done.before
    assert len(names & set(done.clusters.names)) >= 2
    assert set(done.clusters.names) - names
    labels = nearest(done.clusters.preparation.apply(rows), done.clusters.centres)
    assert adjusted_rand_score(kinds, labels) > 0.9


def test_an_alarm_tells_a_centre_that_went_far_and_shares_that_changed() -> None:
    """None while nothing changes; sizes when a kind is gone; the centre when its users have changed their ways."""
    rows, kinds = people(1_500, 16)
    clusters = Clusters.found(rows, per_week=300.0)
    assert clusters.alarms(people(1_500, 17)[0], chance=1e-4) == []
    gone = clusters.alarms(rows[kinds != 2], chance=1e-4)
    assert [alarm.what for alarm in gone] == ["sizes"]
    changed = rows[kinds == 0]
    changed[:, NAMES.index("orders_365d")] += 6.0
    for row in np.tile(changed, (3, 1)):
        clusters.learn(row)
    assert "centre" in {alarm.what for alarm in clusters.alarms(rows, chance=1e-4)}


def test_a_feature_that_all_share_sets_nobody_apart() -> None:
    """Nobody complains when clusters are found: the first who does is near her own kind still."""
    rows, _ = people(600, 18)
    rows[:, NAMES.index("complaints_90d")] = 0.0
    clusters = Clusters.found(rows, per_week=500.0)
    first = rows[0].copy()
    first[NAMES.index("complaints_90d")] = 1.0
    labels = nearest(clusters.preparation.apply(np.stack([rows[0], first])), clusters.centres)
    assert labels[0] == labels[1]


def test_clusters_that_were_packed_go_on_exactly() -> None:
    """Packed in the middle: the same centres and the same bytes at the end."""
    rows, _ = people(800, 19)
    whole = Clusters.found(rows[:300], per_week=500.0)
    for row in rows[300:500]:
        whole.learn(row)
    resumed = Clusters.unpacked(whole.packed())
    for row in rows[500:]:
        whole.learn(row)
        resumed.learn(row)
    assert resumed.packed() == whole.packed()
