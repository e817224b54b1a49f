# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Have Ctrl-C mean something, for this process and those that tests start.

    A shell starts what is in the background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
