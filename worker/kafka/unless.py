"""Waiting that ends when a worker is told to stop.

The rule: only what may be given up at any moment is waited for like this; a transaction under way is not.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["unless"]

Result = TypeVar("Result")


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Do some work, but give it up once told to stop; then return None. Raises what the work raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait([working])
    return None if working.cancelled() else working.result()
