"""Results in words: what a campaign brought, as one would say it to who pays for it.

The rule: nothing is said to work, or to harm, whose bounds at all times together include nothing.
"""

from collections.abc import Mapping
from typing import Any

from worker.lift.designs import ALL_CAMPAIGNS
from worker.lift.statistics import USERS_MIN

__all__ = [
    "compared_with", "headline", "money", "per_hundred", "span", "title_of", "variant_name", "verdict", "warnings",
]  # fmt: skip

DID = {
    "order": "ordered", "view": "viewed a product", "cart_add": "filled their cart", "checkout": "went to the checkout",
    "wishlist": "noted a product", "review": "wrote a review", "refund": "sent something back",
    "message_clicked": "clicked a message", "search": "searched", "complaint": "complained",
}  # fmt: skip

FIRED_MIN = 20

Result = Mapping[str, Any]


def title_of(result: Result) -> str:
    """Return what to call a campaign."""
    return "All campaigns together" if result["campaign"] == ALL_CAMPAIGNS else str(result["campaign"])


def variant_name(group: Result) -> str:
    """Return what to call an arm."""
    names = {"variant": "reached", "holdout": "held out", "global_holdout": "global holdout"}
    return str(group["variant"] or names[group["arm"]])


def compared_with(result: Result) -> str:
    """Return what the variants are compared with."""
    if result["control"] is None:
        return "nothing: it has no holdout, or no conversion"
    if result["control"] == "holdout":
        return "its own holdout"
    if result["campaign"] == ALL_CAMPAIGNS:
        return "the global holdout, whom no campaign reaches"
    return "the global holdout, whom the other campaigns don't reach either"


def per_hundred(share: float) -> str:
    """Return a difference of shares in users of a hundred, with its sign.

    >>> per_hundred(0.0312), per_hundred(-0.00049)
    ('+3.1', '-0.05')
    """
    return f"{100 * share:+.{2 if abs(share) < 0.001 else 1}f}"


def span(low: float, high: float) -> str:
    """Return bounds of a difference of shares, in users of a hundred."""
    return f"{per_hundred(low)} to {per_hundred(high)}"


def money(amount: float, currency: str) -> str:
    """Return an amount with its currency.

    >>> money(1234.5, "EUR")
    '1,234.50 EUR'
    """
    return f"{amount:,.2f} {currency}"


def verdict(group: Result) -> str:
    """Return `works`, `harms`, `open`, or `early` where there is too little to say."""
    lift = group["lift"]
    if lift is None:
        return "early"
    bounds = lift["conversion"]
    return "works" if bounds["low"] > 0 else "harms" if bounds["high"] < 0 else "open"


def headline(result: Result, group: Result) -> str:
    """Return in a sentence what a variant brought."""
    name, said = variant_name(group), verdict(group)
    if result["control"] is None:
        return f"{name}: nothing to compare with."
    if said == "early":
        held = sum(other["judged"] for other in result["groups"] if other["arm"] == result["control"])
        return (
            f"{name}: too early to say; {group['judged']:,} users are judged and {held:,} of its control, "
            f"and it takes {USERS_MIN} of either."
        )
    lift = group["lift"]["conversion"]
    within = f"({span(lift['low'], lift['high'])})"
    did = DID.get(result["conversion_event"] or "", "converted")
    if said == "open":
        return f"{name}: can't be told from nothing yet; of 100 users {per_hundred(lift['estimate'])} {did} {within}."
    more = "more" if said == "works" else "fewer"
    return f"{name}: {abs(100 * lift['estimate']):.1f} {more} of 100 users {did} because of it {within}."


def warnings(result: Result) -> list[str]:
    """Return what should keep a reader from believing the rest."""
    said = []
    ratio = result["sample_ratio"]
    if ratio is not None and ratio["mismatch"]:
        said.append(
            "Users are not in the arms by the planned shares: something loses users of one arm, or an earlier version "
            "has had its effect on them. Don't believe the rest before it is found."
        )
    for group in result["groups"]:
        said += [f"{variant_name(group)}: {about}" for about in _of_group(group)]
    return said


def _of_group(group: Result) -> list[str]:
    said = []
    if group["fired"] >= FIRED_MIN and group["sent"] < group["fired"] / 2:
        said.append(
            f"of {group['fired']:,} users to be written to only {group['sent']:,} are known to have been: "
            "the sender loses messages, or doesn't tell."
        )
    if group["limited"] > group["users"] / 5:
        said.append(
            f"limits stood in the way of {group['limited']:,} of {group['users']:,} users; the rest are compared."
        )
    return said
