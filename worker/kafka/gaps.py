"""Going on where the next record isn't there: retention was faster, or the topic was made anew.

The rule: what was missed is told, and nothing is read twice that is there still.
"""

from aiokafka import AIOKafkaConsumer

from worker.observe.logs import log

__all__ = ["leave_gaps"]


async def leave_gaps(consumer: AIOKafkaConsumer, logger: str, told: str) -> None:
    """Have a consumer go on at the first record there is, wherever its next one isn't; say so in the log."""
    places = list(consumer.assignment())
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    for place in places:
        offset = await consumer.position(place)
        if not begins[place] <= offset <= ends[place]:
            missed = max(0, begins[place] - offset)
            log(logger).error(told, topic=place.topic, partition=place.partition, records=missed)
            consumer.seek(place, begins[place])
