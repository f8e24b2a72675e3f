"""A deployment at a glance: brokers, topics, the newest definitions and model, and how each role does.

The rule: what can't be found out is told as that and keeps nothing else from being told.
"""

from typing import Any

from worker.kafka import topics
from worker.kafka.clients import admin
from worker.operations import models
from worker.operations.commanding import Progress, pauses
from worker.operations.publishing import history
from worker.operations.standing import roles
from worker.settings import Settings

__all__ = ["overview"]


async def overview(settings: Settings, seconds_max: float, progress: Progress | None = None) -> dict[str, Any]:
    """Return everything as one object of JSON; a partition that doesn't answer in time has `answered` false."""
    findings = await topics.check(settings)
    missing = {name for finding in findings if finding.severity == "fatal" for name in finding.topics}
    return {
        "brokers": await _brokers(settings),
        "topics": [
            {"severity": finding.severity, "topics": list(finding.topics), "said": finding.trouble}
            for finding in findings
        ],
        "definitions": await _definitions(settings, missing),
        "model": await _model(settings, missing),
        "paused": [] if settings.topic("commands") in missing else await pauses(settings),
        "roles": await roles(settings, missing, seconds_max, progress),
    }


async def _brokers(settings: Settings) -> list[dict[str, Any]]:
    async with admin(settings) as client:
        brokers = (await client.describe_cluster())["brokers"]
    found = [{"id": broker["node_id"], "host": broker["host"], "port": broker["port"]} for broker in brokers]
    return sorted(found, key=lambda broker: broker["id"])


async def _definitions(settings: Settings, missing: set[str]) -> dict[str, Any] | None:
    """Return the newest version; None if there is none, or no topic of them."""
    published = await history(settings) if settings.topic("definitions") not in missing else []
    if not published:
        return None
    newest = published[-1].definitions
    return {"version": newest.version, "hash": newest.hash, "published_at": newest.published_at}


async def _model(settings: Settings, missing: set[str]) -> dict[str, Any] | None:
    """Return the newest model, and whether models are frozen; None if there is none, or no topic of them."""
    if missing & {settings.topic("models"), settings.topic("commands")}:
        return None
    usable = [model for model in await models.history(settings) if model.snapshot]
    if not usable:
        return None
    snapshot = usable[-1].snapshot
    assert snapshot is not None, "it is usable"
    return {
        "version": snapshot.version, "hash": snapshot.hash, "published_at": usable[-1].published_at,
        "frozen": await models.are_frozen(settings),
    }  # fmt: skip
