# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings of hypothesis for every test: no example fails because the machine is busy.

A conftest.py imports this module. By default an example that takes over 200 ms, or a strategy that
makes examples slowly, fails its test; on a machine that also runs guests, both happen by chance.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy machine")
