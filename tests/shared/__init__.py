# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is the same for a driver on every system: its protocol, and bodies of tests."""

import pytest

# So that a body that does not hold says with which values.
pytest.register_assert_rewrite("tests.shared.bodies", "tests.shared.protocol")
