# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide whether the guest is alive; the caller asks again and again during a run.

There are four witnesses: libvirt's state and events, the kernel's reports on the console, the
kernel's heartbeat, and the end of QEMU. This module only decides; `crash` finds out why the guest
died.
"""

import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import (
    GuestCrashed,
    GuestGone,
    GuestHung,
    GuestLost,
    HypervisorDied,
    KernelComplained,
)
from harness.guest.console import Console
from harness.guest.domain import Domain, DomainState, EndDetail
from harness.guest.log_watch import LogWatch
from harness.model.crash import Witness
from harness.panic.values import KernelReport

# A dying kernel prints for a while after libvirt has noticed. Its output counts as complete after
# _QUIET_S without a byte, and the wait ends after _SETTLE_S at the latest.
_QUIET_S = 0.5
_SETTLE_S = 10.0
_POLL_S = 0.05
# libvirt's event with the reason of a domain's end may arrive a moment after the end.
_EVENT_S = 1.0
# A report is complete when the console stays silent for this long. Heartbeats would show its end
# as well, but a hang may have stopped them. If this host was suspended, the gap counts as _STEP_S.
_COMPLETE_S = 3.0
_STEP_S = 0.5
# Kinds of reports after which a part of the kernel stops for ever, so that waiting is useless.
_HANGS = {"soft-lockup", "hard-lockup", "rcu-stall", "hung-task", "workqueue-lockup"}
_POWERS_OFF = "reboot: Power down"
_UNWANTED_EVENTS = {"crashed", "stopped", "shutdown"}


class Health:
    """Decides whether a guest is alive, from libvirt, its console and its kernel's heartbeat.

    After the first heartbeat, `silence_s` seconds without one mean that the guest hangs. `held`
    returns whether a debugger holds the guest; that time does not count as silence.
    """

    def __init__(
        self,
        *,
        domain: Domain,
        console: Console,
        watch: LogWatch,
        silence_s: float,
        console_file: Path,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._domain = domain
        self._console = console
        self._watch = watch
        self._silence_s = silence_s
        self._file = console_file
        self._held = held
        self._free_at = 0.0
        self._noted: list[tuple[float, str, str]] = []
        self._quiet_s = 0.0
        self._quiet_since = 0.0
        self._looked_at = 0.0

    def check(self) -> None:
        """Raise an error if libvirt, the console or the heartbeat shows that the guest has died.

        While a debugger is attached nothing is checked.
        Raises: GuestCrashed for a kernel that stopped, GuestGone for a guest that powered off or
            reset, HypervisorDied for a QEMU that ended, GuestHung for a kernel that makes no
            progress; HypervisorError when libvirt does not answer.
        """
        if self.held:
            return
        state = self._domain.state()
        if state in {DomainState.GONE, DomainState.SHUTOFF}:
            self.settle()
            raise self._gone()
        fatal = self._watch.fatal
        if state is not DomainState.RUNNING or fatal is not None:
            self.settle()
            fatal = self._watch.fatal
            raise self._crashed(fatal.title if fatal else f"libvirt reports it as {state.value}")
        hang = self._hang()
        if hang is not None:
            raise GuestHung(f"the kernel reports a hang: {hang.title}", evidence=hang.text)
        silent_s = time.monotonic() - max(self._watch.beat_at, self._free_at)
        # Before the first heartbeat the guest still boots, or is not prepared yet.
        if self._watch.beats and silent_s > self._silence_s:
            self.note("heartbeat", f"none for {silent_s:.0f} s")
            raise GuestHung(
                f"the guest hangs: no heartbeat of its kernel for {self._silence_s:.0f} s",
                hint=f"the console so far: {self._file}",
                evidence=self._console.tail(30),
            )

    def check_boot(self, end: float) -> None:
        """Raise an error if a guest that boots has died, or stands still after the time `end`.

        On a busy host a boot may take much longer than its deadline. It goes on for as long as
        the console prints something at least every `silence_s`.
        Raises: the errors of `check`, and GuestLost for a guest that stands still.
        """
        self.check()
        now = time.monotonic()
        silent_s = now - self._console.last_byte_at
        if now > end and silent_s > self._silence_s:
            raise GuestLost(f"no SSH, and its console has been silent for {silent_s:.0f} s")

    @property
    def held(self) -> bool:
        """Whether a debugger is attached; the guest is then stopped and silent on purpose."""
        if not self._held():
            return False
        self._free_at = time.monotonic()
        return True

    def check_unspoilt(self, running: str) -> None:
        """Raise KernelComplained when the kernel has reported a fault during a finished test.

        The caller then replaces the guest, because results of tests in a faulty kernel prove
        nothing. `running` is the test whose result is still to come, even if its end is already
        marked in the log; a fault during it raises nothing.
        """
        for report in self._watch.reports:
            over = report.test != running and self._watch.has_finished(report.test)
            if over:
                raise KernelComplained(
                    f"the kernel reported: {report.title}", evidence=report.text
                )

    def settle(self) -> None:
        """Wait until a dead guest's console is silent, so that its last lines are complete.

        The wait ends after `_SETTLE_S` at the latest. Then a report that was begun is recorded.
        """
        end = time.monotonic() + _SETTLE_S
        while time.monotonic() < end and time.monotonic() - self._console.last_byte_at < _QUIET_S:
            time.sleep(_POLL_S)
        self._watch.finish()

    def note(self, name: str, words: str) -> None:
        """Record an observation of the guest's end or fault, for `witnesses`.

        `name` is who made the observation, and `words` say what it was.
        """
        self._noted.append((time.monotonic(), name, words))

    def objection(self) -> str:
        """Return a text on libvirt's events that show an unexpected end of the guest, or ""."""
        bad = [event.kind for event in self._domain.events if event.kind in _UNWANTED_EVENTS]
        return f"libvirt reported that the guest was {', '.join(bad)}" if bad else ""

    def witnesses(self) -> tuple[Witness, ...]:
        """Return what was observed of the guest's end or fault, and by whom, the earliest first.

        The observers are libvirt, for an end that nobody asked for; the console, for each fault
        that the kernel reported, also one that it survived; and those that called `note`, for
        example when a test was overdue. `after_s` counts from the first observation.
        """
        statements = list(self._noted)
        statements += [
            (event.at, "libvirt", event.description)
            for event in self._domain.events
            if event.kind in _UNWANTED_EVENTS
        ]
        statements += [(at, "console", report.title) for report, at in self._watch.timed_reports]
        statements.sort()
        first = statements[0][0] if statements else 0.0
        return tuple(
            Witness(name=name, after_s=round(at - first, 2), words=words)
            for at, name, words in statements
        )

    @property
    def first_sign_at(self) -> float:
        """The monotonic time of the earliest observation in `witnesses`; now if there is none."""
        times = [at for at, _, _ in self._noted]
        times += [event.at for event in self._domain.events if event.kind in _UNWANTED_EVENTS]
        times += [at for _, at in self._watch.timed_reports]
        return min(times, default=time.monotonic())

    def _complete_reports(self) -> None:
        """Complete the report that a hanging kernel has begun, once the console is silent."""
        now = time.monotonic()
        if self._console.last_byte_at == self._quiet_since:
            self._quiet_s += min(now - self._looked_at, _STEP_S)
        else:
            self._quiet_s, self._quiet_since = 0.0, self._console.last_byte_at
        self._looked_at = now
        if self._quiet_s > _COMPLETE_S:
            self._watch.finish()

    def _hang(self) -> KernelReport | None:
        self._complete_reports()
        return next((one for one in self._watch.reports if one.kind in _HANGS), None)

    def _crashed(self, what: str) -> GuestCrashed:
        return GuestCrashed(
            f"the guest's kernel died: {what}",
            hint=f"the whole console: {self._file}",
            evidence=self._console.tail(50),
        )

    def _gone(self) -> Exception:
        """Return the error for a guest that has ended, according to why it ended.

        HypervisorDied: QEMU ended without the guest's doing. GuestCrashed: the kernel had reported
        a fatal fault. Else GuestGone: the guest powered off or reset itself.
        """
        end = time.monotonic() + _EVENT_S
        while time.monotonic() < end and self._domain.end_detail is None:
            time.sleep(_POLL_S)
        tail = self._console.tail(30)
        detail = self._domain.end_detail
        if detail is EndDetail.FAILED:
            return HypervisorDied(
                "QEMU ended, and not because of the guest",
                hint="it may have been killed, or memory ran out; see the host's kernel log",
                evidence=(*self._domain.evidence(), *tail[-10:]),
            )
        fatal = self._watch.fatal
        if fatal is not None:
            return self._crashed(f"{fatal.title}, and then it restarted itself")
        # libvirt reports a power-off and a reset alike, but a kernel that powers off prints a line
        # first.
        off = any(_POWERS_OFF in line for line in tail)
        how = "powered off" if off else "reset itself"
        return GuestGone(f"the guest {how} during the run", evidence=tail)
