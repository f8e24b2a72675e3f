"""Random but always valid definitions over the whole vocabulary, as plain YAML data, and models to go with them.

Thresholds are low, so that the streams of `tests.support.streams` cross them often. `definitions` makes a version 1,
`changed` the next version of given ones, `snapshot` a model; `text_of` writes definitions as YAML (JSON is YAML).
The same random numbers give the same definitions in any process.
"""

import hashlib
import json
import random
from typing import Any

from hypothesis import strategies as st

from schemas.models import sealed
from tests.support.streams import CATEGORIES, START_MS
from worker.language.observed import OBSERVED_HASH
from worker.naive.calendar import written

WINDOWS = ("1h", "24h", "7d", "30d", "90d", "365d", "total")
COUNTS = (
    "views",
    "searches",
    "cart_adds",
    "cart_removes",
    "wishlists",
    "checkouts",
    "orders",
    "refunds",
    "reviews",
    "complaints",
    "messages_sent",
    "messages_clicked",
)
KINDS = (
    "view",
    "search",
    "cart_add",
    "cart_remove",
    "wishlist",
    "checkout",
    "order",
    "refund",
    "review",
    "complaint",
    "message_sent",
    "message_clicked",
)
SPANS = ("90s", "30m", "1h", "2h", "1d", "2d", "7d", "4w")
RANKED = (
    "spend_365d",
    "orders_total",
    "views_30d",
    "cart_value",
    "average_order",
    "orders_per_month",
    "time_since_order",
)
LEARNT = ("spend_365d", "orders_90d", "views_7d", "time_since_activity", "age", "evening_share", "order_recency")
TARGETS = ("purchase_7d", "churn_30d")
CLUSTERS = ("loyal", "new", "bargain")
CHANNELS = ("email", "push", "sms")
ORDERING = ("<", "<=", ">", ">=")
OPERATORS = (*ORDERING, "==", "!=")


class Conditions:
    """Random conditions; `members` are the segments that `member` may name."""

    def __init__(self, rng: random.Random, members: list[str], *, model: bool = True) -> None:
        self.rng, self.members, self.model = rng, members, model

    def condition(self, depth: int = 2) -> str:
        """`and`, `or` and `not` over clauses."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.4:
            return self.clause()
        if rng.random() < 0.2:
            return f"not ({self.condition(depth - 1)})" if rng.random() < 0.5 else f"not {self.clause()}"
        word = rng.choice((" and ", " or "))
        parts = [self.condition(depth - 1) for _ in range(rng.randint(2, 3))]
        return word.join(f"({part})" if " and " in part or " or " in part else part for part in parts)

    def clause(self) -> str:
        """One comparison, `in` or `member`."""
        rng = self.rng
        makers = [
            (self.count, 6),
            (self.money, 3),
            (self.since, 6),
            (self.cart, 3),
            (self.ratio, 3),
            (self.session, 2),
            (self.interest, 2),
            (self.trait, 2),
            (self.sum_of_counts, 2),
            (self.sum_of_times, 2),
            (self.two_times, 1),
            (self.member, 2 if self.members else 0),
            (self.scored, 3 if self.model else 0),
        ]
        possible = {maker: weight for maker, weight in makers if weight}  # hypothesis may pick a weight of 0
        made: str = rng.choices(list(possible), list(possible.values()))[0]()
        return made

    def counted(self) -> str:
        """A count over a window."""
        return f"{self.rng.choice(COUNTS)}_{self.rng.choice(WINDOWS)}"

    def count(self) -> str:
        """A count against a small number, in one of several forms."""
        rng, name, number = self.rng, self.counted(), self.rng.randint(0, 4)
        return rng.choice(
            (
                f"{name} {rng.choice(OPERATORS)} {number}",
                f"{name} {rng.choice(OPERATORS)} {number}",
                f"{name}{rng.choice(ORDERING)}{number}",
                f"{number} {rng.choice(ORDERING)} {name}",
                f"{number} <= {name} < {number + 3}",
                f"{name} in ({number}, {number + 2})",
                f"{name} not in ({number}, {number + 1})",
                f"{name}  >\n {self.counted()}",
            )
        )

    def money(self) -> str:
        """Spent or refunded."""
        rng = self.rng
        name = f"{rng.choice(('spend', 'spend', 'refunded'))}_{rng.choice(WINDOWS)}"
        return f"{name} {rng.choice(OPERATORS)} {rng.choice((0, 10, 49.75, 99.5, 200))}"

    def time(self) -> str:
        """A time that grows."""
        return self.rng.choice((*(f"time_since_{kind}" for kind in KINDS), *["time_since_activity"] * 4, *["age"] * 4))

    def since(self) -> str:
        """A time against a duration, in one of several forms."""
        rng, name, span = self.rng, self.time(), self.rng.choice(SPANS)
        return rng.choice(
            (
                f"{name} {rng.choice(ORDERING)} {span}",
                f"{name} {rng.choice(ORDERING)} {span}",
                f"{name} {rng.choice(('==', '!='))} {span}",
                f"{span} {rng.choice(ORDERING)} {name}",
                f"30m <= {name} < 2d",
                f"{name} in (30m, {span})",
                f"{name} > {rng.choice((0.0015, 12.3456, 0))}",
                f"{name} < 1h + {span}",
            )
        )

    def cart(self) -> str:
        """The cart."""
        rng = self.rng
        return rng.choice(
            (
                f"cart_items {rng.choice(OPERATORS)} {rng.randint(0, 3)}",
                f"cart_value {rng.choice(ORDERING)} {rng.choice((0, 9.99, 100))}",
            )
        )

    def ratio(self) -> str:
        """A quotient that may be null."""
        rng = self.rng
        names = {
            "average_order": (10, 49.75, 100),
            "refund_rate": (0, 0.25, 0.5),
            "average_rating": (2, 3.5, 4),
            "evening_share": (0.25, 0.5),
            "weekend_share": (0.25, 0.5),
            "orders_per_month": (0.5, 1, 2),
        }
        name = rng.choice(list(names))
        return f"{name} {rng.choice(ORDERING)} {rng.choice(names[name])}"

    def session(self) -> str:
        """The session."""
        rng = self.rng
        name, numbers = rng.choice(
            (("sessions_total", (1, 3)), ("session_events", (0, 1, 3)), ("session_seconds", (0, 60, 600)))
        )
        return f"{name} {rng.choice(OPERATORS)} {rng.choice(numbers)}"

    def interest(self) -> str:
        """A category's share."""
        return (
            f'interest("{self.rng.choice(CATEGORIES)}") {self.rng.choice(ORDERING)} {self.rng.choice((0, 0.15, 0.4))}'
        )

    def trait(self) -> str:
        """A trait, compared with text or with a number."""
        return self.rng.choice(
            (
                'trait("country") == "DE"',
                "trait('country') != 'DE'",
                'trait("country") in ("DE", "FR")',
                'trait("country") not in ("DE", "US")',
                'trait("points") > 3',
                'trait("points") == 7.5',
                'trait("points") in (3, "many")',
                'trait("points") * 2 >= 6',
            )
        )

    def sum_of_counts(self) -> str:
        """Arithmetic that flows."""
        rng, a, b = self.rng, self.counted(), self.counted()
        return rng.choice(
            (
                f"{a} - {b} * 2 > 1",
                f"({a} + {b}) / 2 >= 1.5",
                f"{a} / {b} < 0.5",
                f"spend_30d / {a} > 20",
                "cart_value - cart_items * 10 > 0",
                "session_seconds / session_events < 60",
            )
        )

    def sum_of_times(self) -> str:
        """Arithmetic on times, which is sampled."""
        rng, time = self.rng, self.time()
        return rng.choice(
            (
                f"{time} / 3600 > 5",
                f"{time} - {self.time()} > 1h",
                f"{time} + 1h <= {rng.choice(SPANS)}",
                f"{self.counted()} * {time} > 10000",
                "orders_per_month * 2 > 1",
                f"{self.counted()} / age > 0.0001",
            )
        )

    def two_times(self) -> str:
        """A time against another value that moves."""
        return self.rng.choice(
            (
                f"{self.time()} {self.rng.choice(ORDERING)} {self.time()}",
                f"{self.time()} > {self.counted()} * 600",
                f"{self.time()} >= session_seconds",
                f"{self.counted()} < {self.time()}",
            )
        )

    def member(self) -> str:
        """Membership of a segment that is judged before."""
        return f'member("{self.rng.choice(self.members)}")'

    def scored(self) -> str:
        """What a model says."""
        rng = self.rng
        return rng.choice(
            (
                f'percentile("{rng.choice(RANKED)}") {rng.choice(ORDERING)} {rng.choice((0.1, 0.5, 0.9))}',
                f'probability("{rng.choice(TARGETS)}") {rng.choice(ORDERING)} {rng.choice((0.3, 0.5, 0.7))}',
                f'cluster() == "{rng.choice(CLUSTERS)}"',
                f'cluster() in ("loyal", "{rng.choice(CLUSTERS)}")',
                f'percentile("spend_365d") * {self.counted()} > 0.5',
            )
        )


def plain_segment(rng: random.Random, name: str, conditions: Conditions) -> dict[str, Any]:
    """A segment with `enter`, often an explicit `exit`, sometimes a minimal stay."""
    segment: dict[str, Any] = {"id": name, "enter": conditions.condition()}
    if rng.random() < 0.4:
        segment["exit"] = conditions.condition(1)
    if rng.random() < 0.3:
        segment["min_dwell"] = rng.choice(("10m", "90s", "1d", "0s"))
    return segment


def tiered_segment(rng: random.Random, name: str, conditions: Conditions) -> dict[str, Any]:
    """A group of two to four tiers."""
    tiers = []
    for number in range(rng.randint(2, 4)):
        tiers.append({"id": f"t{number}", "enter": conditions.condition(1)})
        if rng.random() < 0.4:
            tiers[-1]["exit"] = conditions.condition(1)
        if rng.random() < 0.2:
            tiers[-1]["min_dwell"] = rng.choice(("15m", "2h"))
    segment: dict[str, Any] = {"id": name, "tiers": tiers}
    if rng.random() < 0.3:
        segment["min_dwell"] = "10m"
    return segment


def campaign(rng: random.Random, name: str, segments: list[str], days: int = 60) -> dict[str, Any]:
    """A campaign with any of the options; `segments` are groups and leaves."""
    made: dict[str, Any] = {"id": name, "trigger": {rng.choice(("entered", "entered", "exited")): rng.choice(segments)}}
    ends = START_MS + rng.randrange(days) * 86_400_000
    options: dict[str, tuple[float, Any]] = {
        "status": (0.3, rng.choice(("live", "shadow", "shadow", "paused"))),
        "starts": (0.15, written(START_MS + rng.randrange(days // 2) * 3_600_000)),
        "ends": (0.1, written(ends)),
        "channel": (0.6, rng.choice(("email", *CHANNELS))),
        "send": (0.4, {"template": f"{name}-1", "nested": {"a": [1, None]}}),
        "include_traits": (0.4, ["country", "points"]),
        "delay": (0.4, rng.choice(("0s", "90s", "20m", "3h", "2d"))),
        "expires": (0.2, rng.choice(("1h", "6h"))),
        "cooldown": (0.4, rng.choice(("1h", "7d", "30m"))),
        "quiet_hours": (0.4, quiet_hours(rng)),
        "on_exit": (0.4, rng.choice(("cancel", "continue"))),
        "holdout": (0.4, rng.choice((0.1, 0.5))),
        "variants": (
            0.4,
            rng.choice(({"a": 0.5, "b": 0.5}, {"a": 0.25, "b": {"share": 0.75, "send": {"coupon": "X"}}})),
        ),
        "conversion": (
            0.6,
            {"event": rng.choice(("order", "order", "view", "refund")), "within": rng.choice(("1h", "3d"))},
        ),
        "cost_per_trigger": (0.2, 0.12),
        "priority": (0.4, rng.choice((-1, 5, 5, 10))),
        "max_per_hour": (0.2, rng.choice((0, 1, 2, 5))),
        "on_backfill": (0.3, rng.random() < 0.5),
    }
    return made | {key: value for key, (chance, value) in options.items() if rng.random() < chance}


def quiet_hours(rng: random.Random) -> dict[str, str]:
    """Quiet hours of all sorts, some of them around the hour that DST skips or repeats."""
    start, end = rng.choice(
        (("21:00", "08:00"), ("21:00", "02:30"), ("00:00", "06:00"), ("09:30", "17:45"), ("02:00", "03:00"))
    )
    hours = {"from": start, "to": end}
    return hours | ({"on_quiet": rng.choice(("drop", "defer"))} if rng.random() < 0.5 else {})


def targets(rng: random.Random) -> list[dict[str, Any]]:
    """The two that conditions ask for and another one, each of them mostly with all of its samples."""
    made = [
        {"id": "purchase_7d", "positive": "order", "horizon": "7d"},
        {"id": "churn_30d", "positive": "silence", "horizon": "30d"},
        {"id": "look_back", "positive": rng.choice(KINDS), "horizon": rng.choice(SPANS)},
    ]
    return [target | ({"sample": rng.choice((0.5, 1))} if rng.random() < 0.3 else {}) for target in made]


def leaves(segment: dict[str, Any]) -> list[str]:
    """The names by which conditions and campaigns may call a segment."""
    return [segment["id"], *(f"{segment['id']}:{tier['id']}" for tier in segment.get("tiers", []))]


def definitions(rng: random.Random, *, segments: int = 8, campaigns: int = 4, model: bool = True) -> dict[str, Any]:
    """A valid version 1. With `model` also percentiles, probabilities and clusters are asked for."""
    made: list[dict[str, Any]] = []
    for number in range(segments):
        names = [name for segment in made for name in leaves(segment)]
        conditions = Conditions(rng, names, model=model)
        maker = tiered_segment if rng.random() < 0.25 else plain_segment
        made.append(maker(rng, f"s{number}", conditions))
    if model and rng.random() < 0.5:
        made.append({"id": "behaviour", "clusters": True} | ({"min_dwell": "1h"} if rng.random() < 0.3 else {}))
    names = [name for segment in made for name in leaves(segment)]
    rng.shuffle(made)  # members are then read before the file has them
    currency, other = rng.choice((("EUR", "USD"), ("USD", "EUR")))
    return {
        "version": 1,
        "timezone": rng.choice(("Europe/Berlin", "UTC", "America/New_York")),
        "currency": currency,
        "rates": {other: 0.92},
        "traits": ["country", "points"],
        "profiling": rng.choice(("opt_in", "opt_out", "opt_out")),
        "holdout": {"share": rng.choice((0, 0.1, 0.3)), "salt": "2026"},
        "segments": made,
        "targets": targets(random.Random(json.dumps(made))),
        "campaigns": [campaign(rng, f"c{number}", names) for number in range(campaigns)],
        "caps": [
            {
                "channel": rng.choice(("email", "email", *CHANNELS)),
                "limit": rng.randint(1, 2),
                "per": rng.choice(("1h", "24h", "7d")),
            }
            for _ in range(rng.randrange(3))
        ],
    }


def changed(rng: random.Random, before: dict[str, Any], *, new_reads: bool = False) -> dict[str, Any]:
    """The next version: segments gone, swapped between each other and added, campaigns gone, braked and added.

    Delays, exits and channels of campaigns and the caps stay. Without `new_reads` no condition reads anything that the
    earlier version didn't read; with it, a segment over the whole vocabulary is added.
    """
    after: dict[str, Any] = json.loads(json.dumps(before))
    after["version"] = before["version"] + 1
    plain = [s for s in after["segments"] if "enter" in s and "member(" not in s["enter"] + s.get("exit", "")]
    if len(plain) > 1:
        one, other = rng.sample(plain, 2)
        one["enter"], other["enter"] = other["enter"], one["enter"]
    asked = json.dumps(after)
    loose = [s for s in plain if f'member(\\"{s["id"]}\\")' not in asked and s not in plain[:1]]
    if loose and rng.random() < 0.7:
        gone = rng.choice(loose)
        after["segments"].remove(gone)
        after["campaigns"] = [c for c in after["campaigns"] if gone["id"] not in c["trigger"].values()]
    if after["campaigns"] and rng.random() < 0.3:
        after["campaigns"].remove(rng.choice(after["campaigns"]))
    learn_otherwise(random.Random(asked), after)
    for each in after["campaigns"]:
        each["status"] = rng.choice((each.get("status", "live"), "live", "paused"))
        each["cooldown"] = rng.choice((each.get("cooldown", "0s"), "1d"))
    conditions = Conditions(rng, [], model="probability" in asked)
    copied = rng.choice(plain)["enter"] if plain else after["segments"][0].get("enter", "age >= 0")
    if new_reads or plain:
        name = f"new{after['version']}"
        after["segments"].append({"id": name, "enter": conditions.condition() if new_reads else f"not ({copied})"})
    return after


def inputs(rng: random.Random, names: tuple[str, ...] = LEARNT) -> list[dict[str, Any]]:
    """How a model prepares these features."""
    return [
        {
            "name": name,
            "log": rng.random() < 0.5,
            "missing": rng.choice((0.0, 30.0 * 86_400)),
            "mean": rng.uniform(0, 5),
            "scale": rng.choice((1.0, 4.0, 1_000.0)),
            "limit": rng.choice((None, None, 3.0)),
        }
        for name in names
    ]


def linear(rng: random.Random, size: int) -> dict[str, Any]:
    """A logistic regression."""
    return {
        "kind": "linear",
        "weights": [rng.uniform(-1, 1) for _ in range(size)],
        "intercept": rng.uniform(-1, 1),
    }


def trees(rng: random.Random, size: int) -> dict[str, Any]:
    """One to three trees: each node is a leaf, or splits into two that come later."""
    made: dict[str, Any] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "roots")}
    for _ in range(rng.randint(1, 3)):
        made["roots"].append(grow(rng, made, size, 0))
    return made | {"kind": "trees"}


def grow(rng: random.Random, made: dict[str, Any], size: int, depth: int) -> int:
    """Add a node and what is below it; return its place."""
    node = len(made["value"])
    leaf = depth == 4 or rng.random() < 0.2
    made["feature"].append(-1 if leaf else rng.randrange(size))
    made["threshold"].append(0.0 if leaf else rng.uniform(-2, 3))
    made["value"].append(rng.random())
    made["left"].append(-1)
    made["right"].append(-1)
    if not leaf:
        for side in ("left", "right"):
            made[side][node] = grow(rng, made, size, depth + 1)
    return node


def target(rng: random.Random) -> dict[str, Any]:
    """A target of either kind, over the model's features or inputs of its own."""
    own = inputs(rng, tuple(rng.sample(LEARNT, 4))) if rng.random() < 0.4 else []
    made = rng.choice((linear, trees))(rng, len(own) or len(LEARNT))
    calibration = rng.choice(([], [[0.1, 0.05], [0.5, 0.6], [0.9, 0.95]]))
    return made | {"inputs": own, "calibration": calibration}


def learn_otherwise(rng: random.Random, definitions: dict[str, Any]) -> None:
    """Horizons changed, a target gone, or consent asked for."""
    for target in definitions["targets"]:
        target["horizon"] = rng.choice((target["horizon"], target["horizon"], "2d"))
    if rng.random() < 0.3:
        definitions["targets"] = [target for target in definitions["targets"] if target["id"] != "look_back"]
    if rng.random() < 0.3:
        definitions["profiling"] = rng.choice(("opt_in", "opt_out"))


def snapshot(rng: random.Random, version: int = 1) -> dict[str, Any]:
    """A model with two targets, three clusters and quantiles, as plain data."""
    own = inputs(rng, tuple(rng.sample(LEARNT, 3))) if rng.random() < 0.5 else []
    width = len(own) or len(LEARNT)
    model: dict[str, Any] = {
        "feature_schema": OBSERVED_HASH,
        "features": inputs(rng),
        "targets": {name: target(rng) for name in TARGETS},
        "clusters": {
            "inputs": own,
            "names": list(CLUSTERS),
            "centres": [[rng.uniform(-2, 4) for _ in range(width)] for _ in CLUSTERS],
        },
        "quantiles": {name: sorted(rng.uniform(0, 300) for _ in range(11)) for name in RANKED[:-1]},
    }
    return sealed(version, model).model_dump(mode="json")


def hash_of(data: dict[str, Any]) -> str:
    """64 hex digits that stand for a version where nobody checks what they cover."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def text_of(data: dict[str, Any]) -> str:
    """The definitions as a file."""
    return json.dumps(data, indent=1, ensure_ascii=False)


@st.composite
def definitions_strategy(draw: st.DrawFn, *, model: bool = True) -> dict[str, Any]:
    """Definitions for hypothesis: few segments and campaigns first."""
    rng = draw(st.randoms(use_true_random=False))
    return definitions(rng, segments=draw(st.integers(1, 8)), campaigns=draw(st.integers(0, 5)), model=model)
