"""The numbers that conditions compare a target's probability with."""

from worker.language.definitions import load
from worker.language.mapping import SHIPPED, Mapping
from worker.language.thresholds import thresholds_of

FILE = """\
version: 1
segments:
  - {id: likely, enter: probability("buy") >= 0.7 and orders_total > 3, exit: probability("buy") < 0.5}
  - id: tiers
    tiers:
      - {id: high, enter: 0.9 <= probability("buy")}
      - {id: low, enter: not probability("buy") > 0.7}
  - {id: both, enter: probability("buy") > probability("stay")}
targets:
  - {id: buy, positive: order, horizon: 7d}
  - {id: stay, positive: silence, horizon: 30d}
"""


def test_thresholds_are_read_off_the_conditions_of_all_segments_and_tiers() -> None:
    """Each once, ascending, whichever side it is on; what is compared with something else has none."""
    checked = load(FILE, Mapping.parse(SHIPPED.read_text(encoding="utf-8")))
    assert thresholds_of(checked) == {"buy": (0.5, 0.7, 0.9), "stay": ()}
