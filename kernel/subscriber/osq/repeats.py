# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A log line for something that goes on: at once, then at intervals that double up to an hour."""

import time

_FIRST_S = 1.0
_LONGEST_S = 3600.0


class Repeats:
    """Counts how often something happens, and decides when the log needs another line about it."""

    def __init__(self) -> None:
        self.count = 0
        self._due_s = 0.0
        self._pause_s = _FIRST_S

    def is_due(self) -> bool:
        """Count one occurrence; return whether the log should have a line about this one."""
        self.count += 1
        now_s = time.monotonic()
        if self.count > 1 and now_s < self._due_s:
            return False
        self._due_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_S)
        return True
