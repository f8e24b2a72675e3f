"""How hypothesis works here: no test fails because the machine is slow, and on a CI machine examples are fixed.

A failing example is printed with a `@reproduce_failure` line.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shoal",
    deadline=None,
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile("shoal")
