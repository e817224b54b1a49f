# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One moment on two clocks: the calendar, which somebody may set, and the time since boot."""

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment by CLOCK_REALTIME, in seconds, and by CLOCK_BOOTTIME, in nanoseconds."""

    time_s: int = 0
    boot_ns: int = 0

    @classmethod
    def now(cls) -> Self:
        """Return the present moment."""
        return cls(time_s=int(time.time()), boot_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME))
