# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What remains of a guest that has ended: its speed, its kernel's reports, its tests.

`guest.session` makes the value when a guest ends; `runs.run_state` keeps one for each guest.
"""

from dataclasses import dataclass

from harness.model.settings import Accel
from harness.panic.values import KernelReport


@dataclass(frozen=True, kw_only=True)
class TestMark:
    """The begin or the end of a test on a guest's console.

    `line` is the number of the console line, from 0.
    """

    __test__ = False

    line: int
    test: str
    begins: bool


@dataclass(frozen=True, kw_only=True)
class GuestHistory:
    """What happened in one guest, from its first console line to its end.

    The guest's deadlines were multiplied by `factor`. `reports` are the kernel's reports without
    those that the configuration allows. `beats` is the number of heartbeats. `planted_seen` is
    true when the kernel line that the harness planted arrived on the console and was reported.
    `objection` describes an event of libvirt that ended the guest unexpectedly; it is "" when
    there was none.
    """

    accel: Accel
    factor: float
    reports: tuple[KernelReport, ...]
    marks: tuple[TestMark, ...]
    line_count: int
    beats: int
    planted_seen: bool
    objection: str
