"""From accounts to results: what each campaign brought, as records of `campaign-results`.

The rule: variants are compared with the campaign's own holdout, whose users are reached by the other campaigns as they
are; a campaign without one is compared with the global holdout, whose users aren't reached at all. All campaigns
together are compared with the global holdout at the first decision of any, before which no campaign has touched anyone.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from worker.core.effects import iso
from worker.lift.accounts import Account
from worker.lift.designs import ALL_CAMPAIGNS, GLOBAL, HELD_OUT, Design
from worker.lift.ledger import History, Ledger
from worker.lift.runs import Run
from worker.lift.statistics import Interval, Sums, difference, evidence_of_mismatch, ratio

__all__ = ["note", "results_of"]

MISMATCH_LOG10 = 3.0
CERTAIN_LOG10 = 9999.0
MICROS = 1_000_000
POINTS_KEPT = 400  # of a campaign: of its variants together
ARMS = {HELD_OUT: "holdout", GLOBAL: "global_holdout"}

Arms = Mapping[int, Account]


def results_of(ledger: Ledger, currency: str) -> Iterator[dict[str, Any]]:
    """Yield the result of every campaign that has decided something, with the points of its history so far."""
    accounts = _by_run(ledger)
    as_of_ms = max(ledger.clocks.values(), default=0)
    for campaign, runs in ledger.campaigns():
        *earlier, run = runs
        arms = accounts[run.number]
        measured = run.design.event is not None
        yield {
            "campaign": campaign,
            "definition": run.definitions[-1],
            "definitions": list(run.definitions),
            "currency": currency,
            "since": iso(run.began_ms),
            "as_of": iso(as_of_ms),
            "conversion_event": run.design.event,
            "within_seconds": run.design.within_ms / 1000 if measured else None,
            "control": _control_name(campaign, run.design),
            "groups": _groups(campaign, run, arms),
            "sample_ratio": _sample_ratio(campaign, run.design, arms),
            "history": list(ledger.history.get(campaign) or ()),
            "earlier": [_earlier(campaign, past, accounts[past.number]) for past in reversed(earlier)],
        }


def note(history: History, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the lift of each variant as it stood at the first look of every day, this one included."""
    points = history.get(result["campaign"]) or []
    if not points or points[-1]["at"][:10] != result["as_of"][:10]:
        new = [
            {"at": result["as_of"], "variant": group["variant"], "conversion": group["lift"]["conversion"]}
            for group in result["groups"]
            if group["lift"] is not None
        ]
        points = [*points, *new][-POINTS_KEPT:]
        history.put(result["campaign"], points)
    return result | {"history": list(points)}


def _by_run(ledger: Ledger) -> dict[int, dict[int, Account]]:
    """Return the accounts by arm, by number of the run."""
    found: dict[int, dict[int, Account]] = defaultdict(dict)
    for (number, arm), account in ledger.accounts().items():
        found[number][arm] = account
    return found


def _control_of(campaign: str, design: Design) -> int | None:
    if campaign != ALL_CAMPAIGNS and design.event is None:
        return None
    if HELD_OUT in design.shares:
        return HELD_OUT
    return GLOBAL if design.global_share > 0 else None


def _control_name(campaign: str, design: Design) -> str | None:
    control = _control_of(campaign, design)
    return None if control is None else ARMS[control]


def _earlier(campaign: str, run: Run, arms: Arms) -> dict[str, Any]:
    return {
        "definitions": list(run.definitions),
        "since": iso(run.began_ms),
        "until": iso(run.latest_ms),
        "control": _control_name(campaign, run.design),
        "groups": _groups(campaign, run, arms),
    }


def _groups(campaign: str, run: Run, arms: Arms) -> list[dict[str, Any]]:
    """Return the variants in order, then the holdouts."""
    design = run.design
    control = _control_of(campaign, design)
    against = arms.get(control, Account()) if control is not None else None
    wanted = list(range(len(design.variants)))
    wanted += [HELD_OUT] if HELD_OUT in design.shares else []
    wanted += [GLOBAL] if design.global_share > 0 else []
    return [_group(run, campaign, arm, arms.get(arm, Account()), against) for arm in wanted]


def _group(run: Run, campaign: str, arm: int, account: Account, against: Account | None) -> dict[str, Any]:
    design = run.design
    share = design.shares.get(arm, 0.0)
    if campaign != ALL_CAMPAIGNS:
        share = design.global_share if arm == GLOBAL else share * (1 - design.global_share)
    return {
        "arm": ARMS.get(arm, "variant"),
        "variant": design.variants[arm] if arm >= 0 else None,
        "share": share,
        "users": account.assigned,
        "limited": account.limited,
        "fired": account.fired,
        "sent": account.sent,
        "clicked": account.clicked,
        "converted": account.converted,
        "decisions_fired": run.fired.get(arm, 0),
        "conversions": account.conversions,
        "revenue": account.amount / 100,
        "cost": run.cost_micros.get(arm, 0) / MICROS,
        "judged": account.users,
        "judged_converted": account.users_converted,
        "conversion_rate": _mean(account.converting),
        "revenue_per_user": _mean(account.revenue),
        "click_rate": account.clicked / account.sent if account.sent else None,
        "observed": account.observed,
        "retention": _mean(account.retained),
        "lift": _lift(account, against) if arm >= 0 and against is not None else None,
    }


def _mean(sums: Sums) -> float | None:
    return sums.mean if sums.users else None


def _lift(account: Account, against: Account) -> dict[str, Any] | None:
    conversion = difference(account.converting, against.converting, binary=True)
    revenue = difference(account.revenue, against.revenue)
    if conversion is None:
        return None
    cost, additional = account.users_cost_micros / MICROS, conversion.estimate * account.users
    roi = revenue.scaled(account.users / cost, -1.0) if revenue is not None and cost else None
    return {
        "conversion": _written(conversion),
        "conversion_relative": _written(ratio(account.converting, against.converting, binary=True)),
        "revenue": _written(revenue),
        "revenue_relative": _written(ratio(account.revenue, against.revenue)),
        "additional_converted": additional,
        "additional_revenue": None if revenue is None else revenue.estimate * account.users,
        "cost": cost,
        "roi": _written(roi),
        "cost_per_acquisition": cost / additional if additional > 0 else None,
    }


def _written(interval: Interval | None) -> dict[str, float] | None:
    if interval is None:
        return None
    return dict(zip(("estimate", "low", "high", "fixed_low", "fixed_high"), interval.parts, strict=True))


def _sample_ratio(campaign: str, design: Design, arms: Arms) -> dict[str, Any] | None:
    """Judge the counts of the assigned, those left out by limits included.

    Of one campaign the global holdout is left out: what the other campaigns did decides who else comes this far.
    """
    if campaign == ALL_CAMPAIGNS:
        shares = dict(design.shares)
    else:
        shares = {arm: share for arm, share in design.shares.items() if arm != GLOBAL}
    if len(shares) < 2:
        return None
    left_out = GLOBAL if campaign != ALL_CAMPAIGNS else None
    counts = {str(arm): account.assigned for arm, account in arms.items() if arm != left_out}
    evidence = evidence_of_mismatch(counts, {str(arm): share for arm, share in shares.items()})
    return {
        "log10_evidence": CERTAIN_LOG10 if math.isinf(evidence) else evidence,
        "mismatch": evidence >= MISMATCH_LOG10,
    }
