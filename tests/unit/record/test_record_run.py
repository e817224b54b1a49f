# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of record_run: the ending of a recording, and the task's exit code for it."""

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.crash.explain_log import Explained
from harness.errors import HypervisorError
from harness.panic.scan import scan
from harness.record.guest_init import InitProgress
from harness.record.qemu_process import RunningQemu
from harness.record.record_run import Recorded, _ending, _fault, _replayable
from harness.record.recording import Ending, Fault
from tests.unit.record.test_recording import FOUND

OOPS = """\
[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    1.000000] Oops: 0002 [#1] PREEMPT SMP NOPTI
[    1.000000] CPU: 0 PID: 114 Comm: sh Not tainted 6.1.0 #1
[    1.000000] RIP: 0010:toy_crash+0x5/0x20 [toy]
[    1.000000] ---[ end trace 0000000000000000 ]---
[    1.100000] Kernel panic - not syncing: Fatal exception
""".splitlines()


def finished(ending: Ending, status: int | None, lines: list[str]) -> Recorded:
    """Return a recording with this ending and these kernel reports."""
    reports = scan(lines)
    return Recorded(
        folder=Path("one"),
        recording=replace(FOUND, ending=ending, status=status),
        explained=Explained(reports=reports, count=len(reports)),
        notes=(),
    )


@pytest.mark.parametrize(
    ("ending", "status", "lines", "code"),
    [
        (Ending.FINISHED, 0, [], 0),
        (Ending.FINISHED, 7, [], 1),
        (Ending.REFUSED, None, [], 1),
        (Ending.FINISHED, 0, ["[    1.000000] WARNING: CPU: 0 PID: 1 at toy.c:1 toy+0x1/0x2"], 1),
        (Ending.DEADLINE, None, [], 4),
        (Ending.GONE, None, [], 3),
        (Ending.PANIC, None, OOPS, 3),
    ],
)
def test_exit_code_is_3_for_a_panic_or_gone_guest_4_for_a_deadline_1_for_a_warning(
    ending: Ending, status: int | None, lines: list[str], code: int
) -> None:
    """A recording with a stopped kernel gives 3, a report or failed command 1, no end 4.

    If several apply, the stopped kernel decides.
    """
    assert finished(ending, status, lines).exit_code == code


def test_function_offset_size_and_module_of_the_fault_are_of_the_first_report() -> None:
    """A recording's fault is that of the console's first kernel report; without one it is None."""
    assert _fault(scan(OOPS)) == Fault(function="toy_crash", offset=5, size=0x20, module="toy")
    assert _fault(scan(OOPS[-1:])) is None


def test_a_recording_is_finished_only_if_the_command_status_was_printed() -> None:
    """Without a printed status a recorded guest is gone, overdue or refused; an oops is PANIC."""
    complete = InitProgress(stages=("load", "command", "status"), status=0)

    assert _ending(complete, (), ended=True) is Ending.FINISHED
    assert _ending(InitProgress(stages=("load",)), (), ended=True) is Ending.GONE
    assert _ending(InitProgress(stages=("load",)), (), ended=False) is Ending.DEADLINE
    assert _ending(complete, scan(OOPS), ended=True) is Ending.PANIC
    assert _ending(InitProgress(stages=("load", "refused")), (), ended=True) is Ending.REFUSED


@pytest.mark.parametrize("status", [0, None])
def test_a_guest_that_ends_while_it_is_asked_has_ended_itself(
    tmp_path: Path, status: int | None
) -> None:
    """A recording's QEMU that does not answer counts as ended only if its process has ended."""
    process = SimpleNamespace(poll=iter((None, status)).__next__)
    (tmp_path / "log").write_text("")
    qemu = RunningQemu(
        process=cast("subprocess.Popen[bytes]", process),
        log=tmp_path / "log",
        qmp=tmp_path / "gone",
    )

    if status is None:
        with pytest.raises(HypervisorError, match="query-replay"):
            _replayable(qemu)
    else:
        assert _replayable(qemu) == 0
