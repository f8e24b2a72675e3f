"""The numbers that learning turns on, in one place, each with its reason.

Counts are of samples of one target unless said otherwise.
"""

from typing import Final

__all__ = [
    "ALPHA_PROMOTION", "ALPHA_ROLLBACK", "BATCH", "CALIBRATED", "CALIBRATION_PRIOR", "COMPARED_LEAST", "DAY_MS",
    "DECISIONS_KEPT", "EPOCH", "EVALUATED", "EVIDENCE_LEAST", "EXPORTS_MOST", "IDS_REMEMBERED", "L2_LEAST",
    "L2_SAMPLES", "LOG_LOSS_CLIP", "NEVER_S", "NEWS_LEAST", "NEWS_ROWS", "PRIOR_HURRIED", "PRIOR_MEMORY", "RATE",
    "RATE_INTERCEPT", "RECENT", "REPLAYED", "SCALE_LEAST", "SEED", "STEPS_MOST", "TREE", "WAITING_MOST",
]  # fmt: skip

DAY_MS: Final = 86_400_000
SEED: Final = 20_260_101  # of every pseudo-random choice: which samples are looked at again, the tree's bootstrap

# Preparation
NEVER_S: Final = 2 * 365 * 86_400.0  # stands for the time since what never was: longer than most have been customers
SCALE_LEAST: Final = 0.05  # of a prepared feature: one that hardly varies isn't blown up where it does

# The linear learner: each mini-batch of new samples comes with as many older ones, drawn from the recent; while there
# are few, more steps are taken over drawn ones: a mean gradient's single step is too little of them.
BATCH: Final = 128
REPLAYED: Final = 128
STEPS_MOST: Final = 32  # at the beginning; one from 2 x RECENT on
RATE: Final = 0.005  # Adam's: a faster one follows the first weeks' noise
RATE_INTERCEPT: Final = 0.05
L2_SAMPLES: Final = 300  # what weights of zero are worth: the penalty is this by the count of samples, and at least
L2_LEAST: Final = 1e-3
RECENT: Final = 8_192  # kept whole: replayed, and learnt anew by a tree that is resumed

# The tree: of the settings tried the one whose quality depends least on its seed
TREE: Final = {"grace_period": 200, "delta": 1e-4, "tau": 0.05, "max_depth": 6, "leaf_prediction": "mc"}

# The floor: the rate of positives among about this many last ones
PRIOR_MEMORY: Final = 4_096
PRIOR_HURRIED: Final = 256  # what it remembers of before an alarm

# Honest scores: an export a day, for the longest horizon and a month of lateness, at most so many
EXPORTS_MOST: Final = 400
WAITING_MOST: Final = 20_000  # samples whose horizon isn't over; beyond that the nearest to its end is learnt early

CALIBRATED: Final = 2_048  # honest scores that calibration is fitted to
CALIBRATION_PRIOR: Final = (
    8.0,
    4.0,
)  # pulls slope to 1 and shift to 0, in units of information: few scores move little
EVALUATED: Final = 4_096  # honest scores that metrics are over

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

DECISIONS_KEPT: Final = 50
IDS_REMEMBERED: Final = 65_536  # of samples, over all targets: a sample that comes again within so many is known
