"""Conditions: what text becomes which tree, and what every mistake is told as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.catalogue import FEATURE_NAMES
from worker.language.clauses import (
    And,
    Arithmetic,
    Comparison,
    Condition,
    Constant,
    Member,
    Negative,
    Not,
    OneOf,
    Operand,
    Or,
    Read,
    _nodes,
    clauses,
)
from worker.language.rules import LENGTH_MAX, ConditionError, parse
from worker.language.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    traits=["country", "age_group"],
    targets=["purchase_7d", "churn_30d"],
    segments=["vip", "value_tier", "value_tier:high", "behaviour"],
    clusters=["behaviour"],
)
ITEMS, AGE = Read("cart_items"), Read("age")


def tree(text: str) -> Condition:
    """Parse with a small shop's names."""
    return parse(text, VOCABULARY)


def features_read(condition: Condition | Operand) -> set[Read]:
    """Every feature the condition reads."""
    return {node for node in _nodes(condition) if isinstance(node, Read)}


def members_read(condition: Condition) -> set[str]:
    """The segments whose membership the condition reads."""
    return {node.segment for node in _nodes(condition) if isinstance(node, Member)}


def mistakes(text: str) -> list[tuple[str, str | None]]:
    """Return (the text from the mistake on, nearest name) of each mistake."""
    with pytest.raises(ConditionError) as caught:
        tree(text)
    return [(text[mistake.offset :], mistake.nearest) for mistake in caught.value.mistakes]


def messages(text: str) -> list[str]:
    """Return the messages of each mistake."""
    with pytest.raises(ConditionError) as caught:
        tree(text)
    return [mistake.message for mistake in caught.value.mistakes]


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    """`a or not b and c` is `a or ((not b) and c)`, as in Python."""
    a, b, c = (Comparison(">", ITEMS, Constant(float(n)), f"cart_items > {n}") for n in (1, 2, 3))
    assert tree("cart_items > 1 or not cart_items > 2 and cart_items > 3") == Or((a, And((Not(b), c))))


def test_arithmetic_binds_as_in_python() -> None:
    """Products before sums, from left to right, a sign before both."""
    parsed = tree("cart_items - 2 - 3 * -age >= 1")
    product = Arithmetic("*", Constant(3.0), Negative(AGE))
    left = Arithmetic("-", Arithmetic("-", ITEMS, Constant(2.0)), product)
    assert parsed == Comparison(">=", left, Constant(1.0), "cart_items - 2 - 3 * -age >= 1")


def test_parentheses_group_conditions_and_numbers_alike() -> None:
    """`(…)` around either keeps its type."""
    parsed = tree("((cart_items + 1) * 2 > 4) and (member('vip'))")
    total = Arithmetic("*", Arithmetic("+", ITEMS, Constant(1.0)), Constant(2.0))
    comparison = Comparison(">", total, Constant(4.0), "(cart_items + 1) * 2 > 4")
    assert parsed == And((comparison, Member("vip", "member('vip')")))


def test_a_chain_is_all_of_its_comparisons() -> None:
    """`0 < x <= 5` asks both, each a clause of its own."""
    first = Comparison("<", Constant(0.0), ITEMS, "0 < cart_items")
    assert tree("0 < cart_items <= 5") == And((first, Comparison("<=", ITEMS, Constant(5.0), "cart_items <= 5")))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("7d", 604_800.0), ("4w", 2_419_200.0), ("0s", 0.0),
     ("45", 45.0), ("4.5", 4.5), (".5", 0.5), ("1e3", 1000.0), ("-2", -2.0), ("-2d", -172_800.0), ("+3", 3.0)],
)  # fmt: skip
def test_durations_are_seconds_and_numbers_are_themselves(written: str, seconds: float) -> None:
    """Both are constants, their sign included."""
    assert tree(f"age > {written}") == Comparison(">", AGE, Constant(seconds), f"age > {written}")


def test_in_takes_constants_and_not_in_is_its_negation() -> None:
    """Traits may be text or number; a trailing comma is as in Python."""
    trait = Read("trait", "country")
    assert tree('trait("country") in ("de", -1, 2h,)') == OneOf(
        trait, ("de", -1.0, 7200.0), 'trait("country") in ("de", -1, 2h,)'
    )
    assert tree("cart_items not in (1)") == Not(OneOf(ITEMS, (1.0,), "cart_items not in (1)"))


def test_in_may_end_a_chain() -> None:
    """As in Python, `a < b in (…)` asks both of `b`."""
    first = Comparison("<", Constant(0.0), ITEMS, "0 < cart_items")
    assert tree("0 < cart_items in (1, 2)") == And((first, OneOf(ITEMS, (1.0, 2.0), "cart_items in (1, 2)")))


def test_a_clauses_text_has_single_spaces_and_untouched_strings() -> None:
    """White space between tokens shrinks, inside quotes it stays, and none is invented."""
    (clause,) = clauses(tree('not   trait( "country" )\n  ==\t"New  Zealand"'))
    assert clause.text == 'trait( "country" ) == "New  Zealand"'


def test_strings_take_either_quote_and_escape_them() -> None:
    """A backslash stands before quotes and backslashes only."""
    (clause,) = clauses(tree(r"interest('kid\'s \\ \"toys\"') > 0"))
    assert features_read(clause) == {Read("interest", 'kid\'s \\ "toys"')}
    assert messages(r'interest("a\n") > 0') == ["write a backslash only before a quote or a backslash"]


@pytest.mark.parametrize("name", FEATURE_NAMES)
def test_every_feature_of_the_catalogue_is_a_number(name: str) -> None:
    """It stands alone and ranks as a percentile."""
    assert features_read(tree(f'{name} > percentile("{name}")')) == {Read(name), Read("percentile", name)}


def test_what_a_condition_reads_is_found_at_any_depth() -> None:
    """Features with their arguments, memberships as written."""
    parsed = tree(
        'not (member("behaviour:loyal") or -age * 2 > 3) and cluster() != "x" and probability("churn_30d") in (1, 0.5)'
        ' and member("value_tier:high") and orders_30d / views_total > interest("shoes")'
    )
    plain = {Read(name) for name in ("age", "cluster", "orders_30d", "views_total")}
    assert features_read(parsed) == plain | {Read("probability", "churn_30d"), Read("interest", "shoes")}
    assert members_read(parsed) == {"behaviour:loyal", "value_tier:high"}


def test_clauses_come_in_order_of_appearance() -> None:
    """A reason lists them so."""
    parsed = tree('age > 1 or (not cart_items in (2) and member("vip")) or 1 < age < 9')
    texts = [clause.text for clause in clauses(parsed)]
    assert texts == ["age > 1", "cart_items in (2)", 'member("vip")', "1 < age", "age < 9"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cart_item > 0", [("cart_item > 0", "cart_items")]),
        ("Cart_Items > 0", [("Cart_Items > 0", "cart_items")]),
        ("spend_300d > 0 or vews_1h > 1", [("spend_300d > 0 or vews_1h > 1", "spend_30d"),
            ("vews_1h > 1", "views_1h")]),
        ('trait("contry") == "de"', [('"contry") == "de"', "country")]),
        ('probability("churn") > 0.5', [('"churn") > 0.5', "churn_30d")]),
        ('percentile("spend_365") > 0.5', [('"spend_365") > 0.5', "spend_365d")]),
        ('percentile("interest") > 0.5', [('"interest") > 0.5', None)]),
        ('member("vips")', [('"vips")', "vip")]),
        ('member("value_tier:hihg")', [('"value_tier:hihg")', "value_tier:high")]),
        ('member("vip:x")', [('"vip:x")', "vip")]),
        ('member("behaviour:")', [('"behaviour:")', "behaviour")]),
        ('probabilty("churn_30d") > 0.5', [('probabilty("churn_30d") > 0.5', "probability")]),
        ("interest > 0.5", [("interest > 0.5", 'interest("shoes")')]),
        ("cart_items() > 0", [("cart_items() > 0", "cart_items")]),
        ("member(vip) and foo > 1", [("vip) and foo > 1", '"vip"'), ("foo > 1", None)]),
        ('cluster("x") == "y"', [('"x") == "y"', None)]),
        ("interest() > 0", [("interest() > 0", None)]),
        ('interest("") > 0', [('"") > 0', None)]),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_with_its_spot_and_the_nearest_valid_one(
    text: str, expected: list[tuple[str, str | None]]
) -> None:
    """All of a condition's wrong names at once."""
    assert mistakes(text) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("cart_items", "cart_items"),
        ("cart_items and age > 1", "cart_items and age > 1"),
        ("not cart_items + 1", "cart_items + 1"),
        ("age > 1 or 7", "7"),
        ('trait("country")', 'trait("country")'),
        ('cluster() > "a"', '> "a"'),
        ('trait("country") < "a"', '< "a"'),
        ("cluster() == 3", "cluster() == 3"),
        ('cart_items == "3"', 'cart_items == "3"'),
        ("cluster() + 1 > 2", "cluster() + 1 > 2"),
        ('-"a" == 1', '"a" == 1'),
        ('member("vip") == 1', 'member("vip") == 1'),
        ("(age > 1) + 1 > 2", "(age > 1) + 1 > 2"),
        ("member('vip') in (1, 2)", "member('vip') in (1, 2)"),
        ('cart_items in (1, "a")', '"a")'),
        ('cluster() in ("a", 2)', "2)"),
        ("cart_items in (age)", "age)"),
        ("cart_items in ()", ")"),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_one_mistake_each(text: str, at: str) -> None:
    """Numbers, texts and truths don't mix, and text has no order."""
    assert mistakes(text) == [(at, None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("", None)]),
        ("  ", [("  ", None)]),
        ("cart_items >", [("", None)]),
        ("cart_items > 0 or", [("", None)]),
        ("cart_items >> 0", [("> 0", None)]),
        ("cart_items 3", [("3", None)]),
        ("cart_items > 0)", [(")", None)]),
        ("(cart_items > 0", [("", None)]),
        ("cart_items in 1, 2", [("1, 2", None)]),
        ("cart_items in (1 2) or age > 3", [("2) or age > 3", None)]),
        ("cart_items > 0 AND age > 3", [("AND age > 3", "and")]),
        ("cart_items = 3 && ! age > 2", [("= 3 && ! age > 2", "=="), ("&& ! age > 2", "and"), ("! age > 2", "not")]),
        ("age <> 3 || age === 3", [("<> 3 || age === 3", "!="), ("|| age === 3", "or"), ("=== 3", "==")]),
        ("age % 2 > 1 and foo > 1", [("% 2 > 1 and foo > 1", None), ("foo > 1", None)]),
        ("age.x > 1", [(".x > 1", None)]),
        ('cluster() == "a', [('"a', None)]),
        ("age > 30min", [("30min", "30m")]),
        ("age > 5x", [("5x", None)]),
        ("age > 1.5h", [("1.5h", None)]),
        ("age > 1e999", [("1e999", None)]),
        ("__import__('os').system('x')", [("__import__('os').system('x')", None), (".system('x')", None)]),
        ("age > lambda", [("lambda", None)]),
        ("(age 1 or foo > 2) and z > 3", [("1 or foo > 2) and z > 3", None),
            ("foo > 2) and z > 3", None), ("z > 3", None)]),
    ],
)  # fmt: skip
def test_where_the_grammar_breaks_the_rest_is_still_read(text: str, expected: list[tuple[str, str | None]]) -> None:
    """One mistake for the broken clause, and those of the clauses after it."""
    assert mistakes(text) == expected


def test_a_message_says_what_to_do() -> None:
    """In the words of the file, with an example where that helps."""
    assert messages("cart_items") == ["compare `cart_items` with something, such as `cart_items > 0`"]
    assert messages("age > 30min") == ["write a plain number, or a duration in s, m, h, d or w, instead of `30min`"]
    assert messages('trait("x") == 1') == ['declare "x" under `traits`, or name one that is']


@pytest.mark.parametrize(
    "text",
    ["(" * 4000 + "age", "not " * 2000 + "age > 1", "-" * 4000 + "age > 1", "+".join(["age"] * 1000) + " > 1",
     "(" * 4000, "age > 1" + " or age > 1" * 2000, "not(" * 100 + "age > 1" + ")" * 100],
)  # fmt: skip
def test_nesting_and_length_are_bounded(text: str) -> None:
    """One mistake, and never a RecursionError."""
    assert len(mistakes(text)) == 1


def test_what_is_within_the_bounds_is_read() -> None:
    """60 parentheses, 60 terms, and as many clauses as fit."""
    assert tree("(" * 60 + "age > 1" + ")" * 60) == tree("age > 1")
    assert features_read(tree("+".join(["age"] * 60) + " > 1")) == {AGE}
    assert len(clauses(tree(" or ".join(["age > 1"] * 700)))) == 700
    assert len(" or ".join(["age > 1"] * 700)) < LENGTH_MAX


FRAGMENTS = ["and", "or", "not", "in", "(", ")", "==", "<", "=", "+", "-", "*", "/", ",", '"', "'", "cart_items", "age",
             "member", "trait", '"vip"', '"country"', "30m", "7", "x", "\\", "\n", "%", "é", "cluster()"]  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(" ".join)))
def test_any_text_is_a_condition_or_a_list_of_mistakes(text: str) -> None:
    """Nothing else comes out, and every mistake lies within the text."""
    offsets: list[int] = []
    found = 0
    try:
        found = len(clauses(tree(text)))
    except ConditionError as error:
        offsets = [mistake.offset for mistake in error.mistakes]
    assert (found > 0) != (len(offsets) > 0)
    assert all(0 <= offset <= len(text) for offset in offsets)
