"""The lift report as one HTML page: everything in it, nothing asked for from outside, no script.

The rule: whatever comes from records is escaped, and a content security policy forbids what escaping might miss.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from worker.lift.plots import forest, over_time
from worker.lift.wording import (
    compared_with,
    headline,
    money,
    per_hundred,
    span,
    title_of,
    variant_name,
    verdict,
    warnings,
)

__all__ = ["page"]

STYLE = """
:root{--paper:#fbfbf9;--card:#fff;--ink:#1d2329;--soft:#5b6670;--line:#dfe3e6;--zero:#8a949c;--works:#0b7a5b;
--harms:#b3261e;--open:#3a6ea5;--warn:#fff4d6;--warn-ink:#6b4a00}
@media(prefers-color-scheme:dark){:root{--paper:#14181c;--card:#1c2227;--ink:#e8ebed;--soft:#a3adb5;--line:#313a41;
--zero:#76818a;--works:#4cc79c;--harms:#ff8a80;--open:#86b6e8;--warn:#3b2f10;--warn-ink:#ffd98a}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:60rem;margin:0 auto;padding:0 1.25rem}header{padding-top:2.2rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.25rem;margin:0 0 .2rem}h3{font-size:.95rem;margin:1.2rem 0 .3rem}
p{margin:.35rem 0}.soft{color:var(--soft)}small,.soft{font-size:.9rem}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.2rem 1.4rem;margin:1.2rem 0}
.says{list-style:none;padding:0;margin:.7rem 0}.says li{padding:.15rem 0 .15rem .9rem;border-left:4px solid var(--open);
margin:.35rem 0;font-size:1.05rem}.says .works{border-color:var(--works)}.says .harms{border-color:var(--harms)}
.says .early{border-color:var(--line)}.warn{background:var(--warn);color:var(--warn-ink);border-radius:8px;
padding:.5rem .8rem;margin:.5rem 0}.warn b{margin-right:.3rem}
figure{margin:.4rem 0;overflow-x:auto}svg{width:100%;min-width:27rem;height:auto;display:block;font-size:12px}
svg text{fill:var(--ink)}
svg .axis{fill:var(--soft);font-size:11px}svg .grid{stroke:var(--line)}
svg .zero{stroke:var(--zero);stroke-dasharray:3 3}
svg .name{font-weight:600}svg g{--tint:var(--open)}svg g.works{--tint:var(--works)}svg g.harms{--tint:var(--harms)}
svg .always{stroke:var(--tint);stroke-width:2}svg .once{stroke:var(--tint);stroke-width:7;opacity:.45}
svg circle{fill:var(--tint)}
svg .band{fill:var(--open);opacity:.18}svg .line{fill:none;stroke:var(--open);stroke-width:2}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
caption{text-align:left;font-weight:600;padding:.8rem 0 .3rem}th,td{padding:.32rem .6rem;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:600}footer{padding-bottom:3rem;color:var(--soft);font-size:.9rem}
.pages{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));gap:1rem}
.pages svg{min-width:0}
@media(max-width:40rem){section{padding:1rem}h1{font-size:1.4rem}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

NONE = "\N{EN DASH}"

Result = Mapping[str, Any]


def page(results: Sequence[Result]) -> str:
    """Return the page of campaigns' results, as records of `campaign-results`; all campaigns together come first."""
    ordered = sorted(results, key=lambda result: (result["campaign"] != "*", result["campaign"]))
    as_of = max((result["as_of"] for result in ordered), default="")
    body = "".join(map(_section, ordered)) or "<section><p>No campaign has decided anything yet.</p></section>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>What campaigns brought</title><style>{STYLE}</style></head><body>"
        f'<header><h1>What campaigns brought</h1><p class="soft">As of {escape(as_of[:16].replace("T", " "))} UTC. '
        "A user counts once per campaign, in the arm that chance put her into, when the time in which she could "
        "convert is over.</p></header>"
        f"<main>{body}</main>{_footer()}</body></html>\n"
    )


def _section(result: Result) -> str:
    variants = [group for group in result["groups"] if group["arm"] == "variant"]
    says = "".join(f'<li class="{verdict(group)}">{escape(headline(result, group))}</li>' for group in variants)
    warned = "".join(f'<p class="warn" role="alert"><b>Careful.</b>{escape(said)}</p>' for said in warnings(result))
    return (
        f'<section><h2>{escape(title_of(result))}</h2><p class="soft">{escape(_about(result))}</p>{warned}'
        f'<ul class="says">{says}</ul>{_forest(variants)}{_history(result, variants)}'
        f"{_arms(result)}{_money(result, variants)}{_earlier(result)}</section>"
    )


def _about(result: Result) -> str:
    since = result["since"][:10]
    counts = {str(result["conversion_event"]): result["within_seconds"]} if result["conversion_event"] else {}
    success = "".join(f" A success is {event} within {_days(within)}." for event, within in counts.items())
    return f"Since {since}, compared with {compared_with(result)}.{success}"


def _days(seconds: float) -> str:
    days, hours = seconds / 86_400, seconds / 3_600
    return f"{days:g} days" if days > 1 else "a day" if days == 1 else f"{hours:g} hours"


def _forest(variants: Sequence[Result]) -> str:
    told = [group for group in variants if group["lift"] is not None]
    if not told:
        return ""
    return (
        f'<figure>{forest(told)}<figcaption class="soft">Thin: bounds that hold however often one looks. '
        "Thick: for one look alone.</figcaption></figure>"
    )


def _history(result: Result, variants: Sequence[Result]) -> str:
    """How the lift of each variant developed, all within the same bounds, so that they can be compared."""
    points = result["history"]
    low = min((0.0, *(point["conversion"]["low"] for point in points)))
    high = max((0.0, *(point["conversion"]["high"] for point in points)))
    figures = []
    for group in variants:
        series = [point for point in points if point["variant"] == group["variant"]]
        if len(series) > 1:
            name, picture = variant_name(group), over_time(series, variant_name(group), low, high)
            figures.append(f"<figure><figcaption>{escape(name)}</figcaption>{picture}</figure>")
    if not figures:
        return ""
    return f'<h3>From day to day, of 100 users</h3><div class="pages">{"".join(figures)}</div>'


def _arms(result: Result) -> str:
    head = ("arm", "users", "fired", "sent", "clicked", "click rate", "judged", "converted", "rate", "still active")
    rows = [
        (
            variant_name(group), _count(group["users"]), _count(group["fired"]), _count(group["sent"]),
            _count(group["clicked"]), _share(group["click_rate"]), _count(group["judged"]),
            _count(group["judged_converted"]), _share(group["conversion_rate"]), _share(group["retention"]),
        )
        for group in result["groups"]
    ]  # fmt: skip
    return _table("Users", head, rows)


def _money(result: Result, variants: Sequence[Result]) -> str:
    currency = result["currency"]
    head = ("arm", "per user", "more per user", "cost", "return on cost", "per extra success")
    rows = []
    for group in [*variants, *(group for group in result["groups"] if group["arm"] == result["control"])]:
        lift = group["lift"] or {}
        rows.append(
            (
                variant_name(group), _money_of(group["revenue_per_user"], currency),
                _bounds(lift.get("revenue"), "{:+,.2f}"), _money_of(group["cost"], currency),
                _bounds(lift.get("roi"), "{:+,.1f}"), _money_of(lift.get("cost_per_acquisition"), currency),
            )
        )  # fmt: skip
    return _table("Money", head, rows)


def _earlier(result: Result) -> str:
    told = [(run, group) for run in result["earlier"] for group in run["groups"] if group["lift"] is not None]
    if not told:
        return ""
    items = "".join(f"<li>{escape(_earlier_line(run, group))}</li>" for run, group in told)
    return f"<h3>Under earlier designs</h3><ul>{items}</ul>"


def _earlier_line(run: Result, group: Result) -> str:
    bounds = group["lift"]["conversion"]
    found = f"{per_hundred(bounds['estimate'])} of 100 ({span(bounds['low'], bounds['high'])})"
    return f"{run['since'][:10]} to {run['until'][:10]}, {variant_name(group)}: {found}"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _count(count: int) -> str:
    return f"{count:,}"


def _share(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def _money_of(amount: float | None, currency: str) -> str:
    return NONE if amount is None else money(amount, currency)


def _bounds(interval: Mapping[str, float] | None, form: str) -> str:
    if interval is None:
        return NONE
    low, high = form.format(interval["low"]), form.format(interval["high"])
    return f"{form.format(interval['estimate'])} ({low} to {high})"


def _footer() -> str:
    return (
        "<footer><p>The bounds in brackets are an anytime-valid confidence sequence: right on all days together for 95 "
        "of 100 campaigns, so that looking every day fools nobody. The thick bars are ordinary 95 % intervals, right "
        "for one look at a time chosen before. Users whom an hourly limit or a cap stopped, or would have stopped, are "
        "left out of every arm. Return on cost is what was earned over it, by amount spent: +1.0 means that every unit "
        "spent came back twice.</p></footer>"
    )
