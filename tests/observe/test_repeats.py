"""How often the same may be said."""

from worker.observe.repeats import MESSAGES_MAX, SAID_MAX, WINDOW_SECONDS, Repeats


def test_a_message_is_said_so_often_and_then_counted() -> None:
    """The first ones pass; when the window is over the rest is told once, and saying it begins anew."""
    repeats = Repeats()
    said = [repeats.admits("away", now / 100) for now in range(50)]
    assert said == [True] * SAID_MAX + [False] * (50 - SAID_MAX)
    assert list(repeats.left_out(WINDOW_SECONDS - 0.01)) == []
    assert list(repeats.left_out(WINDOW_SECONDS)) == [("away", 50 - SAID_MAX)]
    assert list(repeats.left_out(WINDOW_SECONDS)) == []
    assert repeats.admits("away", WINDOW_SECONDS)


def test_other_messages_are_none_of_its_business() -> None:
    """A flood of one holds back no other."""
    repeats = Repeats()
    for _ in range(100):
        repeats.admits("away", 0.0)
    assert repeats.admits("back", 0.0)


def test_what_was_never_held_back_is_never_told() -> None:
    """As often as allowed leaves nothing to report."""
    repeats = Repeats()
    assert all(repeats.admits("away", 0.0) for _ in range(SAID_MAX))
    assert list(repeats.left_out(WINDOW_SECONDS)) == []


def test_messages_that_are_all_different_do_not_fill_the_memory() -> None:
    """The oldest windows close early, and tell what they held back."""
    repeats = Repeats()
    for _ in range(SAID_MAX + 3):
        repeats.admits("first", 0.0)
    for number in range(3 * MESSAGES_MAX):
        repeats.admits(number, 0.0)
    assert list(repeats.left_out(0.0)) == [("first", 3)]
    assert len(repeats._windows) == MESSAGES_MAX
