# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the kernel of a hanging guest print what every task and CPU is doing.

Three ways are tried in this order: sysrq over SSH; sysrq over the serial line (a break and a
letter, Documentation/admin-guide/sysrq.rst); a non-maskable interrupt that ends in a panic
(unknown_nmi_panic on the kernel's command line). Each way still works for some guests that no
longer answer the way before it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.crash.scene import Observed
from harness.errors import GuestLost, HarnessError, HypervisorError

# w lists blocked tasks, l a backtrace of every CPU that answers. Blocked tasks come first, because
# that output is shorter.
_LETTERS = "wl"
# t lists every task, also one that waits for a signal: a thousand lines, which take an emulated
# guest several seconds.
_ALL_TASKS = "t"
_ALL_TASKS_S = 15.0
# libvirt's own name of the first serial line's character device.
_SERIAL = "charserial0"
# A hanging guest costs this time at each crash.
_SSH_S = 5.0
_ANSWER_S = 3.0
# The dump has no end mark, so it counts as complete after a pause this long.
_QUIET_S = 0.7
_POLL_S = 0.05
# sysrq prints this first. Without it, the kernel did not receive the letter.
_HEARD = "sysrq: "
_NMI_SAID = "NMI"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The way in which a hanging guest answered the request for its tasks, and its console output.

    `way` is 'ssh', 'serial', 'nmi', or "" without an answer. `begun` is the number of the
    console's first line after the request.
    """

    way: str
    lines: tuple[str, ...]
    begun: int = 0


def interrogate(session: Observed, *, spins: bool = False) -> Answer:
    """Ask the guest's kernel for its waiting tasks and its CPUs, until one way gets an answer.

    The ways are SSH, the serial line and an NMI, in this order. `spins` means that a watchdog has
    reported a CPU that spins. SSH would only time out then, so the serial line alone is tried,
    with a short deadline; the other CPUs can still answer there.
    """
    begun = len(session.console.lines_since(0))
    limit_s = _ANSWER_S if spins else session.deadline(_ANSWER_S)
    for name in ("serial",) if spins else ("ssh", "serial", "nmi"):
        if _WAYS[name](session, _LETTERS, limit_s):
            return _answer(session, name, begun)
    return Answer(way="", lines=(), begun=begun)


def ask_for_all_tasks(session: Observed, first: Answer) -> Answer:
    """Ask a hanging guest's kernel for every task in the way that answered before (`first`).

    Return both answers as one. `first` is returned as it is if that way was not sysrq, or if
    nothing is answered now.
    """
    if first.way not in _LETTER_WAYS:
        return first
    begun = len(session.console.lines_since(0))
    limit_s = session.deadline(_ALL_TASKS_S)
    if not _WAYS[first.way](session, _ALL_TASKS, limit_s):
        return first
    more = _answer(session, first.way, begun)
    return replace(first, lines=(*first.lines, *more.lines))


def _answer(session: Observed, way: str, begun: int) -> Answer:
    _wait_until_quiet(session, session.deadline(_ANSWER_S))
    lines = tuple(one.text for one in session.console.lines_since(begun))
    return Answer(way=way, lines=lines, begun=begun)


def _by_ssh(session: Observed, letters: str, limit_s: float) -> bool:
    """Send SysRq letters over SSH; return whether the kernel's answer reached the console."""
    begun = len(session.console.lines_since(0))
    script = "; ".join(f"echo {letter} > /proc/sysrq-trigger" for letter in letters)
    try:
        session.run_script(script, deadline_s=max(_SSH_S, limit_s))
    except HarnessError:
        return False
    return _heard(session, _HEARD, begun, limit_s)


def _by_serial(session: Observed, letters: str, limit_s: float) -> bool:
    """Send SysRq letters over the serial line; return whether the kernel answered each of them.

    A break is sent before each letter, because only then the kernel takes it for a sysrq command.
    """
    try:
        for letter in letters:
            begun = len(session.console.lines_since(0))
            session.domain.hmp(f"chardev-send-break {_SERIAL}")
            session.console.write(letter.encode())
            if not _heard(session, _HEARD, begun, limit_s):
                return False
            _wait_until_quiet(session, limit_s)
    except HypervisorError:
        return False
    return True


def _by_nmi(session: Observed, _letters: str, limit_s: float) -> bool:
    begun = len(session.console.lines_since(0))
    try:
        session.domain.inject_nmi()
    except HypervisorError:
        return False
    return _heard(session, _NMI_SAID, begun, limit_s)


_WAYS: dict[str, Callable[[Observed, str, float], bool]] = {
    "ssh": _by_ssh,
    "serial": _by_serial,
    "nmi": _by_nmi,
}
# An NMI ends the guest, and its panic prints what it prints.
_LETTER_WAYS = {"ssh", "serial"}


def _heard(session: Observed, text: str, begun: int, limit_s: float) -> bool:
    try:
        session.console.wait_for(lambda line: text in line, deadline_s=limit_s, since=begun)
    except GuestLost:
        return False
    return True


def _wait_until_quiet(session: Observed, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end and time.monotonic() - session.console.last_byte_at < _QUIET_S:
        time.sleep(_POLL_S)
