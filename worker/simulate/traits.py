"""What `identify` tells of a shopper: country, language, age group, zone, consents. All are hashes of her number."""

import numpy as np
from numpy.typing import NDArray

from worker.simulate.draws import Dice
from worker.simulate.shoppers import PLACES, Population

__all__ = ["consents", "identify_traits"]

AGE_GROUPS = {"18-24": 0.16, "25-34": 0.28, "35-44": 0.24, "45-54": 0.17, "55+": 0.15}
CONSENTS = {"email": 0.60, "push": 0.35, "profiling": 0.85}


def consents(users: NDArray[np.integer], channel: str, dice: Dice) -> NDArray[np.bool_]:
    """Which of the users agree to messages on a channel, or to profiling."""
    return dice.uniform(f"consent {channel}", users) < CONSENTS[channel]


def identify_traits(users: NDArray[np.uint32], unsubscribed: NDArray[np.bool_], people: Population) -> list[str]:
    """The `traits` object of each user as JSON text."""
    shares = np.round(np.cumsum(list(AGE_GROUPS.values())), 9)
    ages = np.minimum(np.searchsorted(shares, people.dice.uniform("age", users), "right"), len(AGE_GROUPS) - 1)
    agreed = {channel: consents(users, channel, people.dice) for channel in CONSENTS}
    agreed["email"] &= ~unsubscribed
    groups = list(AGE_GROUPS)
    texts = []
    for row, place_number in enumerate(people.places(users).tolist()):
        place = PLACES[place_number]
        given = ",".join(f'"{channel}":{"true" if agreed[channel][row] else "false"}' for channel in CONSENTS)
        texts.append(
            f'{{"country":"{place.country}","language":"{place.language}","age_group":"{groups[ages[row]]}",'
            f'"timezone":"{place.zone}","consent":{{{given}}}}}'
        )
    return texts
