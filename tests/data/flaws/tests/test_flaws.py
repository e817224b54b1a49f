# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tests of a project that is not ours: each uses one flawed part of the module, and passes."""

import pytest

from harness.systems.ssh import Guest

KINDS = (
    *("use_after_free", "out_of_bounds", "double_free", "inversion", "atomic", "active_timer"),
    *("shift", "race", "leak"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_each_kind_to_dev_flaws_succeeds(guest: Guest, kind: str) -> None:
    """Nothing in user space shows the flaw."""
    guest.run(f"echo {kind} > /dev/flaws", deadline_s=60, check=False)
