"""Definitions on Kafka: published, listed, rolled back.

The rule: the newest version is the last record of the topic, not the highest number. The topic is compacted by version,
so a version published again moves to the end, and its earlier record goes.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from schemas.control import PublishedDefinitions
from worker.errors import JobFailed, WrongUsage
from worker.files.configuration import Configuration, checked, load, text_of
from worker.kafka.following import latest
from worker.kafka.writing import append, now
from worker.language.mapping import SHIPPED
from worker.operations.versions import chosen
from worker.settings import Settings

__all__ = ["Publication", "configuration_of", "history", "in_force", "newest", "publish", "rollback"]


@dataclass(frozen=True)
class Publication:
    """A published version, and where it stands in the topic."""

    definitions: PublishedDefinitions
    offset: int

    @property
    def label(self) -> str:
        """Version and the hash's first 12 digits."""
        return f"{self.definitions.version}/{self.definitions.hash[:12]}"

    @property
    def size_bytes(self) -> int:
        """How long the text is."""
        return len(self.definitions.text.encode())


async def history(settings: Settings) -> list[Publication]:
    """Return the versions there are, the newest last. Raises JobFailed for a record that is none."""
    topic = settings.topic("definitions")
    records = await latest(settings, topic)
    return [Publication(_read(record.value, topic, record.offset), record.offset) for record in records]


def _read(value: bytes, topic: str, offset: int) -> PublishedDefinitions:
    try:
        return PublishedDefinitions.model_validate_json(value)
    except ValidationError as error:
        raise JobFailed(
            f"What {topic} has at offset {offset} isn't a published version: publish that version again."
        ) from error


async def newest(settings: Settings) -> Publication:
    """Return the version in force. Raises JobFailed if there is none yet."""
    published = await history(settings)
    if not published:
        raise JobFailed("Nothing is published yet: shoal definitions publish F does it.")
    return published[-1]


async def in_force(settings: Settings) -> tuple[Configuration, str | None]:
    """Return what records are read under, and its label: the newest version, else what is shipped (without a label)."""
    published = await history(settings)
    if not published:
        return load(), None
    return configuration_of(published[-1].definitions), published[-1].label


async def publish(settings: Settings, under: Configuration) -> Publication | None:
    """Publish what was checked, as the newest version; return None, and write nothing, if it is that already.

    Raises WrongUsage if the same version was published with another meaning.
    """
    version, digest = under.checked.definitions.version, under.checked.hash
    published = await history(settings)
    for other in published:
        if other.definitions.version == version and other.definitions.hash != digest:
            raise WrongUsage(f"Version {version} is published with another meaning ({other.label}): raise `version`.")
    if published and (published[-1].definitions.version, published[-1].definitions.hash) == (version, digest):
        return None
    return await _write(settings, under)


async def rollback(settings: Settings, version: int | None = None) -> Publication:
    """Publish an earlier version again, as the newest: the one before the newest unless another is named.

    Raises WrongUsage if there is no such version, or it can't be used any more (with its mistakes).
    """
    published = await history(settings)
    by_version = {publication.definitions.version: publication.definitions for publication in published}
    wanted = chosen(list(by_version), version, "shoal definitions history")
    return await _write(settings, configuration_of(by_version[wanted]))


def configuration_of(published: PublishedDefinitions) -> Configuration:
    """Return a published version ready for use. Raises WrongUsage with its mistakes if it can't be used any more."""
    return checked(published.text, text_of(SHIPPED) if published.mapping is None else published.mapping)


async def _write(settings: Settings, under: Configuration) -> Publication:
    record = PublishedDefinitions(
        version=under.checked.definitions.version,
        hash=under.checked.hash,
        text=under.definitions_text,
        mapping=None if under.mapping_text == text_of(SHIPPED) else under.mapping_text,
        published_at=now(),
        published_by=settings.who,
    )
    offset = await append(settings, "definitions", str(record.version), record)
    return Publication(record, offset)
