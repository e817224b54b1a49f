# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Code that is the same for a driver on every system: its protocol, and bodies of tests."""

import pytest

# With this, a failed assertion in a body prints the compared values.
pytest.register_assert_rewrite("tests.shared.bodies", "tests.shared.protocol")
