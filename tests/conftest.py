# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings for all tests."""

import os
import signal

# Hints name the program as it was called; here that is pytest, which runs no task.
os.environ["MODLAB_PROGRAM"] = "modlab"


def pytest_configure() -> None:
    """Restore the default action of Ctrl-C in this process and those that tests start.

    A shell starts background commands with SIGINT ignored, and child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
