"""Room for rows: what is moved or given back leaves the rest as it is."""

import numpy as np

from tests.core.support import ALL, Scenario
from worker.core.room import PIECE_ROWS, Room
from worker.core.state import Rows


def test_what_is_given_back_is_gone_and_its_neighbours_stay() -> None:
    """Of a row that shares a page with one outside nothing is lost; more rows than there are may be named."""
    room = Room(3_000, 40)
    room.rows[:] = np.arange(3_000).reshape(-1, 1)
    room.release(1_001, 2_000)
    assert (room.rows[:1_001, 0] == np.arange(1_001)).all()
    assert (room.rows[2_000:, 0] == np.arange(2_000, 3_000)).all()
    room.release(2_500, 9_999)
    assert (room.rows[2_000:2_500, 39] == np.arange(2_000, 2_500)).all()


def test_moved_rows_are_the_same_rows() -> None:
    """As many as are said, over several pieces, into room for more."""
    count = 2 * PIECE_ROWS + 7
    room, larger = Room(count + 5, 8), Room(9_000, 8)
    room.rows[:] = np.arange(count + 5).reshape(-1, 1)
    room.move_to(larger, count)
    assert (larger.rows[:count, 7] == np.arange(count)).all()
    assert not larger.rows[count:].any()


def test_rows_carried_over_in_any_order_are_the_same_rows() -> None:
    """Thousands of rows, to a larger layout, touched here and there before the rest: nothing of theirs changes."""
    scenario = Scenario(31, events=60)
    engine = scenario.drive(scenario.pair(), ALL).engine
    small, chance = engine.version.layout, np.random.default_rng(1)
    wanted = [(name, c.view, c.length, c.fill) for name, c in small.columns.items() if c.offset >= 15]
    large = type(small).of([*wanted, ("more", "wide", 40, -1)])
    rows = Rows(small, 0, 0)
    rows.add([f"u-{number}" for number in range(3 * PIECE_ROWS)])
    before = rows.rows[: rows.count, small["user_hash"]].copy()
    rows.change_layout(large, 1)
    for _ in range(9):
        rows.carried_over(chance.integers(0, rows.count, 700))
    rows.carried_over(np.arange(rows.count))
    assert (rows.rows[: rows.count, large["user_hash"]] == before).all()
    assert (rows.rows[: rows.count, large["more"]] == -1).all()
    assert rows._previous is None
