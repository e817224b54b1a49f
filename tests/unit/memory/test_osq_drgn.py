# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's drgn plugin: how it judges; tests/system/test_memory.py has it on real memory."""

from pathlib import Path

import pytest

from harness.memory import drgn_program

PLUGIN = Path(__file__).resolve().parents[3] / "kernel" / "debug" / "osq_drgn.py"


@pytest.mark.parametrize(
    ("said", "counted", "held", "live", "verdict"),
    [
        (3, 3, False, False, "the counters add up"),
        (3, 3, True, True, "the counters add up"),
        (3, 4, True, False, "not to be judged while the lock is held"),
        (3, 4, False, False, "THE COUNTERS DO NOT ADD UP, the ring holds 4"),
        (3, 4, False, True, "THE COUNTERS DO NOT ADD UP, the ring holds 4, unless the guest ran"),
    ],
)
def test_counters_that_do_not_add_up_are_called_so(
    said: int,
    counted: int,
    held: bool,  # noqa: FBT001
    live: bool,  # noqa: FBT001
    verdict: str,
) -> None:
    """The ring's own records are counted, too; nothing is said while its lock is held."""
    plugin = drgn_program.load_plugin(PLUGIN)

    assert plugin._verdict(said, counted, held=held, live=live).startswith(verdict)


def test_plugin_is_a_command_of_drgns_shell() -> None:
    """Loading it makes %osq known."""
    drgn_program.load_plugin(PLUGIN)
    commands = pytest.importorskip("drgn.commands")

    assert "osq" in commands.DEFAULT_COMMAND_NAMESPACE._commands
