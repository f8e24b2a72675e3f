"""Ready and alive: who may take work, and who should be put down."""

import pytest

from worker.observe.health import STATES, Health


def health(**states: str) -> Health:
    """A worker that has its assignment, with partitions `p0`, `p1` … in these states since second 0."""
    told = Health()
    told.joined(assigned=True)
    for name, state in states.items():
        told.partition(int(name[1:]), state, 0.0)
    return told


def test_nothing_is_ready_before_the_group_has_assigned() -> None:
    """Not even with nothing to do; then a worker without partitions is ready, until it has left."""
    told = Health()
    assert told.ready(0.0) == (False, {"ready": False, "joined": False, "partitions": {}})
    told.joined(assigned=True)
    assert told.ready(0.0)[0]
    told.joined(assigned=False)
    assert not told.ready(0.0)[0]


@pytest.mark.parametrize("state", STATES)
def test_a_partition_is_ready_when_it_runs_or_restores(state: str) -> None:
    """Of all states, these two."""
    assert health(p0=state).ready(1.0)[0] == (state in {"running", "restoring"})


def test_one_partition_that_is_not_ready_is_enough() -> None:
    """The body says which, and why."""
    told = health(p0="running", p12="running", p2="running")
    told.partition(2, "stopped", 4.0, detail="The state topic is gone: restore it.")
    ready, body = told.ready(10.0)
    assert not ready
    assert list(body["partitions"]) == ["0", "2", "12"]
    assert body["partitions"]["2"] == {
        "state": "stopped", "seconds": 6.0, "detail": "The state topic is gone: restore it.",
    }  # fmt: skip


def test_a_restore_is_ready_while_it_grows() -> None:
    """Thirty seconds without growth end it, growth brings it back; less or the same is no growth."""
    told = health(p0="restoring")
    assert told.ready(29.9)[0]
    told.partition(0, "restoring", 20.0, progress=5.0)
    assert told.ready(49.9)[0]
    told.partition(0, "restoring", 40.0, progress=5.0)
    told.partition(0, "restoring", 45.0, progress=4.0)
    assert not told.ready(50.0)[0]
    told.partition(0, "restoring", 51.0, progress=6.0)
    ready, body = told.ready(80.9)
    assert ready
    assert body["partitions"]["0"]["progress"] == 6.0
    assert body["partitions"]["0"]["seconds"] == 80.9


def test_a_restore_that_begins_again_has_its_time_again() -> None:
    """What an earlier attempt had reached doesn't count against it."""
    told = health(p0="restoring")
    told.partition(0, "restoring", 1.0, progress=900.0)
    told.partition(0, "backing_off", 40.0)
    told.partition(0, "restoring", 50.0, progress=0.0)
    told.partition(0, "restoring", 79.0, progress=1.0)
    assert told.ready(108.0)[0]


def test_a_forgotten_partition_counts_no_more() -> None:
    """Also if nobody has heard of it."""
    told = health(p0="stopped")
    told.forget(0)
    told.forget(1)
    assert told.ready(0.0) == (True, {"ready": True, "joined": True, "partitions": {}})


def test_an_unknown_state_is_a_mistake_of_ours() -> None:
    """It is told where it is made."""
    with pytest.raises(AssertionError, match="asleep"):
        health(p0="asleep")


def test_a_worker_lives_while_its_loop_beats() -> None:
    """Not before the first beat, nor thirty seconds after the last."""
    told = Health()
    assert told.live(0.0) == (False, {"live": False, "heartbeat_seconds": None})
    told.beat(100.0)
    assert told.live(129.9) == (True, {"live": True, "heartbeat_seconds": 29.9})
    assert not told.live(130.0)[0]


def test_life_does_not_depend_on_partitions() -> None:
    """A worker whose partitions are all stopped, or that never joined, isn't restarted for it."""
    told = health(p0="stopped", p1="backing_off")
    told.joined(assigned=False)
    told.beat(1.0)
    assert told.live(2.0)[0]
