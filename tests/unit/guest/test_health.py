# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.health: the first sign of death decides, and every witness is recorded."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import (
    GuestCrashed,
    GuestGone,
    GuestHung,
    GuestLost,
    HypervisorDied,
    KernelComplained,
)
from harness.guest.domain import DomainEvent, DomainState, EndDetail
from harness.guest.health import Health
from harness.guest.log_watch import LogWatch

STOPPED = 5
PANIC = (
    "[    9.000000] Kernel panic - not syncing: Fatal exception",
    "[    9.100000] ---[ end Kernel panic - not syncing: Fatal exception ]---",
)
PLANTED = "0123456789abcdef"
WARNING = (
    "[    9.000000] WARNING: CPU: 0 PID: 7 at break.c:7 osq_break+0x5/0x20 [osq]",
    "[    9.000001] RIP: 0010:osq_break+0x5/0x20 [osq]",
    "[    9.000002] ---[ end trace 0000000000000000 ]---",
)


@dataclass
class FakeDomain:
    """A domain whose state and events a test sets."""

    now: DomainState = DomainState.RUNNING
    events: tuple[DomainEvent, ...] = ()
    end_detail: EndDetail | None = None

    def state(self) -> DomainState:
        """Return the domain's state, which the test has set."""
        return self.now

    def evidence(self) -> tuple[str, ...]:
        """Return the last lines of QEMU's log."""
        return ("qemu: terminating",)


@dataclass
class FakeConsole:
    """A console that has been silent for a while."""

    last: str = ""
    last_byte_at: float = field(default_factory=lambda: time.monotonic() - 60)

    def tail(self, count: int = 50) -> tuple[str, ...]:
        """Return the last line of the console."""
        return (f"[   60.000000] {self.last}",)[:count]


def health(domain: FakeDomain, watch: LogWatch, *, last: str = "", **options: Any) -> Health:
    """Return a Health that watches a fake domain and console."""
    values = {"silence_s": 5.0, "console_file": Path("console.log"), **options}
    values.setdefault("console", FakeConsole(last))
    return Health(domain=cast("Any", domain), watch=watch, **values)


def watching(*lines: str, at: float | None = None) -> LogWatch:
    """Return a watch that received these lines at `at`, or just now."""
    watch = LogWatch(run_id="run", token=PLANTED, started_at=time.monotonic())
    for line in lines:
        watch.feed(line, time.monotonic() if at is None else at)
    return watch


def test_a_running_guest_with_a_recent_heartbeat_passes_the_health_check() -> None:
    """A fake domain that runs, and a new heartbeat line on its console, raise no error."""
    health(FakeDomain(), watching("[    1.000000] harness-heartbeat run 1")).check()


def test_a_crash_that_only_libvirt_reports_is_a_crash() -> None:
    """A fake domain in the state crashed raises GuestCrashed, though its console shows nothing."""
    with pytest.raises(GuestCrashed, match="crashed"):
        health(FakeDomain(now=DomainState.CRASHED), watching()).check()


def test_a_panic_that_only_the_console_shows_is_a_crash() -> None:
    """A panic on the console raises GuestCrashed, though the fake domain still runs."""
    with pytest.raises(GuestCrashed, match="Fatal exception"):
        health(FakeDomain(), watching(*PANIC)).check()


def test_a_missing_heartbeat_is_a_hang() -> None:
    """A fake guest without a heartbeat line on its console beyond the limit raises GuestHung."""
    watch = watching("[    1.000000] harness-heartbeat run 1", at=time.monotonic() - 6)
    judge = health(FakeDomain(), watch)

    with pytest.raises(GuestHung, match="no heartbeat"):
        judge.check()
    assert [one.name for one in judge.witnesses()] == ["heartbeat"]


def test_a_paused_guest_passes_a_check_while_a_debugger_holds_it_and_later_is_a_crash() -> None:
    """A fake guest may be paused and silent while a debugger holds it.

    After its release a pause is a crash.
    """
    watch = watching("[    1.000000] harness-heartbeat run 1", at=time.monotonic() - 60)
    domain = FakeDomain(now=DomainState.PAUSED)
    holders = [True, False, False]
    judge = health(domain, watch, held=lambda: holders.pop(0))

    judge.check()
    domain.now = DomainState.RUNNING
    judge.check()

    domain.now = DomainState.PAUSED
    with pytest.raises(GuestCrashed, match="paused"):
        judge.check()


def test_a_watchdogs_report_is_a_hang() -> None:
    """A soft lockup report on the console raises GuestHung, although the kernel still runs."""
    stuck = (
        "[    9.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:7]",
        "[    9.000001] RIP: 0010:osq_break+0x5/0x20 [osq]",
    )
    watch = watching(*stuck)
    watch.finish()

    with pytest.raises(GuestHung, match="soft lockup"):
        health(FakeDomain(), watch).check()


def test_after_a_soft_lockup_seconds_of_silence_are_a_hang_but_one_clock_jump_of_600_s_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A silent console ends a lockup's report; time in which the host slept does not count."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = watching("[    9.000000] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:7]")
    judge = health(FakeDomain(), watch, silence_s=1e6)

    def looks(*steps_s: float) -> None:
        for step_s in steps_s:
            clock[0] += step_s
            judge.check()

    looks(0.1, 600.0, 0.4)
    assert watch.reports == ()
    with pytest.raises(GuestHung, match="soft lockup"):
        looks(*[0.4] * 9)


@pytest.mark.parametrize(
    ("detail", "last", "kind", "word"),
    [
        (EndDetail.POWERED_OFF, "reboot: Power down", GuestGone, "powered off"),
        (EndDetail.POWERED_OFF, "sysrq: Resetting", GuestGone, "reset itself"),
        (EndDetail.DESTROYED, "", GuestGone, "reset itself"),
        (EndDetail.FAILED, "", HypervisorDied, "QEMU ended"),
    ],
)
def test_the_error_of_an_ended_guest_says_how_it_ended(
    detail: EndDetail, last: str, kind: type[Exception], word: str
) -> None:
    """A guest's power-off, its reset and QEMU's end give different errors of the health check."""
    domain = FakeDomain(now=DomainState.GONE, end_detail=detail)

    with pytest.raises(kind, match=word):
        health(domain, watching(), last=last).check()


def test_a_kernel_report_during_a_test_fails_the_guests_check_only_after_its_result() -> None:
    """A guest whose kernel reported a fault in a test is unfit for more, once the result is in.

    While the test's result is still awaited, the check passes.
    """
    lines = (
        "[    8.000000] harness-test-begin t::one",
        *WARNING,
        "[   10.000000] harness-test-end t::one",
    )
    judge = health(FakeDomain(), watching(*lines))

    with pytest.raises(KernelComplained, match="osq_break"):
        judge.check_unspoilt("")
    judge.check_unspoilt("t::one")


def test_a_kernel_report_that_came_while_no_test_ran_does_not_fail_the_guests_check() -> None:
    """A guest stays in use after such a fault: a new guest would load the same module."""
    health(FakeDomain(), watching(*WARNING)).check_unspoilt("")


def test_libvirts_crash_event_is_listed_before_a_later_console_report() -> None:
    """Signs of a guest's crash are listed by time, with the seconds after the first one."""
    now = time.monotonic()
    domain = FakeDomain(
        now=DomainState.CRASHED, events=(DomainEvent(at=now - 1.0, kind="crashed", detail=0),)
    )
    judge = health(domain, watching(*PANIC, at=now - 0.5))
    judge.settle()

    first, second = judge.witnesses()

    assert (first.name, first.after_s) == ("libvirt", 0.0)
    assert (second.name, second.after_s) == ("console", 0.5)
    assert judge.first_sign_at == now - 1.0


def test_a_boot_goes_on_after_its_deadline_for_as_long_as_the_console_prints() -> None:
    """After its deadline, a boot fails only once the fake console has been silent for a while."""
    console = FakeConsole(last_byte_at=time.monotonic() - 2)
    booting = health(FakeDomain(), watching(), console=console)

    booting.check_boot(time.monotonic() - 60)
    console.last_byte_at -= 10
    booting.check_boot(time.monotonic() + 60)
    with pytest.raises(GuestLost, match="no SSH, and its console has been silent for 12 s"):
        booting.check_boot(time.monotonic() - 60)
