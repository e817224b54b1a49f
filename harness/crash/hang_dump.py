# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the kernel of a hanging guest print what every task and CPU is doing.

Three ways are tried in this order, each of which works in a worse state than the one before: sysrq
over SSH; sysrq over the serial line (a break and a letter, Documentation/admin-guide/sysrq.rst); a
non-maskable interrupt that ends in a panic (unknown_nmi_panic on the kernel's command line).
"""

import time
from dataclasses import dataclass

from harness.crash.scene import Observed
from harness.errors import GuestLost, HarnessError, HypervisorError

# w lists blocked tasks, l a backtrace of every CPU that answers. Blocked tasks come first, because
# that output is shorter.
_LETTERS = "wl"
# libvirt's own name of the first serial line's character device.
_SERIAL = "charserial0"
_SSH_S = 5.0
_ANSWER_S = 3.0
_QUIET_S = 0.7
_POLL_S = 0.05
# sysrq prints this first. Without it, the kernel did not receive the letter.
_HEARD = "sysrq: "
_NMI_SAID = "NMI"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a guest answered ('ssh', 'serial', 'nmi' or "" for not), and its console output."""

    way: str
    lines: tuple[str, ...]


def interrogate(session: Observed, *, spins: bool = False) -> Answer:
    """Ask the guest's kernel for its tasks in one way after the other until one gets an answer.

    `spins` means that a watchdog has reported a CPU that spins. SSH would only time out then, so
    the serial line alone is tried, with a short deadline; the other CPUs can still answer there.
    """
    begun = len(session.console.lines_since(0))
    limit_s = _ANSWER_S if spins else session.deadline(_ANSWER_S)
    for way in (_by_serial,) if spins else (_by_ssh, _by_serial, _by_nmi):
        name = way.__name__.removeprefix("_by_")
        if way(session, begun, limit_s):
            _wait_until_quiet(session)
            lines = tuple(line.text for line in session.console.lines_since(begun))
            return Answer(way=name, lines=lines)
    return Answer(way="", lines=())


def _by_ssh(session: Observed, begun: int, limit_s: float) -> bool:
    """Ask over SSH; return whether the kernel's answer reached the console."""
    script = "; ".join(f"echo {letter} > /proc/sysrq-trigger" for letter in _LETTERS)
    try:
        session.run_script(script, deadline_s=_SSH_S)
    except HarnessError:
        return False
    return _heard(session, _HEARD, begun, limit_s)


def _by_serial(session: Observed, begun: int, limit_s: float) -> bool:
    """Ask over the serial line; each letter needs its own break, which makes it a command."""
    try:
        for letter in _LETTERS:
            session.domain.hmp(f"chardev-send-break {_SERIAL}")
            session.console.write(letter.encode())
            if not _heard(session, _HEARD, begun, limit_s):
                return False
            _wait_until_quiet(session)
    except HypervisorError:
        return False
    return True


def _by_nmi(session: Observed, begun: int, limit_s: float) -> bool:
    try:
        session.domain.inject_nmi()
    except HypervisorError:
        return False
    return _heard(session, _NMI_SAID, begun, limit_s)


def _heard(session: Observed, text: str, begun: int, limit_s: float) -> bool:
    try:
        session.console.wait_for(lambda line: text in line, deadline_s=limit_s, since=begun)
    except GuestLost:
        return False
    return True


def _wait_until_quiet(session: Observed) -> None:
    end = time.monotonic() + session.deadline(_ANSWER_S)
    while time.monotonic() < end and time.monotonic() - session.console.last_byte_at < _QUIET_S:
        time.sleep(_POLL_S)
