"""The lift report's results, from Kafka."""

from typing import Any

from pydantic import ValidationError

from schemas.control import CampaignResult
from worker.errors import JobFailed
from worker.kafka.following import latest
from worker.settings import Settings

__all__ = ["results"]


async def results(settings: Settings) -> list[dict[str, Any]]:
    """Return the latest result of every campaign. Raises JobFailed if they can't be had."""
    found = []
    for record in await latest(settings, settings.topic("campaign-results")):
        try:
            found.append(CampaignResult.model_validate_json(record.value).model_dump(mode="json"))
        except ValidationError:
            raise JobFailed("campaign-results has a record of another release: update shoal lift and this.") from None
    return found
