# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the driver's drgn plugin, on made-up values.

tests/system/test_memory.py reads real memory with it.
"""

from pathlib import Path

import pytest

from harness.memory import drgn_program

PLUGIN = Path(__file__).resolve().parents[3] / "kernel" / "debug" / "osq_drgn.py"


@pytest.mark.parametrize(
    ("recorded", "counted", "held", "live", "verdict"),
    [
        (3, 3, False, False, "the counters add up"),
        (3, 3, True, True, "the counters add up"),
        (3, 4, True, False, "not compared while the lock is held"),
        (3, 4, False, False, "THE COUNTERS DO NOT ADD UP, the ring holds 4"),
        (3, 4, False, True, "THE COUNTERS DO NOT ADD UP, the ring holds 4, unless the guest ran"),
    ],
)
def test_ring_counters_that_differ_from_the_bitmaps_are_called_wrong_unless_the_lock_is_held(
    recorded: int,
    counted: int,
    held: bool,  # noqa: FBT001
    live: bool,  # noqa: FBT001
    verdict: str,
) -> None:
    """The driver's drgn plugin reports counters that differ, unless the ring's lock is held."""
    plugin = drgn_program.load_plugin(PLUGIN)

    assert plugin._verdict(recorded, counted, held=held, live=live).startswith(verdict)


def test_plugin_registers_a_drgn_command() -> None:
    """The driver's drgn plugin registers the command %osq in drgn's shell."""
    drgn_program.load_plugin(PLUGIN)
    commands = pytest.importorskip("drgn.commands")

    assert "osq" in commands.DEFAULT_COMMAND_NAMESPACE._commands
