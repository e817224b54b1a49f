# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Use a guest that another process has left running: its domain, its console, its health.

This module starts and ends no guest. The console is read from the file to which QEMU writes, so
that everything the guest has printed is included. Input goes to the serial line.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import hints
from harness.errors import (
    GuestCrashed,
    GuestHung,
    HarnessError,
    HypervisorDied,
    KernelComplained,
    UsageError,
)
from harness.guest import domain, hypervisor, registry
from harness.guest.console import ByteSource, Console
from harness.guest.domain import Domain
from harness.guest.health import Health
from harness.guest.log_watch import LogWatch
from harness.guest.registry import GuestEntry
from harness.guest.session import QEMU_CONSOLE
from harness.guest.shared_session import Handoff
from harness.model.settings import Settings
from harness.panic.values import KernelReport
from harness.systems.ssh import Guest

_POLL_S = 0.1
_READ_S = 60.0
_SSH_S = 5.0


class ConsoleFile:
    """The file with a guest's console as a source of bytes; `serial` opens the line for input."""

    def __init__(self, file: Path, *, serial: Callable[[], ByteSource]) -> None:
        self._file = file.open("rb")
        self._serial = serial
        self._line: ByteSource | None = None
        self._closed = threading.Event()
        self._at_end = threading.Event()

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, waiting for QEMU to write them; b"" after `close`."""
        while True:
            data = self._file.read(size_bytes)
            if data:
                return data
            self._at_end.set()
            if self._closed.wait(_POLL_S):
                return b""

    def write(self, data: bytes) -> None:
        """Send bytes to the guest's serial line."""
        # Opening the line takes it from any other process, so reading does without it.
        if self._line is None:
            self._line = self._serial()
        self._line.write(data)

    def close(self) -> None:
        """Stop reading; may be called twice."""
        self._closed.set()
        if self._line is not None:
            self._line.close()

    def wait_for_end(self, *, deadline_s: float) -> bool:
        """Wait until everything in the file was read; return False at the deadline."""
        return self._at_end.wait(deadline_s)


@dataclass(frozen=True, kw_only=True)
class JoinedGuest:
    """A running guest that another process started; its console was read from the first byte."""

    entry: GuestEntry
    handoff: Handoff
    domain: Domain
    console: Console
    watch: LogWatch
    health: Health

    @property
    def qmp_socket(self) -> Path:
        """The socket of QEMU's second monitor, which libvirt does not use."""
        return self.entry.qmp_socket

    def deadline(self, seconds: float) -> float:
        """Return a configured deadline in seconds, multiplied for a slow guest."""
        return seconds * self.handoff.factor

    def run_script(self, script: str, *, deadline_s: float) -> None:
        """Run a script in the guest, over a connection of its own.

        Raises: CommandFailed when it fails, GuestLost when the guest does not answer in time.
        """
        limit_s = self.deadline(_SSH_S)
        with Guest.connect(self.handoff.endpoint, deadline_s=limit_s, alive=lambda: None) as guest:
            guest.run(script, deadline_s=deadline_s)


@contextmanager
def join(
    entry: GuestEntry,
    handoff: Handoff,
    settings: Settings,
    *,
    cache: Path,
    explained: Iterable[KernelReport] = (),
) -> Iterator[JoinedGuest]:
    """Open a running guest that nobody else uses; the guest continues after the block.

    `explained` are reports that were shown to the user before and that the guest survived.

    Raises: UsageError for a guest that a run or a debugger uses, or that is gone; HypervisorError
        when libvirt does not know the guest; HarnessError when its console is not read in time.
    """
    check_free(entry)
    with ExitStack() as stack:
        hv = stack.enter_context(
            hypervisor.connect(
                entry.uri, runtime=entry.folder, cache=cache / "libvirt", mask_kvm=False
            )
        )
        machine = stack.enter_context(domain.attach(hv, entry.domain))
        # No token: the planted fault and the last word belong to the run that started the guest.
        watch = LogWatch(
            run_id=entry.run_id,
            token="",
            started_at=time.monotonic(),
            allowed=settings.allow_kernel_lines,
            explained=explained,
        )
        console = stack.enter_context(_read_console(entry, machine, watch))
        health = Health(
            domain=machine,
            console=console,
            watch=watch,
            silence_s=settings.timeouts.silence_s * handoff.factor,
            console_file=entry.run / QEMU_CONSOLE,
        )
        yield JoinedGuest(
            entry=entry,
            handoff=handoff,
            domain=machine,
            console=console,
            watch=watch,
            health=health,
        )


@contextmanager
def _read_console(entry: GuestEntry, machine: Domain, watch: LogWatch) -> Iterator[Console]:
    """Open the console of a running guest, once all that is already in its file was read.

    `watch` then knows every fault that the kernel has reported so far.
    """
    file = entry.run / QEMU_CONSOLE
    source = ConsoleFile(file, serial=machine.open_console)
    console = Console(source, file=None)
    console.subscribe(lambda line: watch.feed(line.text, line.at))
    with console:
        if not source.wait_for_end(deadline_s=_READ_S):
            raise HarnessError(f"{file} was not read within {_READ_S:.0f} s")
        yield console


def check_free(entry: GuestEntry) -> None:
    """Check that a guest exists and that no process uses it.

    Raises: UsageError that names the user of the guest, or says that the guest is gone.
    """
    if not hypervisor.guest_alive(entry.folder, private=entry.private):
        raise UsageError(
            f"the guest of run {entry.run_id} is gone",
            hint=f"{hints.command('kernel-test-load')} starts one",
        )
    if registry.is_owned(entry.folder):
        raise UsageError(
            f"run {entry.run_id} still uses its guest (process {entry.pid})",
            hint="a run explains its guest itself; wait for its end",
        )
    if registry.has_debugger(entry.folder):
        raise UsageError(
            f"a debugger holds the guest of run {entry.run_id}", hint="quit that debugger first"
        )


def find_fault(guest: JoinedGuest, *, silence_s: float) -> HarnessError | None:
    """Return the error that describes a guest's fault, or None if the guest is healthy.

    It is healthy if a heartbeat of its kernel arrives and no fault was reported. A healthy
    kernel's heartbeat arrives within a second. When none arrives for `silence_s`, the returned
    error is GuestHung.
    Units: silence_s is seconds.
    """
    beats = guest.watch.beats
    end = time.monotonic() + silence_s
    try:
        while guest.watch.beats == beats:
            guest.health.check()
            if time.monotonic() > end:
                guest.health.note("heartbeat", f"none for {silence_s:.0f} s")
                return GuestHung(
                    f"the guest hangs: no heartbeat of its kernel for {silence_s:.0f} s",
                    evidence=guest.console.tail(30),
                )
            time.sleep(_POLL_S)
        guest.health.check()
    except (GuestCrashed, HypervisorDied) as error:
        return error
    guest.watch.finish()
    reports = guest.watch.reports
    if not reports:
        return None
    return KernelComplained(f"the kernel reported: {reports[0].title}", evidence=reports[0].text)
