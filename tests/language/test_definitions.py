"""The definitions file: what a right one means, and how every mistake in a wrong one is told."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.definitions import Definitions, Kind, channels
from schemas.events import KINDS
from worker.language.definitions import Checked, DefinitionsError, Mistake, load


@dataclass
class Mapping:
    """All that a definitions file needs of a mapping."""

    hash: str = "00" * 32


CONTRACT = """\
version: 7
timezone: Europe/Berlin            # for users without one
currency: EUR
rates: {USD: 0.92}
traits: [country, language, age_group]
holdout: {share: 0.05, salt: "2026"}
segments:
  - id: cart_abandoner
    name: Left something in the cart
    description: Cart not empty for 30 minutes
    owner: crm@shop.example
    enter: cart_items > 0 and time_since_cart_add >= 30m
    exit:  cart_items == 0 or time_since_cart_add >= 2d
    min_dwell: 10m
  - id: value_tier
    tiers:
      - {id: high, enter: percentile("spend_365d") >= 0.9, exit: percentile("spend_365d") < 0.85}
      - {id: mid,  enter: spend_365d >= 200}
      - {id: low,  enter: spend_365d > 0}
  - {id: churn_risk, enter: probability("churn_30d") >= 0.7, exit: probability("churn_30d") < 0.5}
  - {id: behaviour, clusters: true}
targets:
  - {id: purchase_7d, positive: order,   horizon: 7d}
  - {id: churn_30d,   positive: silence, horizon: 30d}
campaigns:
  - id: cart_reminder
    trigger: {entered: cart_abandoner}
    status: live
    channel: email
    send: {template: cart-3}
    include_traits: [language]
    delay: 0s
    expires: 6h
    cooldown: 7d
    quiet_hours: {from: "21:00", to: "08:00", on_quiet: defer}
    on_exit: cancel
    holdout: 0.10
    variants: {plain: 0.5, discount: {share: 0.5, send: {coupon: BACK10}}}
    conversion: {event: order, within: 3d}
    cost_per_trigger: 0.12
    priority: 10
    max_per_hour: 20000
caps:
  - {channel: email, limit: 2, per: 24h}
tests:
  - name: an order in time keeps the reminder away
    given: [{at: 0m, event: Product Added}, {at: 20m, event: Order Completed}]
    expect: {at: 31m, not_in: [cart_abandoner]}
"""
HOUR, DAY = 3_600_000, 86_400_000


def checked(text: str) -> Checked:
    """Load with a mapping that doesn't matter."""
    return load(text, Mapping())


def mistakes(text: str) -> list[Mistake]:
    """Return what is wrong with a file that must be wrong."""
    with pytest.raises(DefinitionsError) as caught:
        checked(text)
    return caught.value.mistakes


def changed(old: str, new: str) -> str:
    """Return the contract's file with one thing written otherwise."""
    assert CONTRACT.count(old) == 1, old
    return CONTRACT.replace(old, new)


def spots(text: str) -> list[tuple[str, str, str | None]]:
    """Return (definition, the line from the mistake on, nearest name) of each mistake."""
    lines = text.split("\n")
    return [(m.definition, lines[m.line - 1][m.column - 1 :], m.nearest) for m in mistakes(text)]


def file(segments: str, rest: str = "") -> str:
    """Return a small file with these segments."""
    return "version: 1\nsegments:\n" + textwrap.indent(textwrap.dedent(segments).strip("\n"), "  ") + "\n" + rest


def test_the_contracts_file_is_right() -> None:
    """Its durations are in ms, its times of day in minutes, its conditions trees."""
    found = checked(CONTRACT)
    campaign = found.definitions.campaigns[0]
    assert (campaign.expires, campaign.cooldown, campaign.delay) == (6 * HOUR, 7 * DAY, 0)
    assert campaign.quiet_hours is not None
    assert (campaign.quiet_hours.from_minutes, campaign.quiet_hours.to_minutes) == (1260, 480)
    assert [(name, variant.share) for name, variant in campaign.variants.items()] == [("plain", 0.5), ("discount", 0.5)]
    assert [*found.enter] == ["cart_abandoner", "value_tier:high", "value_tier:mid", "value_tier:low", "churn_risk"]
    assert [*found.exit] == ["cart_abandoner", "value_tier:high", "churn_risk"]
    assert found.definitions.tests[0].expect.at == 31 * 60_000


def test_only_version_and_segments_are_required() -> None:
    """Everything else has the contract's default."""
    found = checked("{version: 1, segments: [{id: a, enter: age > 1}]}").definitions
    assert (found.timezone, found.currency, found.profiling, found.holdout) == ("UTC", "EUR", "opt_out", None)
    assert checked("version: 1\nsegments: []").order == ()
    campaign = file("- {id: a, enter: age > 1}", "campaigns: [{id: c, trigger: {exited: a}}]")
    assert checked(campaign).definitions.campaigns[0].expires == DAY


def test_segments_are_ordered_by_taking_the_first_whose_reads_are_done() -> None:
    """Here `c` and `d` need nothing, `a` needs `b`'s tier, `b` needs `d`."""
    text = file("""
        - {id: a, enter: member("b:x") and member("c")}
        - {id: b, tiers: [{id: x, enter: age > 1, exit: member("d")}]}
        - {id: c, enter: age > 1}
        - {id: d, clusters: true}
        - {id: e, enter: member("d:loyal") or member("a")}
    """)
    assert checked(text).order == (2, 3, 1, 0, 4)


def test_channels_are_numbered_in_file_order() -> None:
    """Campaigns first, each channel once."""
    text = file(
        "- {id: a, enter: age > 1}",
        """campaigns: [{id: c, trigger: {entered: a}, channel: push}, {id: d, trigger: {entered: a}, channel: email},
        {id: e, trigger: {entered: a}, channel: push}, {id: f, trigger: {entered: a}}]""",
    )
    assert channels(checked(text).definitions) == ("push", "email")


def test_yaml_is_1_2() -> None:
    """`21:00`, `no` and a date are texts, `0o17` is 15, aliases repeat what they name."""
    text = file(
        "- {id: a, name: no, owner: 2026-01-01, enter: &c age > 1, exit: *c}",
        """campaigns: [{id: c, trigger: {entered: a}, priority: 0o17, quiet_hours: {from: 21:00, to: 09:30},
        starts: 2026-01-01T00:00:00Z, ends: 2026-01-01T01:00:00+00:00}]""",
    )
    found = checked(text)
    assert (found.definitions.segments[0].name, found.definitions.segments[0].owner) == ("no", "2026-01-01")
    assert found.definitions.campaigns[0].priority == 15
    assert found.enter["a"] == found.exit["a"]


# Mistakes


STORY = "an order in time keeps the reminder away"
CHURN = [("churn_risk", '"churn_30d") >= 0.7', None), ("churn_risk", '"churn_30d") < 0.5', None)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Europe/Berlin ", "Europe/Berln ", [("timezone", "Europe/Berln", "Europe/Berlin")]),
        ("currency: EUR", "currency: Euro", [("currency", "Euro", None)]),
        ("rates: {USD: 0.92}", "rates: {USD: 0}", [("rates", "0}", None)]),
        ("rates: {USD: 0.92}", "rates: {USD: 0.92, usd: 1}", [("rates", "usd: 1}", None)]),
        ("rates: {USD: 0.92}", "rates: {EUR: 0.9}", [("rates", "EUR: 0.9}", None)]),
        ("rates: {USD: 0.92}", "rates: {USD: .inf}", [("rates", ".inf}", None)]),
        ("version: 7", "version: true", [("version", "true", None)]),
        ("version: 7", 'version: "7"', [("version", '"7"', None)]),
        ("country, language", "country, country, language", [("traits[1]", "country, language", None)]),
        ("share: 0.05", "share: 1.05", [("holdout", "1.05, ", None)]),
        ("targets:", "target:", [*CHURN, ("target", "target:", "targets")]),
        ("min_dwell: 10m", "min_dwel: 10m", [("cart_abandoner", "min_dwel: 10m", "min_dwell")]),
        ("min_dwell: 10m", "min_dwell: 10min", [("cart_abandoner", "10min", "10m")]),
        ("min_dwell: 10m", "min_dwell: 600", [("cart_abandoner", "600", None)]),
        ("min_dwell: 10m", "min_dwell:", [("cart_abandoner", "min_dwell:", None)]),
        ("min_dwell: 10m", "min_dwell: 40000d", [("cart_abandoner", "40000d", None)]),
        ("id: cart_abandoner", "id: Cart", [("Cart", "Cart", None), ("cart_reminder", "cart_abandoner}", None),
                                            (STORY, "cart_abandoner]}", None)]),
        ("{id: mid,", "{id: high,", [("value_tier:high", "high,  enter: spend_365d >= 200}", None)]),
        ("{id: mid,", "{idd: mid,", [("value_tier:tiers[1]", "idd: mid", "id")]),
        ("clusters: true", "clusters: true, exit: age > 1", [("behaviour", "exit: age > 1}", None)]),
        ("clusters: true", "clusters: false", [("behaviour", "{id: behaviour,", None)]),
        ("clusters: true", "clusters: true, enter: age > 1", [("behaviour", "clusters: true,", None)]),
        ("id: churn_30d,", "id: purchase_7d,", [*CHURN, ("purchase_7d", "purchase_7d,   positive: silence", None)]),
        ("positive: silence", "positive: silent", [("churn_30d", "silent,", "silence")]),
        ("horizon: 30d", "horizon: 0d", [("churn_30d", "0d}", None)]),
        ("{entered: cart_abandoner}", "{entered: cart_abandon}",
         [("cart_reminder", "cart_abandon}", "cart_abandoner")]),
        ("{entered: cart_abandoner}", "{}", [("cart_reminder", "trigger: {}", None)]),
        ("{entered: cart_abandoner}", "{entered: churn_risk, exited: churn_risk}",
         [("cart_reminder", "exited:", None)]),
        ("{entered: cart_abandoner}", "{entered: value_tier:hi}",
         [("cart_reminder", "value_tier:hi}", "value_tier:high")]),
        ("status: live", "status: alive", [("cart_reminder", "alive", "live")]),
        ("status: live", "starts: 2026-11-27", [("cart_reminder", "2026-11-27", None)]),
        ("status: live", "starts: 2026-11-27T00:00:00Z\n    ends: 2026-11-27T00:30:00+01:00",
         [("cart_reminder", "2026-11-27T00:30", None)]),
        ("channel: email\n", "channel: profiling\n",
         [("cart_reminder", "profiling", None)]),
        ("[language]", "[languages]", [("cart_reminder", "languages]", "language")]),
        ('to: "08:00"', 'to: "21:00"', [("cart_reminder", '"21:00", on_quiet', None)]),
        ('to: "08:00"', 'to: "24:00"', [("cart_reminder", '"24:00"', None)]),
        ("on_quiet: defer", "on_quiet: differ", [("cart_reminder", "differ}", "defer")]),
        ("{plain: 0.5,", "{plain: 0.4,", [("cart_reminder", "variants: {plain: 0.4,", None)]),
        ("{plain: 0.5,", "{holdout: 0.5,", [("cart_reminder", "holdout: 0.5,", None)]),
        ("{plain: 0.5,", "{Plain: 0.5,", [("cart_reminder", "Plain: 0.5,", None)]),
        ("{share: 0.5, send:", "{share: 0.5, sent:", [("cart_reminder", "sent:", "send")]),
        ("event: order, within", "event: orders, within", [("cart_reminder", "orders, within", "order")]),
        ("max_per_hour: 20000", "max_per_hour: -1", [("cart_reminder", "-1", None)]),
        ("limit: 2", "limit: 9", [("caps[0]", "9,", None)]),
        ("at: 20m,", "at: 32m,", [(STORY, "32m,", None)]),
        ("event: Order Completed", "events: x", [(STORY, "{at: 20m", None), (STORY, "events: x", "event")]),
        ("not_in: [cart_abandoner]", "triggers: [cart_remindr]", [(STORY, "cart_remindr]}", "cart_reminder")]),
        ("not_in: [cart_abandoner]", "in: [behavior:x]", [(STORY, "behavior:x]}", "behaviour")]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_spot(old: str, new: str, expected: list[tuple[str, str, str | None]]) -> None:
    """With the definition it is in, and the nearest valid name where there is one; and nothing else is told."""
    found = spots(changed(old, new))
    assert [(owner, near) for owner, _, near in found] == [(owner, near) for owner, _, near in expected]
    for (_, rest, _), (_, beginning, _) in zip(found, expected, strict=True):
        assert rest.startswith(beginning)


@pytest.mark.parametrize(
    "written",
    [
        "enter: age > 1 and foo > 2",
        "enter:   'cluster() == ''x'' and foo > 2'",
        r'enter: "cluster() == \"x\" and\u0020foo > 2"',
        "enter: |\n    age > 1\n      and foo > 2",
        "enter: >-  # folded\n    age > 1\n    and\n\n    foo > 2",
        "enter: age > 1\n    and foo > 2",
        'enter: "age > 1\n    and\n    foo > 2"',
        'enter: "age > 1 \\\n    and foo > 2"',
        "enter: !!str age > 1 and foo > 2",
        "enter: &anchor age > 1 and foo > 2",
    ],
)
def test_a_mistake_in_a_condition_is_told_at_its_character(written: str) -> None:
    """However the condition is quoted, folded, indented or labelled."""
    text = f"version: 1\nsegments:\n- id: a\n  {written}\n"
    assert spots(text) == [("a", text[text.index("foo") :].partition("\n")[0], None)]


def test_a_mistake_at_a_conditions_end_is_told_behind_it() -> None:
    """Behind its last character, before the quote or the comment."""
    assert spots("version: 1\nsegments: [{id: a, enter: 'age >' }]") == [("a", "' }]", None)]
    assert spots("version: 1\nsegments:\n- id: a\n  enter: age >   # more") == [("a", "   # more", None)]


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    """Of shape, of names, in conditions and between fields, each on a line of its own when printed."""
    text = changed("min_dwell: 10m", "min_dwel: 10m")
    for old, new in (("cart_items == 0", "cart_item == 0"), ("{id: low,  enter: spend_365d > 0}", "{id: low}"),
                     ("positive: order, ", "positive: orders,"), ("{plain: 0.5", "{plain: 0.6"),
                     ("limit: 2", "limit: 20")):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    found = mistakes(text)
    assert [m.line for m in found] == [13, 14, 19, 23, 38, 44]
    assert str(found[0]) == (
        "line 13, column 12, cart_abandoner: use the name of a feature: there is no `cart_item` (nearest: cart_items)"
    )
    assert str(DefinitionsError(found)).count("\n") == 5


@pytest.mark.parametrize(
    ("segments", "circles"),
    [
        ("- {id: a, enter: member('a')}", ["a -> a"]),
        ("- {id: a, enter: member('b')}\n- {id: b, enter: age > 1, exit: member('c')}\n- {id: c, enter: member('a')}",
         ["a -> b -> c -> a"]),
        ("- {id: g, tiers: [{id: x, enter: age > 1}, {id: y, enter: not member('g:x')}]}", ["g -> g"]),
        (("- {id: a, enter: member('b')}\n- {id: b, enter: member('a')}\n- {id: c, enter: member('d')}\n"
          "- {id: d, enter: member('c') or member('a')}"),
         ["a -> b -> a", "c -> d -> c"]),
        ("- {id: a, enter: member('b') or member('c')}\n- {id: b, enter: member('a')}\n- {id: c, enter: member('a')}",
         ["a -> b -> a", "a -> c -> a"]),
    ],
)  # fmt: skip
def test_circles_of_member_are_named(segments: str, circles: list[str]) -> None:
    """Each with its way round, overlapping ones too."""
    assert [m.message.removeprefix("break this circle of `member`: ") for m in mistakes(file(segments))] == circles


def test_a_circle_is_named_at_the_member_that_closes_it() -> None:
    """At the call, also where the rest of the condition is broken."""
    text = file("- {id: a, enter: foo > 1 or member('b')}\n- {id: b, enter: member('a')}")
    assert [(m.line, m.column) for m in mistakes(text)] == [(3, 20), (3, 31)]


@pytest.mark.parametrize(
    ("section", "item", "most"),
    [("segments", "{{id: s{0}, enter: age > 1}}", 256), ("segments", "{{id: s{0}, clusters: true}}", 256),
     ("campaigns", "{{id: c{0}, trigger: {{entered: s1}}}}", 64),
     ("caps", "{{channel: email, limit: 1, per: {0}h}}", 4),
     ("targets", "{{id: t{0}, positive: order, horizon: 1d}}", 8), ("traits", "t{0}", 16)],
)  # fmt: skip
def test_limits_are_told_at_the_first_that_is_too_many(section: str, item: str, most: int) -> None:
    """As many as the contract says are right, one more is not."""
    sections = {"segments": "[{id: s1, enter: age > 1}]",
                "campaigns": "[{id: x, trigger: {entered: s1}, channel: email}]"}  # fmt: skip

    def text(count: int) -> str:
        items = "".join(f"\n  - {item.format(number + 1)}" for number in range(count))
        rest = [f"{key}: {value}" for key, value in sections.items() if key != section]
        return "\n".join(["version: 1", f"{section}:{items}", *rest])

    assert getattr(checked(text(most)).definitions, section)
    (found,) = mistakes(text(most + 1))
    assert found.line == most + 3


def test_tiers_count_as_segments() -> None:
    """255 tiers and one segment fit, 256 and one don't; the segment is where it gets too much."""

    def text(count: int) -> str:
        tiers = ", ".join(f"{{id: t{number}, enter: age > {number}}}" for number in range(count))
        return f"version: 1\nsegments:\n- {{id: g, tiers: [{tiers}]}}\n- {{id: a, enter: age > 1}}"

    assert checked(text(255)).order == (0, 1)
    assert [(m.definition, m.line) for m in mistakes(text(256))] == [("a", 4)]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("version: [1", 1, 12),
        ("version: 1\nsegments: a: b", 2, 12),
        ("version: 1\n\tsegments: []", 2, 1),
        ("version: 1\nsegments: *x", 2, 11),
        ("version: 1\n---\nversion: 2", 2, 1),
        ("version: \x00", 1, 10),
        ("version: 1\nsegments: []\nversion: 2", 3, 1),
        ("version: 1\nsegments: []\n1: 2", 3, 1),
        ("version: !!python/name:os.system 1\nsegments: []", 1, 10),
        ('version: 1\nsegments: []\ntraits: ["\\ud800"]', 3, 10),
        ("", 1, 1),
        ("[]", 1, 1),
        ("&a [*a]", 1, 1),
        ("[" * 1000, 1, 1),
    ],
)
def test_mistakes_in_the_yaml_itself_are_told_like_others(text: str, line: int, column: int) -> None:
    """With line and column, and in one sentence."""
    first = mistakes(text)[0]
    assert (first.line, first.column) == (line, column)
    assert "\n" not in first.message


def test_alias_bombs_and_huge_files_are_refused() -> None:
    """Repeated values count as often as they are repeated; 1 MiB is the most."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert "aliases" in mistakes(bomb)[0].message
    assert "1 MiB" in mistakes("#" * (1 << 20) + "\n")[0].message


def test_a_byte_order_mark_moves_nothing() -> None:
    """Columns count from behind it."""
    assert [(m.line, m.column) for m in mistakes("\ufeffversion: x\nsegments: []")] == [(1, 10)]


KEYS = ["id", "enter", "exit", "tiers", "clusters", "trigger", "entered", "variants", "share", "quiet_hours", "from",
        "channel", "include_traits", "given", "at", "event", "expect", "in", "not_in", "triggers", "send"]  # fmt: skip
SCRAPS: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["a", "age > 1", "member('a')", "10m", "order", "x:y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=50)
@given(SCRAPS, SCRAPS, SCRAPS, SCRAPS)
def test_data_of_any_shape_is_right_or_a_list_of_mistakes(one: Any, two: Any, three: Any, four: Any) -> None:
    """Nothing else comes out of a file that is YAML but makes no sense."""
    data = {"version": 1, "segments": one, "campaigns": [two], "tests": three, "rates": four}
    try:
        outcome: Any = checked(repr(data).replace("None", "null").replace("True", "true").replace("False", "false"))
    except DefinitionsError as error:
        outcome = error.mistakes
    assert isinstance(outcome, Checked) or (outcome and all(m.line >= 1 and m.column >= 1 for m in outcome))


SPLINTERS = ["", "{", "'", '"', ":", "- ", "\n", "#", "*a", "é"]


@settings(max_examples=50)
@given(st.integers(0, len(CONTRACT) - 1), st.integers(0, 12), st.sampled_from(SPLINTERS))
def test_a_damaged_file_is_right_or_a_list_of_mistakes(at: int, length: int, scrap: str) -> None:
    """Whatever is cut out of the contract's file or put into it."""
    try:
        outcome: Any = checked(CONTRACT[:at] + scrap + CONTRACT[at + length :])
    except DefinitionsError as error:
        outcome = error.mistakes
    assert isinstance(outcome, Checked) or outcome


# Identity


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 7", "version: 8"),
        ("            # for users without one", "  # a comment"),
        ("name: Left something in the cart", "name: Abandoned"),
        ("owner: crm@shop.example", "owner: null"),
        ("cart_items > 0 and time_since_cart_add >= 30m", "'cart_items>0 and (time_since_cart_add >= 1800)'"),
        ("cooldown: 7d", "cooldown: 1w"),
        ("status: live", "status: live\n    name: Cart"),
        ("{channel: email, limit: 2, per: 24h}", "{per: 1d, limit: 2, channel: email}"),
        ("country, language", "language, country"),
        ("at: 31m", "at: 32m"),
    ],
)
def test_the_hash_does_not_cover_what_means_nothing(old: str, new: str) -> None:
    """Version, comments, names, owners, tests, and ways of writing the same."""
    assert checked(changed(old, new)).hash == checked(CONTRACT).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("timezone: Europe/Berlin", "timezone: Europe/Paris"),
        ("rates: {USD: 0.92}", "rates: {USD: 0.93}"),
        ('salt: "2026"', 'salt: "2027"'),
        ("cart_items == 0", "cart_items <= 0"),
        ("min_dwell: 10m", "min_dwell: 11m"),
        ("{id: mid, ", "{min_dwell: 1m, id: mid, "),
        ("holdout: 0.10", "holdout: 0.11"),
        ("{plain: 0.5, discount: {share: 0.5, send: {coupon: BACK10}}}",
         "{discount: {share: 0.5, send: {coupon: BACK10}}, plain: 0.5}"),
        ("{template: cart-3}", "{template: cart-4}"),
        ("limit: 2", "limit: 3"),
        ("traits: [country, ", "profiling: opt_in\ntraits: [country, "),
    ],
)  # fmt: skip
def test_the_hash_covers_what_means_something(old: str, new: str) -> None:
    """Rules, rates, zone, campaigns; the order of variants decides who gets which."""
    assert checked(changed(old, new)).hash != checked(CONTRACT).hash


def test_the_hash_covers_the_mapping() -> None:
    """Other events under the same rules are another meaning."""
    assert load(CONTRACT, Mapping("ab")).hash != checked(CONTRACT).hash


def test_the_hash_is_the_same_in_another_process_and_on_another_day() -> None:
    """Whatever the process salts its own hashes with; the digits were written down once."""
    code = "import sys; from tests.language.test_definitions import *; sys.stdout.write(checked(CONTRACT).hash)"
    digests = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                       capture_output=True, text=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert digests == {checked(CONTRACT).hash} == {GOLDEN}


GOLDEN = "7eda4aa594d1463cc93488855b3a2b2af5b7d50a1cf79d11307654ff56097862"


# The models alone


def test_kinds_are_those_of_events() -> None:
    """Two lists of one thing."""
    assert Kind.__args__ == KINDS  # type: ignore[attr-defined]


def test_the_schema_speaks_as_the_file_does() -> None:
    """Durations are texts with text defaults, `from` and `in` keep their names, a variant may be a number."""
    schema = Definitions.model_json_schema()
    parts = schema["$defs"]
    assert schema["required"] == ["version", "segments"]
    assert parts["Campaign"]["properties"]["expires"]["default"] == "24h"
    assert re.fullmatch(parts["Target"]["properties"]["horizon"]["pattern"], "30d")
    assert {"from", "to", "on_quiet"} == set(parts["QuietHours"]["properties"])
    assert "in" in parts["Expect"]["properties"]
    assert not parts["Segment"]["additionalProperties"]


def test_right_definitions_cannot_be_changed() -> None:
    """A version is what it was published as."""
    with pytest.raises(ValueError, match="frozen"):
        checked(CONTRACT).definitions.version = 8  # type: ignore[misc]
