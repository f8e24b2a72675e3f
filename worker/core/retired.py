"""What a version leaves behind: ids that the one before had, whose members leave and whose triggers are cancelled."""

from dataclasses import dataclass

from schemas.definitions import Definitions

__all__ = ["Retired", "RetiredCampaign", "retired_by"]


@dataclass(frozen=True)
class RetiredCampaign:
    """What is still needed of a campaign that is gone: whose pending triggers are cancelled."""

    id: str
    channel: str | None


@dataclass(frozen=True)
class Retired:
    """What the version before had and this one hasn't: segment ids, ids of clusters segments, campaigns."""

    segments: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    campaigns: tuple[RetiredCampaign, ...] = ()


def retired_by(after: Definitions, old: Definitions) -> Retired:
    """Return what `old` has and `after` hasn't."""
    kept = {campaign.id for campaign in after.campaigns}
    campaigns = tuple(RetiredCampaign(c.id, c.channel) for c in old.campaigns if c.id not in kept)
    segments, clusters = (
        tuple(name for name in before if name not in names)
        for before, names in zip(_ids(old), _ids(after), strict=True)
    )
    return Retired(segments, clusters, campaigns)


def _ids(definitions: Definitions) -> tuple[list[str], list[str]]:
    """Return the ids of segments and tiers, and of segments of clusters, in file order."""
    plain = [name for segment in definitions.segments if not segment.clusters for name in segment.member_ids]
    return plain, [segment.id for segment in definitions.segments if segment.clusters]
