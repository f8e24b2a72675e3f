"""Who is in which arm: drawn here as the engine draws it."""

from tests.core.support import Story
from tests.lift.support import campaign
from tests.support.pair import checked_of
from worker.lift.designs import GLOBAL, HELD_OUT, terms_of


def test_arms_are_those_of_the_engine() -> None:
    """300 users, both holdouts and three variants: each of the engine's decisions is the arm that is drawn here."""
    variants = {"a": 0.2, "b": 0.3, "c": {"share": 0.5}}
    reminder = campaign(holdout=0.3, variants=variants)
    story = Story({"id": "cart", "enter": "cart_items > 0"}, campaigns=[reminder], holdout={"share": 0.2, "salt": "x"})
    for number in range(300):
        story.tell(number, "Product Added", user=f"u-{number}")
    terms = terms_of(checked_of(story.definitions))["reminder"]
    arms = {d["user_id"]: terms.arm_of(d["user_id"]) for d in story.decisions}
    for decision in story.decisions:
        arm = arms[decision["user_id"]]
        assert decision["outcome"] == ("fired" if arm >= 0 else "held_out")
        assert decision["variant"] == (terms.design.variants[arm] if arm >= 0 else None)
    assert set(arms.values()) == {GLOBAL, HELD_OUT, 0, 1, 2}
    assert terms.design.shares == {HELD_OUT: 0.3, 0: 0.7 * 0.2, 1: 0.7 * 0.3, 2: 0.7 * 0.5}
