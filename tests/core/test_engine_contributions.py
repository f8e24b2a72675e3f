"""What moves a probability: the contributions that reasons carry, by hand."""

import math
from itertools import pairwise
from typing import Any

import pytest

from tests.core.support import CART, MINUTE, Story, reminder

TARGETS = [{"id": "t", "positive": "order", "horizon": "7d"}, {"id": "other", "positive": "order", "horizon": "1d"}]
FEATURES = ("average_rating", "cart_items", "cart_value", "views_total", "time_since_order", "orders_total", "age")
STUMPS: dict[str, Any] = {
    "kind": "trees",
    "feature": [0, -1, 1, -1, -1, 1, -1, -1],
    "threshold": [2, 0, 1, 0, 0, 0, 0, 0],
    "left": [1, -1, 3, -1, -1, 6, -1, -1],
    "right": [2, -1, 4, -1, -1, 7, -1, -1],
    "value": [0.5, 0.25, 0.625, 0.5, 0.875, 0.375, 0.125, 0.5],
    "roots": [0, 5],
}
REVIEWED = {"id": "s", "enter": 'views_total > 0 and probability("t") >= 0 and average_rating > 0'}


def model(target: dict[str, Any], *names: str, **options: Any) -> dict[str, Any]:
    """A model of one target over some features, each prepared by the options."""
    features = [{"name": name, **options} for name in names]
    return {"version": 3, "hash": "c" * 64, "features": features, "targets": {"t": target}}


def linear(*weights: float, **options: Any) -> dict[str, Any]:
    """A logistic regression."""
    return {"kind": "linear", "weights": list(weights), **options}


def reviewed(scored: dict[str, Any], **options: Any) -> Story:
    """A user who looked, put three things for 7.50 into her cart, and rated one with 2.5."""
    story = Story(REVIEWED, targets=TARGETS, model=scored, **options)
    story.tell(0, "Product Viewed")
    story.tell(MINUTE, "Product Added", quantity=3, price=2.5)
    story.tell(2 * MINUTE, "Product Reviewed", rating=2.5)
    return story


def probable(story: Story) -> dict[str, Any]:
    """The clause of the entry that reads the probability."""
    (transition,) = story.transitions
    clauses: list[dict[str, Any]] = transition["reason"]
    assert ["contributions" in clause for clause in clauses] == [False, True, False]
    return clauses[1]


def test_the_effects_and_the_intercept_are_the_log_odds() -> None:
    """Each effect is weight × prepared value; their sum, from left to right, gives the very probability."""
    weights, names = (0.3, -0.7, 0.11, 1.3), FEATURES[:4]
    clause = probable(reviewed(model(linear(*weights, intercept=-0.4), *names, log=True, mean=0.3, scale=1.7)))
    effects = {part["feature"]: part["effect"] for part in clause["contributions"]}
    values = dict(zip(names, (2.5, 3, 7.5, 1), strict=True))
    assert {part["feature"]: part["value"] for part in clause["contributions"]} == values
    expected = [weight * ((math.log1p(values[name]) - 0.3) / 1.7) for weight, name in zip(weights, names, strict=True)]
    assert [effects[name] for name in names] == pytest.approx(expected, rel=1e-12)
    total = 0.0
    for name in names:
        total += effects[name]
    assert clause["value"] == round(1 / (1 + math.exp(-(total - 0.4))), 6)


def test_the_strongest_five_come_strongest_first() -> None:
    """Seven move it, the fourth and sixth alike: five are told, equal ones in the model's order; 0 is never told."""
    clause = probable(reviewed(model(linear(0.1, 0.5, 1, 0.75, 0.125, 3, 0), *FEATURES, missing=2.0)))
    told = [(part["feature"], part["effect"]) for part in clause["contributions"]]
    assert told == [
        ("cart_value", 7.5), ("cart_items", 1.5), ("views_total", 0.75), ("average_rating", 0.25),
        ("time_since_order", 0.25),
    ]  # fmt: skip
    few = probable(reviewed(model(linear(0, 0, 0, -1), *FEATURES[:4])))
    assert few["contributions"] == [{"feature": "views_total", "value": 1, "effect": -1.0}]


def test_a_value_that_is_infinite_or_unknown_is_null() -> None:
    """Who never ordered, and what the average order was then; the stand-in has its effect."""
    clause = probable(reviewed(model(linear(1.0, 2.0), "time_since_order", "average_order", missing=4.0)))
    assert clause["contributions"] == [
        {"feature": "average_order", "value": None, "effect": 8.0},
        {"feature": "time_since_order", "value": None, "effect": 4.0},
    ]


def test_the_effects_of_trees_are_the_changes_on_the_way_down() -> None:
    """One tree goes 0.5, 0.625, 0.875, the other 0.375, 0.5: over two trees the first feature adds 0.0625."""
    clause = probable(reviewed(model(STUMPS, "average_rating", "cart_items")))
    assert clause["contributions"] == [
        {"feature": "cart_items", "value": 3, "effect": 0.1875},
        {"feature": "average_rating", "value": 2.5, "effect": 0.0625},
    ]
    assert clause["value"] == (0.5 + 0.375) / 2 + 0.1875 + 0.0625


def test_a_trigger_carries_the_contributions_of_its_reason() -> None:
    """A campaign on the segment: the trigger's reason is the transition's."""
    scored = model(linear(1.0), "cart_items")
    story = reviewed(scored, campaigns=[reminder(trigger={"entered": "s"})])
    assert story.triggers[0]["reason"] == story.transitions[0]["reason"]
    assert probable(story)["contributions"] == [{"feature": "cart_items", "value": 3, "effect": 3.0}]


@pytest.mark.parametrize(
    ("enter", "feature"),
    [
        ('0 <= probability("t") <= 1', "cart_items"),
        ('probability("other") + probability("t") >= 0', "views_total"),
        ('cart_items * 0 <= probability("t")', "cart_items"),
        ('probability("t") in (0.5, 0.952574)', "cart_items"),
    ],
)
def test_a_clause_tells_of_the_first_probability_that_it_reads(enter: str, feature: str) -> None:
    """On either side, within arithmetic, in both halves of a chain; each target over inputs of its own."""
    scored = model(linear(1.0), "cart_items")
    scored["targets"]["other"] = linear(0.5, inputs=[{"name": "views_total"}])
    story = Story({"id": "s", "enter": enter}, targets=TARGETS, model=scored)
    story.tell(0, "Product Added", quantity=3)
    story.tell(0, "Product Viewed")
    told = [part["feature"] for clause in story.transitions[-1]["reason"] for part in clause.get("contributions", [])]
    assert set(told) <= {feature}
    explained = story.engine.explain("u")
    assert explained is not None
    clauses = explained["segments"][0]["enter"]
    assert [part["feature"] for clause in clauses for part in clause["contributions"]] == [feature] * len(clauses)


def test_where_there_is_no_probability_nothing_contributes() -> None:
    """Without a model, without the target in it, without consent."""
    never = {"id": "s", "enter": 'views_total > 0 or probability("t") > 2'}
    unscored = {**model(linear(1.0), "cart_items"), "targets": {}}
    for scored in (None, unscored, model(linear(1.0), "cart_items")):
        story = Story(never, targets=TARGETS, model=scored)
        story.tell(0, "identify", consent={"profiling": False})
        story.tell(1, "Product Viewed")
        assert [clause.keys() for clause in story.transitions[0]["reason"]] == [{"clause", "value"}] * 2


def test_contributions_are_those_of_the_moment_of_the_reason() -> None:
    """The probability was sampled when she came, half an hour before time alone let her in: the age is half an hour."""
    late = {"id": "s", "enter": 'probability("t") >= 0 and time_since_view >= 30m'}
    story = Story(late, targets=TARGETS, model=model(linear(0.001), "age"))
    story.tell(0, "Product Viewed")
    story.until(30 * MINUTE)
    (transition,) = story.transitions
    assert (transition["cause"], transition["reason"][0]["value"]) == ("timer", 0.5)
    assert transition["reason"][0]["contributions"] == [{"feature": "age", "value": 1800, "effect": 1.8}]


def test_explaining_shows_what_moves_a_probability_now() -> None:
    """As of the user's clock, in plain data; clauses without a probability have no such part."""
    story = Story(CART, REVIEWED, targets=TARGETS, model=model(linear(1.0, 2.0), "cart_items", "views_total"))
    story.tell(0, "Product Viewed")
    explained = story.engine.explain("u")
    assert explained is not None
    cart, reviews = explained["segments"]
    assert reviews["enter"][1]["contributions"] == [{"feature": "views_total", "value": 1, "effect": 2.0}]
    assert all("contributions" not in clause for clause in [*cart["enter"], reviews["enter"][0]])


def test_equal_probabilities_come_from_equal_trees_however_they_share_nodes() -> None:
    """Leaves that two splits share are reached as their copies would be."""
    shared = {
        "kind": "trees", "feature": [0, 1, 1, -1, -1], "threshold": [2, 1, 1, 0, 0], "left": [1, 3, 4, -1, -1],
        "right": [2, 4, 3, -1, -1], "value": [0.5, 0.5, 0.5, 0.25, 0.75], "roots": [0],
    }  # fmt: skip
    assert probable(reviewed(model(shared, "average_rating", "cart_items")))["value"] == 0.25


@pytest.mark.parametrize("extreme", [1e18, -1e18])
def test_the_most_extreme_model_still_gives_probabilities(extreme: float) -> None:
    """Weights, means and stand-ins at their limits, scales at their least: no sum is infinite or no number."""
    scored = model(
        linear(*[extreme, -extreme] * 3, extreme, intercept=-extreme), *FEATURES, missing=extreme, mean=-extreme,
        scale=1e-12,
    )  # fmt: skip
    scored["clusters"] = {"names": ["a", "b"], "centres": [[extreme] * 7, [-extreme] * 7]}
    clause = probable(reviewed(scored))
    assert 0 <= clause["value"] <= 1
    effects = [abs(part["effect"]) for part in clause["contributions"]]
    assert all(math.isfinite(effect) for effect in effects)
    assert all(left >= right for left, right in pairwise(effects))
