"""Differences between two arms of a randomised trial: with an interval for one look, and one for looking all the time.

The rule: an interval of the first kind is right for whoever looks once, at a time fixed before; one of the second kind
for whoever looks as often as she likes and stops when she likes what she sees. Both hold for one comparison of one
variant, 95 times in 100.

Sources:
    Agresti, Caffo (2000), "Simple and effective confidence intervals for proportions and differences of proportions
        result from adding two successes and two failures", The American Statistician 54(4): one of each to each arm.
    Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence
        sequences", Annals of Statistics 52(6): theorem 2.2 for the boundary, appendix B.2 for where it is tightest,
        section 3 for the difference of two arms by its influence function.
    Lindon, Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS 35: the Bayes factor of counts
        against planned shares, which a wrong alarm of 1 in 1,000 keeps below 1,000 at all times together (Ville).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

__all__ = [
    "SUCCESSES_MIN", "TIGHTEST_AT_USERS", "USERS_MIN", "Interval", "Sums", "boundary", "difference",
    "evidence_of_mismatch", "ratio",
]  # fmt: skip

ALPHA = 0.05
USERS_MIN = 50
"""Users of either arm before there is any interval: all rest on the central limit theorem."""
SUCCESSES_MIN = 25
"""Users of either arm with a success, before there is an interval of amounts or of a ratio: these are skewed."""
TIGHTEST_AT_USERS = 2_000
"""The boundary is tightest when so many users of both arms are judged; fixed, since it may not depend on the data."""
PRIOR_USERS = 100
"""The weight, in users, of the prior around the planned shares."""

FIXED = NormalDist().inv_cdf(1 - ALPHA / 2)


@dataclass(frozen=True, slots=True)
class Sums:
    """Outcomes of an arm: of how many users, with a success of how many, their sum and the sum of their squares."""

    users: float
    successes: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean outcome of a user."""
        return self.total / self.users

    @property
    def squared_error(self) -> float:
        """The variance of the mean, from the unbiased variance of the outcomes."""
        centred = max(0.0, self.squares - self.total * self.total / self.users)
        return centred / (self.users - 1) / self.users

    def with_one_of_each(self) -> "Sums":
        """Add a success and a failure to outcomes that are 0 or 1."""
        return Sums(self.users + 2, self.successes + 1, self.total + 1, self.squares + 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, its bounds at all times together, and its bounds at one time fixed before."""

    estimate: float
    low: float
    high: float
    fixed_low: float
    fixed_high: float

    def scaled(self, factor: float, shift: float = 0.0) -> "Interval":
        """Return the interval of `factor` (> 0) times the quantity, plus `shift`."""
        return Interval(*(factor * part + shift for part in self.parts))

    @property
    def parts(self) -> tuple[float, float, float, float, float]:
        """The five numbers, in order."""
        return self.estimate, self.low, self.high, self.fixed_low, self.fixed_high


def boundary(users: float) -> float:
    """Return how many standard errors wide, to either side, the confidence sequence is at so many users."""
    log = -2 * math.log(ALPHA)
    scale = users * (log + math.log(log) + 1) / TIGHTEST_AT_USERS  # t rho^2
    return math.sqrt(2 * (scale + 1) / scale * math.log(math.sqrt(scale + 1) / ALPHA))


def difference(treated: Sums, control: Sums, *, binary: bool = False) -> Interval | None:
    """Return the difference of the means; None where there is too little to say. `binary`: outcomes are 0 or 1."""
    if min(treated.users, control.users) < USERS_MIN or not (binary or _enough_successes(treated, control)):
        return None
    estimate = treated.mean - control.mean
    if binary:
        treated, control = treated.with_one_of_each(), control.with_one_of_each()
    centre = treated.mean - control.mean
    error = math.sqrt(treated.squared_error + control.squared_error)
    return _around(estimate, centre, error, treated.users + control.users)


def ratio(treated: Sums, control: Sums, *, binary: bool = False) -> Interval | None:
    """Return the difference as a share of the control's mean (0.1: ten percent more), by the delta method on its log.

    None where there is too little to say.
    """
    if min(treated.users, control.users) < USERS_MIN or not _enough_successes(treated, control):
        return None
    estimate = math.log(treated.mean / control.mean)
    if binary:
        treated, control = treated.with_one_of_each(), control.with_one_of_each()
    centre = math.log(treated.mean / control.mean)
    error = math.sqrt(treated.squared_error / treated.mean**2 + control.squared_error / control.mean**2)
    logs = _around(estimate, centre, error, treated.users + control.users)
    return Interval(*(math.expm1(part) for part in logs.parts))


def _enough_successes(treated: Sums, control: Sums) -> bool:
    return min(treated.successes, control.successes) >= SUCCESSES_MIN


def _around(estimate: float, centre: float, error: float, users: float) -> Interval:
    """Return the interval around a centre, which may lie a little off the estimate that is shown."""
    wide, narrow = boundary(users) * error, FIXED * error
    bounds = (centre - wide, centre + wide, centre - narrow, centre + narrow)
    return Interval(estimate, *(min(bound, estimate) if at % 2 == 0 else max(bound, estimate)
                                for at, bound in enumerate(bounds)))  # fmt: skip


def evidence_of_mismatch(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return the log10 of the Bayes factor against users having been assigned in the planned shares (> 0, sum 1).

    3 or more happens once in 1,000 trials that are right, however often one looks. Infinite if somebody is where
    nobody was to be.
    """
    if any(count and not shares.get(name) for name, count in counts.items()):
        return math.inf
    planned = {name: share for name, share in shares.items() if share > 0}
    users = sum(counts.get(name, 0) for name in planned)
    log = math.lgamma(PRIOR_USERS) - math.lgamma(PRIOR_USERS + users)
    for name, share in planned.items():
        prior, count = PRIOR_USERS * share, counts.get(name, 0)
        log += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log / math.log(10)
