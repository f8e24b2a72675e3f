"""Campaigns, variants and caps of the definitions as table rows; columns are still names."""

from collections.abc import Callable
from datetime import datetime

from schemas.definitions import Campaign, Definitions, channels
from schemas.events import KINDS
from worker.core.checks import LIVE, PAUSE, SHADOW
from worker.core.interning import Strings
from worker.core.layout import FOREVER, NEVER, SENDS_REMEMBERED
from worker.core.lowering import Lowering, Row
from worker.core.seeds import seed_of
from worker.core.segments import ENTERED, EXITED
from worker.language.definitions import unix_ms

__all__ = ["CampaignTables"]

_STATUS = {"live": LIVE, "shadow": SHADOW, "paused": PAUSE}


class CampaignTables:
    """Rows of the tables `campaigns`, `variants` and `caps`, and the order in which campaigns take their turn."""

    def __init__(self, definitions: Definitions, retired: list[str], lowering: Lowering, strings: Strings,
                 units: list[Row], segments: dict[str, Row]) -> None:  # fmt: skip
        self.definitions = definitions
        self.retired = retired
        self.lowering = lowering
        self.strings = strings
        self.units = units
        self.segments = segments
        self.channels = channels(definitions)
        self.capped = {cap.channel for cap in definitions.caps}
        self.salt = definitions.holdout.salt if definitions.holdout else ""
        self.variants: list[Row] = []

    def campaigns(self, braked: frozenset[str], hours_max: Callable[[int], int]) -> list[Row]:
        """Return a row per campaign, the retired ones last."""
        rows = []
        for campaign in self.definitions.campaigns:
            row = self._campaign(campaign) | self._trigger(campaign) | self._limits(campaign)
            row["braked"] = int(campaign.id in braked)
            if self.definitions.targets:
                row["fired"] = self.lowering.column(f"fired:{campaign.id}", "wide", 1, NEVER)
            row["hour_max"] = -1 if campaign.max_per_hour is None else hours_max(campaign.max_per_hour)
            rows.append(row)
        rows += [self._columns(campaign) | {"retired": 1, "backfill": 0} for campaign in self.retired]
        return rows

    def caps(self) -> list[Row]:
        """Return a row per cap."""
        return [
            {"channel": self.channels.index(cap.channel), "sends": self._sends(cap.channel)[0], "limit": cap.limit,
             "per": cap.per}
            for cap in self.definitions.caps
        ]  # fmt: skip

    def turns(self) -> list[int]:
        """Return campaigns by priority, higher first, then by their place in the file; retired ones come first."""
        listed = len(self.definitions.campaigns)
        by_priority = sorted(range(listed), key=lambda place: -self.definitions.campaigns[place].priority)
        return [*range(listed, listed + len(self.retired)), *by_priority]

    def _sends(self, channel: str | None) -> tuple[str | int, str | int]:
        """Return the columns that remember when a capped channel was last used."""
        if channel not in self.capped:
            return -1, -1
        column = self.lowering.column
        return (column(f"sends:{channel}", "wide", SENDS_REMEMBERED, NEVER), column(f"sends_place:{channel}", "narrow"))

    def _columns(self, campaign: str) -> Row:
        column = self.lowering.column
        return {
            "pending": column(f"pending:{campaign}", "wide", 4, FOREVER),
            "last": column(f"last:{campaign}", "wide", 4, NEVER),
            "last_variant": column(f"last_variant:{campaign}", "narrow", 1, -1),
        }

    def _campaign(self, campaign: Campaign) -> Row:
        return {
            **self._columns(campaign.id), "retired": 0, "status": _STATUS[campaign.status],
            "starts": _ms(campaign.starts, NEVER), "ends": _ms(campaign.ends, FOREVER),
            "delay": campaign.delay, "expires": campaign.expires,
            "cooldown": campaign.cooldown, "cancel": int(campaign.on_exit == "cancel"),
            "backfill": int(campaign.on_backfill), "holdout": campaign.holdout,
            "holdout_seed": seed_of(self.salt, campaign.id, "holdout"),
            "variant_seed": seed_of(self.salt, campaign.id, "variant"),
        }  # fmt: skip

    def _trigger(self, campaign: Campaign) -> Row:
        """Name the unit, the segment in it (-1: any) and the direction that a campaign waits for."""
        trigger = campaign.trigger
        wanted = trigger.entered or trigger.exited or ""
        group = wanted.partition(":")[0]
        unit = self.units.index(self.segments[group])
        return {
            "unit": unit,
            "segment": self.strings.number(wanted) if ":" in wanted else -1,
            "direction": ENTERED if trigger.entered else EXITED,
        }

    def _limits(self, campaign: Campaign) -> Row:
        row: Row = {"channel": -1, "consent": -1}
        if campaign.channel is not None:
            consent = self.lowering.column(f"consent:{campaign.channel}", "narrow", 1, -1)
            row |= {"channel": self.channels.index(campaign.channel), "consent": consent}
        row["sends"], row["sends_place"] = self._sends(campaign.channel)
        if campaign.quiet_hours is not None:
            quiet = campaign.quiet_hours
            row |= {"quiet_from": quiet.from_minutes, "quiet_to": quiet.to_minutes,
                    "quiet_drop": int(quiet.on_quiet == "drop")}  # fmt: skip
        if campaign.conversion is not None:
            row |= {"conversion": KINDS.index(campaign.conversion.event), "within": campaign.conversion.within}
        return row | self._variants(campaign)

    def _variants(self, campaign: Campaign) -> Row:
        first, until = len(self.variants), 0.0
        for name, variant in campaign.variants.items():
            until += variant.share
            self.variants.append({"text": self.strings.number(name), "until": until})
        return {"variants_first": first, "variants_last": len(self.variants)}


def _ms(moment: datetime | None, otherwise: int) -> int:
    return otherwise if moment is None else unix_ms(moment)
