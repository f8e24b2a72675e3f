"""The numbers that learning turns on, in one place, each with its reason.

Counts are of samples of one target unless said otherwise.
"""

from typing import Final, NamedTuple

__all__ = [
    "ALPHA_PROMOTION", "ALPHA_ROLLBACK", "BATCH", "CALIBRATED", "CALIBRATED_LEAST", "CALIBRATION_PRIOR",
    "COMPARED_LEAST", "DAY_MS", "DECISIONS_KEPT", "EPOCH", "EVALUATED", "EVIDENCE_LEAST", "EXPORTS_MOST",
    "GROUPS_MOST", "GROUP_LEAST", "IDS_REMEMBERED", "L2", "LIMIT", "LOG_LOSS_CLIP", "NEVER_S", "NEWS_LEAST",
    "NEWS_MS_MAX", "NEWS_ROWS", "PRIOR_HURRIED", "PRIOR_MEMORY", "RATE", "RECENT", "REPLAYED_BEFORE", "SCALE_LEAST",
    "SEED", "SETTLED", "TRAIT_LENGTH_MAX", "TREE", "WAITING_MOST", "YOUNG",
]  # fmt: skip

DAY_MS: Final = 86_400_000
SEED: Final = 20_260_101  # of every pseudo-random choice: which samples are looked at again, the tree's bootstrap

# Preparation
NEVER_S: Final = 2 * 365 * 86_400.0  # stands for the time since what never was: longer than most have been customers
SCALE_LEAST: Final = 0.2  # of a prepared feature: one that hardly varies isn't blown up where it does
LIMIT: Final = 3.0  # of a scaled feature: what is farther out counts as that far

# The linear learner. While it is young each small batch is followed by as large ones drawn from the recent, since
# single steps are too little of few samples; later one step of a whole mini-batch is as good and many times as fast.
BATCH: Final = 128  # samples that learners are given at once
RATE: Final = 0.025
L2: Final = 1e-3
RECENT: Final = 8_192  # kept whole: replayed, and learnt anew by a tree that is resumed
REPLAYED_BEFORE: Final = 1_024  # samples from before an alarm that are replayed after it


class Pace(NamedTuple):
    """Samples of a step, steps of replay after each, and how much of the weights' average a step keeps."""

    batch: int
    replays: int
    kept: float


YOUNG: Final = Pace(16, 8, 0.995)  # until `RECENT` are learnt
SETTLED: Final = Pace(BATCH, 0, 0.9)

# The tree: of the settings tried the one whose quality depends least on its seed
TREE: Final = {"grace_period": 200, "delta": 1e-4, "tau": 0.05, "max_depth": 6, "leaf_prediction": "mc"}

# The floor: the rate of positives among about this many last ones
PRIOR_MEMORY: Final = 4_096
PRIOR_HURRIED: Final = 256  # what it remembers of before an alarm

# Honest scores: an export a day, for the longest horizon and a month of lateness, at most so many
EXPORTS_MOST: Final = 400
WAITING_MOST: Final = 20_000  # samples whose horizon isn't over; beyond that the nearest to its end is learnt early

CALIBRATED: Final = 2_048  # scores that calibration is fitted to
CALIBRATED_LEAST: Final = 200
# Pulls slope to 1 and shift to 0, in units of information: few scores move little
CALIBRATION_PRIOR: Final = (8.0, 4.0)
EVALUATED: Final = 4_096  # honest scores that metrics are over

# What declared traits tell apart
TRAIT_LENGTH_MAX: Final = 64  # of a value as text
GROUPS_MOST: Final = 20  # values of a trait, the rest is one group
GROUP_LEAST: Final = 30  # scores of a value that is named: of fewer a rate says nothing

# Who is live
EVIDENCE_LEAST: Final = 50  # positives, and negatives, before there is any probability
COMPARED_LEAST: Final = 200  # paired scores before a comparison may decide: its bound is asymptotic
EPOCH: Final = 4_096  # paired scores, then a comparison begins anew: what was long ago doesn't hide what is
ALPHA_PROMOTION: Final = 0.01  # false promotions per epoch and challenger
ALPHA_ROLLBACK: Final = 0.05  # false rollbacks per epoch: going back to what held costs less than staying
LOG_LOSS_CLIP: Final = 1e-3  # of probabilities in comparisons: one surprise is worth 6.9 at most

# News: a snapshot for every change of who is live, and for scores that moved this much on average
NEWS_LEAST: Final = 0.01
NEWS_ROWS: Final = 512  # last samples on which that is measured
NEWS_MS_MAX: Final = 3 * DAY_MS  # of event time without any: a snapshot says that all is as it was

DECISIONS_KEPT: Final = 50
IDS_REMEMBERED: Final = 65_536  # of samples and as many of observations: what comes again within so many is known
