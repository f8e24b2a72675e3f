"""A deployment at a glance: brokers, topics, the newest definitions and model, workers, trainers, each partition.

The rule: what can't be found out is told as that and keeps nothing else from being told.
"""

import time
from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition

from schemas.access import LEARNT_FROM
from schemas.control import Answer
from worker.kafka import topics
from worker.kafka.clients import admin, reader
from worker.kafka.following import Span, pieces, spans_of
from worker.kafka.offsets import committed
from worker.operations import models
from worker.operations.commanding import ask, pauses, status_command
from worker.operations.groups import described
from worker.operations.publishing import history
from worker.settings import Settings

__all__ = ["overview"]

Progress = Callable[[int, int | None, int], None]


async def overview(settings: Settings, seconds_max: float, progress: Progress | None = None) -> dict[str, Any]:
    """Return everything as one object of JSON; a partition that doesn't answer in time has `answered` false."""
    findings = await topics.check(settings)
    brokers, group, trainers = await _cluster(settings)
    missing = {name for finding in findings if finding.severity == "fatal" for name in finding.topics}
    asked = {settings.events_topic, *map(settings.topic, ("commands", "answers"))}
    return {
        "brokers": brokers,
        "topics": [
            {"severity": finding.severity, "topics": list(finding.topics), "said": finding.trouble}
            for finding in findings
        ],
        "definitions": await _definitions(settings, missing),
        "model": await _model(settings, missing),
        "paused": [] if settings.topic("commands") in missing else await pauses(settings),
        "group": group,
        "trainer": trainers | {"lag_records": await _unlearnt(settings, missing)},
        # Without workers nobody will answer: whoever looks needn't wait to be told.
        "partitions": await _partitions(settings, seconds_max if group["members"] else 0, progress)
        if not asked & missing
        else [],
    }


async def _cluster(settings: Settings) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Return the brokers, the workers' group and the trainers'."""
    async with admin(settings) as client:
        cluster = await client.describe_cluster()
        brokers = [
            {"id": broker["node_id"], "host": broker["host"], "port": broker["port"]} for broker in cluster["brokers"]
        ]
        workers, trainers = await described(client, settings.group), await described(client, settings.trainer)
        return sorted(brokers, key=lambda broker: broker["id"]), workers, trainers


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


async def _unlearnt(settings: Settings, missing: set[str]) -> int | None:
    """Return how many records the trainer has yet to learn from; None if no trainer has ever begun."""
    topics_learnt = list(map(settings.topic, LEARNT_FROM))
    if missing & set(topics_learnt):
        return None
    async with reader(settings) as reading:
        spans = {place: span for name in topics_learnt for place, span in (await spans_of(reading, name)).items()}
    reached = await committed(settings, settings.trainer, spans)
    if not reached:
        return None
    return sum(span.end - max(span.begin, reached[place].offset) for place, span in spans.items() if place in reached)


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
