# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.joined: the console is read from its first byte, the state is judged now."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import GuestCrashed, GuestHung, HarnessError, KernelComplained, UsageError
from harness.guest import hypervisor, joined, registry
from harness.guest.console import Console
from harness.guest.domain import DomainState
from harness.guest.health import Health
from harness.guest.joined import ConsoleFile, JoinedGuest
from harness.guest.log_watch import LogWatch
from harness.guest.registry import GuestEntry

RUN = "20260101-000000-abcd"
BEAT = f"[   20.000000] harness-heartbeat {RUN} 9\n"
WARNING = (
    "[   10.000001] WARNING: CPU: 0 PID: 300 at drivers/x.c:12 bad_idea+0x10/0x20 [m]\n"
    "[   10.000002] RIP: 0010:bad_idea+0x10/0x20 [m]\n"
    "[   10.000003] ---[ end trace 0000000000000000 ]---\n"
)


class Serial:
    """A fake of a guest's serial line, which records input."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def read(self, size_bytes: int) -> bytes:
        """Fail: the console must be read from its file."""
        raise AssertionError(size_bytes)

    def write(self, data: bytes) -> None:
        """Record the bytes that are sent to the guest."""
        self.written += data

    def close(self) -> None:
        """Close the serial line."""
        self.closed = True


@dataclass
class FakeDomain:
    """A domain whose state a test sets."""

    now: DomainState = DomainState.RUNNING
    events: tuple[Any, ...] = ()

    def state(self) -> DomainState:
        """Return the domain's state, which the test has set."""
        return self.now


def test_console_lines_appended_to_the_file_are_read_and_input_goes_to_serial(
    tmp_path: Path,
) -> None:
    """The console of a guest that another run left up reads QEMU's growing log file."""
    file, serial = tmp_path / "console", Serial()
    file.write_bytes(b"first\n")
    source = ConsoleFile(file, serial=lambda: serial)
    with Console(source, file=None) as console:
        assert source.wait_for_end(deadline_s=5)
        assert [line.text for line in console.lines_since(0)] == ["first"]
        with file.open("ab") as more:
            more.write(b"second\n")
        console.wait_for("second", deadline_s=5)
        console.write(b"w")

    assert serial.written == b"w"
    assert serial.closed
    assert console.ended


def fault(tmp_path: Path, text: str, *, later: str = "", **domain: Any) -> HarnessError | None:
    """Return the fault that is found in a guest with this output before and after the join."""
    file = tmp_path / "console"
    file.write_text(text)
    machine = FakeDomain(**domain)
    watch = LogWatch(run_id=RUN, token="", started_at=time.monotonic())
    source = ConsoleFile(file, serial=Serial)
    with Console(source, file=None) as console:
        console.subscribe(lambda line: watch.feed(line.text, line.at))
        source.wait_for_end(deadline_s=5)
        health = Health(
            domain=cast("Any", machine),
            console=console,
            watch=watch,
            silence_s=0.5,
            console_file=file,
        )
        guest = JoinedGuest(
            entry=cast("Any", None),
            handoff=cast("Any", None),
            domain=cast("Any", machine),
            console=console,
            watch=watch,
            health=health,
        )
        with file.open("a") as more:
            more.write(later)
        return joined.find_fault(guest, silence_s=0.5)


def test_a_guest_with_a_new_heartbeat_and_no_report_is_healthy(tmp_path: Path) -> None:
    """A guest left up by another run is fit to be joined if it prints one more heartbeat."""
    assert fault(tmp_path, BEAT, later=BEAT) is None


@pytest.mark.parametrize("text", ["", BEAT])
def test_find_fault_returns_guest_hung_if_no_heartbeat_comes_after_the_join(
    tmp_path: Path, text: str
) -> None:
    """A guest left up by another run hangs if it prints no heartbeat after it was joined."""
    error = fault(tmp_path, text)

    assert isinstance(error, GuestHung)
    assert "no heartbeat" in error.message


def test_find_fault_returns_a_kernel_report_from_before_the_join_although_the_guest_runs(
    tmp_path: Path,
) -> None:
    """A guest left up whose console has a kernel warning is not fit to be joined."""
    error = fault(tmp_path, WARNING, later=BEAT)

    assert isinstance(error, KernelComplained)
    assert "bad_idea" in error.message


def test_find_fault_returns_guest_crashed_for_a_domain_that_libvirt_calls_crashed(
    tmp_path: Path,
) -> None:
    """A guest left up that libvirt calls crashed is unfit, even with a good console."""
    error = fault(tmp_path, BEAT, now=DomainState.CRASHED)

    assert type(error) is GuestCrashed


def entry(tmp_path: Path) -> GuestEntry:
    """Return the entry of a guest that was left running."""
    record = GuestEntry(
        run_id=RUN, folder=tmp_path, disk=tmp_path, run=tmp_path, pid=1, target="one"
    )
    return replace(record, kept=True)


def test_joining_a_guest_that_is_gone_or_in_use_by_a_run_or_debugger_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UsageError says which of the three keeps a run from joining the guest left up."""
    monkeypatch.setattr(hypervisor, "guest_alive", lambda *_words, **_options: False)
    with pytest.raises(UsageError, match=f"the guest of run {RUN} is gone"):
        joined.check_free(entry(tmp_path))

    monkeypatch.setattr(hypervisor, "guest_alive", lambda *_words, **_options: True)
    with registry.hold_for_debugger(tmp_path), pytest.raises(UsageError, match="a debugger holds"):
        joined.check_free(entry(tmp_path))

    monkeypatch.setattr(registry, "is_owned", lambda _folder: True)
    with pytest.raises(UsageError, match="still uses its guest"):
        joined.check_free(entry(tmp_path))
