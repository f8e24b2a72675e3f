"""Making a process ready for the first record: the pass compiled, and the garbage collector told what it is in for."""

import gc

from worker.core.engine import Engine
from worker.language import definitions
from worker.language.mapping import Mapping

__all__ = ["warm_up"]

DEFINITIONS = "{version: 0, segments: [{id: warm, enter: views_total > 0}]}"
ANOTHER = "{version: 1, segments: [{id: warm, enter: orders_total > 0}]}"
# A batch is a hundred thousand objects that live until its end, none of them in a cycle. Looking through them every 700
# objects, as Python does by itself, takes a tenth of all CPU and finds nothing.
OBJECTS_BETWEEN_COLLECTIONS = 200_000
EVENT = b'{"type":"track","event":"Product Viewed","userId":"warm-up","timestamp":0,"properties":{}}'


def warm_up() -> None:
    """Have the pass compiled, or fetched from the cache, by an engine that is thrown away."""
    mapping = Mapping.load()
    engine = Engine(definitions.load(DEFINITIONS, mapping), mapping)
    engine.step([EVENT], [0], wall_ms=0)
    engine.tick(1, wall_ms=0)
    engine.publish(definitions.load(ANOTHER, mapping), wall_ms=0)
    engine.explain("warm-up")
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
    gc.freeze()  # what the compiler keeps lasts as long as the process: no collection need look at it again
