"""Since when records are in a topic, without reading them: whoever may describe a topic may ask this.

The rule: brokers find the first record that is not older than an instant; the latest instant for which that is no later
than a given offset is when everything up to there was written. Found by halving.
"""

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

__all__ = ["ages_seconds"]

EXACT_MS = 100


async def ages_seconds(reading: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, float]:
    """Return how long ago the record at each offset was written, by the topic's timestamps, to a tenth of a second.

    Where timestamps aren't in order it is the latest one up to there. 0 for what is said to come from the future.
    """
    now_ms = time.time_ns() // 1_000_000
    low, high = dict.fromkeys(offsets, 0), dict.fromkeys(offsets, now_ms)
    while asked := {
        place: (low[place] + high[place] + 1) // 2 for place in offsets if high[place] - low[place] > EXACT_MS
    }:
        found = await reading.offsets_for_times(dict(asked))
        for place, instant_ms in asked.items():
            first = found.get(place)
            if first is not None and first.offset <= offsets[place]:
                low[place] = max(instant_ms, first.timestamp)
            else:
                high[place] = instant_ms - 1
    return {place: max(0, now_ms - at_ms) / 1000 for place, at_ms in low.items()}
