# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Settings of these tests."""

from tests import busy_machine

__all__ = ["busy_machine"]
