"""Consumer groups as brokers describe them: their state, and who is in them."""

from typing import Any

from aiokafka.errors import KafkaError

__all__ = ["described"]


async def described(client: Any, name: str) -> dict[str, Any]:
    """Return a group's state and its members; `client` is an admin client."""
    try:
        (response,) = await client.describe_consumer_groups([name])
    except KafkaError as error:
        return {"name": name, "state": f"unknown ({type(error).__name__})", "members": []}
    (group,) = response.to_object()["groups"]
    members = [
        {"client": member["client_id"], "host": member["client_host"].removeprefix("/")} for member in group["members"]
    ]
    return {
        "name": name,
        "state": group["state"] or "unknown",
        "members": sorted(members, key=lambda member: member["client"]),
    }
