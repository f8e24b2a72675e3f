"""Designs: what of a campaign decides who is compared with whom, and over what.

The rule: versions of the definitions under which a campaign has the same design are one run of it, whatever else
changed; another design begins a run of its own, since users before and after aren't alike. Part of the design are the
trigger, what is sent and when (delay, quiet hours, cooldown, on_exit), the variants and the holdouts with their shares,
and the conversion. Not part of it are names, owners, status, start and end, cost, priority, `expires`, limits, and the
conditions of segments: in each version users are assigned by the same shares, so they may be added up.
"""

import hashlib
import json
from itertools import accumulate, pairwise

import msgspec

from schemas.definitions import Campaign, Definitions
from worker.core.seeds import drawn, seed_of
from worker.language.definitions import Checked

__all__ = ["ALL_CAMPAIGNS", "GLOBAL", "HELD_OUT", "PROGRAMME", "Design", "Terms", "programme_of", "terms_of"]

ALL_CAMPAIGNS = "*"
"""Stands for the campaigns together, against the global holdout."""
HELD_OUT, GLOBAL = -1, -2
"""Arms beside the variants, which are numbered from 0: the campaign's own holdout, and the global one."""
PROGRAMME = 0
"""The one other arm of all campaigns together: everybody whom some campaign may reach."""

RUN_LENGTH = 12


class Design(msgspec.Struct, frozen=True):
    """What the users of a run have in common."""

    run: str  # names the design
    variants: tuple[str | None, ...]  # (None,) without variants
    shares: dict[int, float]  # by arm, of the users whom the global holdout leaves
    event: str | None = None  # of the conversion; None: nothing is measured but what was sent
    within_ms: int = 0
    global_share: float = 0.0


class Cap(msgspec.Struct, frozen=True):
    """At most `limit` decisions within `per_ms`."""

    limit: int
    per_ms: int


class Terms(msgspec.Struct, frozen=True):
    """What one version of the definitions says of a campaign."""

    design: Design
    live: bool
    holdout_seed: int
    global_seed: int
    variant_seed: int
    ends: tuple[float, ...]  # of the variants, cumulative
    cost_micros: int  # of a trigger, in millionths of the currency
    per_hour_max: int | None
    caps: tuple[Cap, ...]  # of its channel
    channel: str | None

    def is_global(self, user_id: str) -> bool:
        """Return whether a user is in the global holdout."""
        return self.design.global_share > 0 and drawn(user_id, self.global_seed) < self.design.global_share

    def arm_of(self, user_id: str) -> int:
        """Return where chance puts a user."""
        if self.is_global(user_id):
            return GLOBAL
        if drawn(user_id, self.holdout_seed) < self.design.shares.get(HELD_OUT, 0.0):
            return HELD_OUT
        number = drawn(user_id, self.variant_seed)
        return next((place for place, end in enumerate(self.ends) if number < end), len(self.ends) - 1)

    def allowed_per_hour(self, partition: int, partitions: int) -> int | None:
        """Return how many decisions of a partition may fire in an hour; None: any number."""
        if self.per_hour_max is None:
            return None
        return self.per_hour_max // partitions + (partition < self.per_hour_max % partitions)


def terms_of(checked: Checked) -> dict[str, Terms]:
    """Return the terms of each campaign."""
    definitions = checked.definitions
    return {campaign.id: _terms(definitions, campaign) for campaign in definitions.campaigns}


def programme_of(definitions: Definitions) -> Design | None:
    """Return the design of all campaigns together; None without a global holdout."""
    holdout = definitions.holdout
    if holdout is None or holdout.share <= 0:
        return None
    run = _digest({"share": holdout.share, "salt": holdout.salt})
    return Design(run, (None,), {GLOBAL: holdout.share, PROGRAMME: 1 - holdout.share}, global_share=holdout.share)


def _terms(definitions: Definitions, campaign: Campaign) -> Terms:
    holdout = definitions.holdout
    salt = holdout.salt if holdout else ""
    parts = [variant.share for variant in campaign.variants.values()] or [1.0]
    ends = (*list(accumulate(parts))[:-1], 1.0)
    left = 1 - campaign.holdout
    shares = {place: left * (end - begin) for place, (begin, end) in enumerate(pairwise((0.0, *ends)))}
    conversion = campaign.conversion
    return Terms(
        design=Design(
            run=_run_of(campaign, holdout.share if holdout else 0.0, salt),
            variants=tuple(campaign.variants) or (None,),
            shares=shares | ({HELD_OUT: campaign.holdout} if campaign.holdout > 0 else {}),
            event=conversion.event if conversion else None,
            within_ms=conversion.within if conversion else 0,
            global_share=holdout.share if holdout else 0.0,
        ),
        live=campaign.status != "shadow",
        holdout_seed=seed_of(salt, campaign.id, "holdout"),
        global_seed=seed_of(salt, "", "holdout"),
        variant_seed=seed_of(salt, campaign.id, "variant"),
        ends=ends,
        cost_micros=round(campaign.cost_per_trigger * 1_000_000),
        per_hour_max=campaign.max_per_hour,
        caps=tuple(Cap(cap.limit, cap.per) for cap in definitions.caps if cap.channel == campaign.channel),
        channel=campaign.channel,
    )


def _run_of(campaign: Campaign, global_share: float, salt: str) -> str:
    part = ("trigger", "channel", "send", "include_traits", "delay", "cooldown", "quiet_hours", "on_exit", "holdout",
            "variants", "conversion", "on_backfill")  # fmt: skip
    said = campaign.model_dump(mode="json", include=set(part))
    return _digest(said | {"global_share": global_share, "salt": salt})


def _digest(said: object) -> str:
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=RUN_LENGTH // 2).hexdigest()
