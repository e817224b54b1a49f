# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a run keeps of a guest that is gone: how it ran, and what its witnesses have seen.

Only data. `guest.session` makes it when a guest ends, `runs.run_state` keeps one for each guest.
"""

from dataclasses import dataclass

from harness.model.settings import Accel
from harness.panic.values import KernelReport


@dataclass(frozen=True, kw_only=True)
class TestMark:
    """The line of a console, from 0, in which a test begins or ends."""

    __test__ = False

    line: int
    test: str
    begins: bool


@dataclass(frozen=True, kw_only=True)
class GuestHistory:
    """One guest from its first console line to its end.

    `factor` is by what its deadlines were multiplied. `reports` are the kernel's, without those
    that the configuration excuses. `planted_seen`: the planted line arrived and was reported.
    `objection` is what libvirt saw happen to the guest that should not have, or "".
    """

    accel: Accel
    factor: float
    reports: tuple[KernelReport, ...]
    marks: tuple[TestMark, ...]
    line_count: int
    beats: int
    planted_seen: bool
    objection: str
