"""A deployment at a glance: brokers, topics, the newest definitions, the workers' group, and each partition.

The rule: what can't be found out is told as that and keeps nothing else from being told.
"""

import time
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.control import Answer
from worker.kafka import topics
from worker.kafka.clients import admin, reader
from worker.kafka.following import Span, pieces, spans_of
from worker.operations.commanding import ask, status_command
from worker.operations.publishing import history
from worker.settings import Settings

__all__ = ["overview"]

Progress = Callable[[int, int | None, int], None]


async def overview(settings: Settings, seconds_max: float, progress: Progress | None = None) -> dict[str, Any]:
    """Return everything as one object of JSON; a partition that doesn't answer in time has `answered` false."""
    findings = await topics.check(settings)
    brokers, group = await _cluster(settings)
    missing = {name for finding in findings if finding.severity == "fatal" for name in finding.topics}
    asked = {settings.events_topic, *map(settings.topic, ("commands", "answers"))}
    return {
        "brokers": brokers,
        "topics": [
            {"severity": finding.severity, "topics": list(finding.topics), "said": finding.trouble}
            for finding in findings
        ],
        "definitions": await _definitions(settings, missing),
        "group": group,
        # Without workers nobody will answer: whoever looks needn't wait to be told.
        "partitions": await _partitions(settings, seconds_max if group["members"] else 0, progress)
        if not asked & missing
        else [],
    }


async def _cluster(settings: Settings) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    async with admin(settings) as client:
        described = await client.describe_cluster()
        brokers = [
            {"id": broker["node_id"], "host": broker["host"], "port": broker["port"]} for broker in described["brokers"]
        ]
        return sorted(brokers, key=lambda broker: broker["id"]), await _group(settings, client)


async def _group(settings: Settings, client: Any) -> dict[str, Any]:
    """Return the state of the workers' group and who is in it."""
    try:
        (response,) = await client.describe_consumer_groups([settings.group])
    except KafkaError as error:
        return {"name": settings.group, "state": f"unknown ({type(error).__name__})", "members": []}
    (group,) = response.to_object()["groups"]
    members = [
        {"client": member["client_id"], "host": member["client_host"].removeprefix("/")} for member in group["members"]
    ]
    return {
        "name": settings.group,
        "state": group["state"] or "unknown",
        "members": sorted(members, key=lambda member: member["client"]),
    }


async def _definitions(settings: Settings, missing: set[str]) -> dict[str, Any] | None:
    """Return the newest version; None if there is none, or no topic of them."""
    published = await history(settings) if settings.topic("definitions") not in missing else []
    if not published:
        return None
    newest = published[-1].definitions
    return {"version": newest.version, "hash": newest.hash, "published_at": newest.published_at}


async def _partitions(settings: Settings, seconds_max: float, progress: Progress | None) -> list[dict[str, Any]]:
    answers = await ask(settings, status_command(), seconds_max, progress)
    lags = await _lags_seconds(settings, {place: given for place, given in answers.items() if given is not None})
    return [
        {"partition": place, "answered": given is not None, **(given.body if given else {}), **lags.get(place, {})}
        for place, given in answers.items()
    ]


async def _lags_seconds(settings: Settings, answers: dict[int, Answer]) -> dict[int, dict[str, float | None]]:
    """Return for how long the first unread record of each partition has been there; None if it can't be seen."""
    lags: dict[int, dict[str, float | None]] = {}
    unread: dict[TopicPartition, Span] = {}
    async with reader(settings) as reading:
        for place, span in (await spans_of(reading, settings.events_topic)).items():
            given = answers.get(place.partition)
            if given is None:
                continue
            lags[place.partition] = {"lag_seconds": None if given.body.get("lag_records") else 0.0}
            begin = max(span.begin, int(str(given.body.get("next_offset", span.end))))
            unread[place] = Span(begin, min(begin + 1, span.end))
        async for piece in pieces(reading, unread):
            for record in piece:
                waited_ms = time.time_ns() // 1_000_000 - record.timestamp
                lags[record.partition] = {"lag_seconds": max(0.0, waited_ms / 1000)}
    return lags
