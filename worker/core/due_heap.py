"""The heap of those who fall due within a call, the earliest first and of these the lowest slot.

A binary heap over two arrays of `Outputs`, `counts[HEAP]` long.
"""

from worker.core.compiled import compiled
from worker.core.segments import HEAP
from worker.core.tables import Integer, Outputs

__all__ = ["pop", "push"]


@compiled
def push(o: Outputs, due: Integer, slot: Integer) -> None:
    """Put (due, slot) on the heap of what falls due within this call."""
    place = o.counts[HEAP]
    o.counts[HEAP] += 1
    while place > 0:
        parent = (place - 1) // 2
        if o.heap_due[parent] < due or (o.heap_due[parent] == due and o.heap_slot[parent] <= slot):
            break
        o.heap_due[place] = o.heap_due[parent]
        o.heap_slot[place] = o.heap_slot[parent]
        place = parent
    o.heap_due[place] = due
    o.heap_slot[place] = slot


@compiled
def pop(o: Outputs) -> None:
    """Take the first (due, slot) off the heap; the caller has read it at place 0."""
    o.counts[HEAP] -= 1
    size = o.counts[HEAP]
    due = o.heap_due[size]
    slot = o.heap_slot[size]
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        right = child + 1
        if right < size and (
            o.heap_due[right] < o.heap_due[child]
            or (o.heap_due[right] == o.heap_due[child] and o.heap_slot[right] < o.heap_slot[child])
        ):
            child = right
        if due < o.heap_due[child] or (due == o.heap_due[child] and slot <= o.heap_slot[child]):
            break
        o.heap_due[place] = o.heap_due[child]
        o.heap_slot[place] = o.heap_slot[child]
        place = child
    o.heap_due[place] = due
    o.heap_slot[place] = slot
