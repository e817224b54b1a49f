# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Open a session with a guest: boot or restore it, watch its console, remove it at the end.

Only this module combines image, kernel, hypervisor, console and SSH. Everything that is opened
here is closed in reverse order, however the run ends. Whatever a killed process leaves is recorded
in its registry entry, and `cleanup` removes it at the next run.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from harness.artefacts import image, kernel_parts
from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    HypervisorDied,
    HypervisorError,
    ImageError,
    ScannerBlind,
)
from harness.guest import hypervisor, registry, single_thread_qemu, snapshot
from harness.guest.console import Console
from harness.guest.domain import Domain
from harness.guest.domain_xml import render
from harness.guest.health import Health
from harness.guest.hypervisor import Hypervisor
from harness.guest.log_watch import LogWatch
from harness.guest.snapshot import Snapshot
from harness.host import accelerator, cache
from harness.model.domain import DomainSpec
from harness.model.guest_history import GuestHistory
from harness.model.session_request import SessionRequest
from harness.model.settings import Accel, Endpoint
from harness.panic.causes import related
from harness.systems.linux import kmod
from harness.systems.ssh import Guest

Progress = Callable[[str], None]
CONSOLE = "console.log"
# QEMU writes this file itself, so that it continues when the harness leaves a kept guest.
QEMU_CONSOLE = "qemu-console.log"

# libvirt restores a domain only under the name with which it was saved, so the only domain of
# every private daemon has this name. Its folder and its metadata say which run it belongs to.
_PRIVATE_NAME = "harness"
_SNAPSHOT_LOCK_S = 600.0
_OVERLAY, _SHARE = "overlay.qcow2", "share.ext4"
# The harness may notice the death of a guest a moment after the error that the death caused.
_DOUBT_S, _POLL_S = 1.0, 0.05
# A guest whose console goes on has up to this multiple of its deadline: the host may be busy.
_SLOWEST = 3

# The kernel's command line on every boot. loglevel: lines of the harness and faults must reach the
# console at every level. An oops panics, so that no test continues in a broken kernel. A hanging
# guest answers to sysrq on its serial line, and to an NMI with a panic.
_CMDLINE = (
    "console=ttyS0,115200 root=LABEL=harness-root rw ignore_loglevel oops=panic panic=0 "
    "log_buf_len=4M printk.devkmsg=on sysrq_always_enabled=1 unknown_nmi_panic=1 "
    "sysctl.kernel.hung_task_timeout_secs=60 sysctl.kernel.hung_task_warnings=-1"
)


class Session:
    """A guest that answers over SSH, with its domain, its console and its health."""

    def __init__(
        self,
        request: SessionRequest,
        *,
        hv: Hypervisor,
        accel: Accel,
        entry: registry.GuestEntry,
        token: str,
    ) -> None:
        self.request = request
        self.hv = hv
        self.accel = accel
        self.entry = entry
        self.token = token
        self.factor = kernel_parts.deadline_factor(request.kernel, request.timeouts, accel)
        self.origin = ""
        self.watch = self.new_watch()
        self._lifetime = ExitStack()
        self.domain: Domain
        self.console: Console
        self.health: Health
        self.guest: Guest
        self.endpoint: Endpoint

    def deadline(self, seconds: float) -> float:
        """Return a configured deadline in seconds, multiplied for a slow guest."""
        return seconds * self.factor

    @property
    def qmp_socket(self) -> Path:
        """The socket of QEMU's second monitor, which libvirt does not use."""
        return self.entry.qmp_socket

    def new_watch(self) -> LogWatch:
        """Return a reader for the kernel log of a new guest, which starts now."""
        return LogWatch(
            run_id=self.request.run_id,
            token=self.token,
            started_at=time.monotonic(),
            allowed=self.request.allowed,
        )

    def history(self) -> GuestHistory:
        """Return a summary of the present guest for the run's report; the guest still runs."""
        watch = self.watch
        return GuestHistory(
            accel=self.accel,
            factor=self.factor,
            reports=related(watch.reports),
            marks=watch.marks,
            line_count=watch.line_count,
            beats=watch.beats,
            planted_seen=watch.sees_faults,
            objection=self.health.objection(),
        )

    def check_alive(self) -> None:
        """Raise an error if the guest has died; `Health.check` lists the errors."""
        self.health.check()

    def run_script(self, script: str, *, deadline_s: float) -> None:
        """Run a script in the guest.

        Raises: CommandFailed when it fails, GuestLost when the guest does not answer in time.
        """
        self.guest.run(script, deadline_s=deadline_s)

    def renew(self, progress: Progress) -> None:
        """Replace this guest by a new one of the same kind, with a new console file.

        Raises: the errors of `open_session`; the session then has no guest.
        """
        self.end()
        (self.entry.disk / _OVERLAY).unlink(missing_ok=True)
        # The old file must go, because QEMU appends to an existing one.
        (self.request.folder / QEMU_CONSOLE).unlink(missing_ok=True)
        self.watch = self.new_watch()
        _bring_up(self, self._lifetime, progress)

    def begin(self, progress: Progress) -> None:
        """Start the first guest of the session, and prepare it."""
        _bring_up(self, self._lifetime, progress)

    def end(self) -> None:
        """Close everything that belongs to this guest, the domain last; may be called twice."""
        self._lifetime.close()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Run the block; if it fails because the guest died, raise the guest's death instead."""
        try:
            yield
        except HarnessError as error:
            end = time.monotonic() + _DOUBT_S
            while time.monotonic() < end:
                try:
                    self.check_alive()
                except (GuestCrashed, HypervisorDied) as crash:
                    raise crash from error
                time.sleep(_POLL_S)
            raise

    def wait_for_last_word(self, *, deadline_s: float) -> None:
        """Wait until the result of the guest's final log check arrives on the console.

        Raises: ScannerBlind without it, as other lines may be missing; the errors of check_alive.
        """
        end = time.monotonic() + deadline_s
        while not self.watch.last_word_said:
            self.check_alive()
            if time.monotonic() > end:
                raise ScannerBlind(
                    "the result of the guest's final log check did not reach the console",
                    evidence=self.console.tail(),
                )
            time.sleep(_POLL_S)


@contextmanager
def open_session(request: SessionRequest, *, token: str, progress: Progress) -> Iterator[Session]:
    """Open a session for the block: a guest with SSH and heartbeat, removed after it unless kept.

    Raises: UsageError for a run id in use; ImageError; HypervisorError; CacheBusy; Lost for a full
        disk; and GuestLost or GuestCrashed with the end of the console as evidence.
    """
    entry = _new_entry(request)
    with ExitStack() as stack:
        entry = stack.enter_context(registry.claim(entry))
        accel = _choose_accel(request.accel, progress)
        hv = stack.enter_context(
            hypervisor.connect(
                request.uri,
                runtime=entry.folder,
                cache=request.cache / "libvirt",
                mask_kvm=accel is Accel.TCG,
            )
        )
        entry = replace(entry, uri=hv.uri)
        entry.write()
        session = Session(request, hv=hv, accel=accel, entry=entry, token=token)
        if _emulator(session):
            progress(
                "the guest's CPUs share one thread, since this QEMU would otherwise run stale code"
            )
        stack.callback(session.end)
        session.begin(progress)
        yield session
        if request.keep:
            _keep(session)


def _new_entry(request: SessionRequest) -> registry.GuestEntry:
    private = request.uri is None
    return registry.GuestEntry(
        run_id=request.run_id,
        folder=request.runtime / request.run_id,
        disk=request.cache / "live" / request.run_id,
        run=request.folder,
        pid=os.getpid(),
        target=request.target_name,
        domain=_PRIVATE_NAME if private else f"harness-{request.run_id}",
        private=private,
        key_file=request.image.ssh_key,
        host_key=request.image.host_key,
        vcpus=request.target.vcpus,
        memory_mib=request.target.memory_mib,
    )


def _choose_accel(forced: Accel | None, progress: Progress) -> Accel:
    usable, why = accelerator.usable_accel()
    if forced is not None and forced is not usable:
        progress(
            f"accelerator {forced.value} was asked for; this host would use {usable.value}: {why}"
        )
    return forced or usable


def _spec(session: Session, *, uuid: str, overlay: Path, log: str) -> DomainSpec:
    request = session.request
    return DomainSpec(
        name=session.entry.domain,
        uuid=uuid,
        run_id=request.run_id,
        accel=session.accel,
        arch=request.target.arch,
        memory_mib=request.target.memory_mib,
        vcpus=request.target.vcpus,
        vmlinuz=request.kernel.vmlinuz,
        initrd=request.kernel.initrd,
        cmdline=f"{_CMDLINE} {request.target.cmdline}".strip(),
        overlay=overlay,
        modules_disk=request.kernel.modules_disk,
        qmp_socket=session.qmp_socket,
        console_log=request.folder / log,
        share=session.entry.disk / _SHARE if request.share and not request.writable else None,
        shared_folder=request.share if request.writable else None,
        cpu=request.target.cpu,
        numa=request.target.numa,
        disks=image.disk_files(session.entry.disk, request.target.disks_mib),
        nics=request.target.nics,
        pci=request.target.pci,
        qemu=request.target.qemu,
        emulator=_emulator(session),
    )


def _emulator(session: Session) -> Path | None:
    request = session.request
    # A host that is reached by its URI does not have this host's files.
    versions, accel = session.hv.versions, session.accel
    own = single_thread_qemu.emulator(request.target, accel, versions, root=request.cache)
    return None if request.uri else own


def _bring_up(session: Session, stack: ExitStack, progress: Progress) -> None:
    """Restore the session's guest, or boot it; then connect to it over SSH and prepare it."""
    request = session.request
    plain = request.uri is None and request.share is None
    restorable = plain and not request.fresh and request.target.can_be_saved
    image.make_empty_disks(session.entry.disk, request.target.disks_mib)
    if request.share is not None and not request.writable:
        image.folder_disk(request.share, session.entry.disk / _SHARE)
    if not (restorable and _restore(session, stack, progress)):
        progress("booting the guest")
        overlay = session.entry.disk / _OVERLAY
        image.make_overlay(request.image, overlay)
        spec = _spec(session, uuid=str(uuid4()), overlay=overlay, log=QEMU_CONSOLE)
        _start(session, stack, Domain.create(session.hv, render(spec)))
        session.origin = "booted"
    limit = request.timeouts.ssh_s if session.origin == "restored" else request.timeouts.boot_s
    _connect(session, stack, deadline_s=session.deadline(limit))
    with session.watched():
        kmod.prepare(session.guest, run_id=request.run_id, canary=session.token)
        if request.share is not None:
            kmod.mount_share(session.guest, writable=request.writable)


def _start(session: Session, stack: ExitStack, domain: Domain) -> None:
    """Attach the console to a paused domain, then let the domain run."""
    session.domain = stack.enter_context(domain)
    file = session.request.folder / CONSOLE
    session.console = stack.enter_context(Console(domain.open_console(), file=file))
    watch = session.watch
    session.console.subscribe(lambda line: watch.feed(line.text, line.at))
    session.health = Health(
        domain=domain,
        console=session.console,
        watch=watch,
        silence_s=session.deadline(session.request.timeouts.silence_s),
        console_file=file,
        held=lambda: registry.has_debugger(session.entry.folder),
    )
    domain.resume()


def _connect(session: Session, stack: ExitStack, *, deadline_s: float) -> None:
    port = session.domain.forward_ssh()
    session.endpoint = Endpoint.of_guest(
        port=port,
        key_file=session.request.image.ssh_key,
        host_key=session.request.image.host_key,
    )
    session.entry = replace(session.entry, port=port)
    session.entry.write()
    alive = partial(session.health.check_boot, time.monotonic() + deadline_s)
    connection = Guest.connect(session.endpoint, deadline_s=_SLOWEST * deadline_s, alive=alive)
    try:
        session.guest = stack.enter_context(connection)
    except GuestLost as error:
        raise GuestLost(
            f"the guest did not answer within {deadline_s:.0f} s: {error.message}",
            hint=f"the whole console is in {session.request.folder / CONSOLE}",
            evidence=session.console.tail(30),
        ) from error


def _restore(session: Session, stack: ExitStack, progress: Progress) -> bool:
    """Start the guest from a snapshot, made first if missing; return whether it started."""
    request = session.request
    nowhere = _spec(session, uuid="", overlay=Path("/"), log="")
    sizes = (f"disk={size_mib}" for size_mib in request.target.disks_mib)
    keys = (request.image.key, request.kernel.key, *sizes)
    saved = snapshot.place(nowhere, keys, session.hv.versions, root=request.cache)
    what = f"the snapshot {saved.key}"
    with cache.lock(saved.lock, what=what, deadline_s=_SNAPSHOT_LOCK_S, progress=progress):
        if not saved.usable:
            progress("there is no saved guest yet: booting one to save it")
            _make_snapshot(session, saved)
    overlay = session.entry.disk / _OVERLAY
    spec = _spec(session, uuid=saved.uuid, overlay=overlay, log=QEMU_CONSOLE)
    try:
        snapshot.create_overlay(request.image, saved, overlay)
        domain = Domain.restore(session.hv, saved.memory, render(spec))
    except (ImageError, HypervisorError) as error:
        progress(f"the saved guest cannot be restored and is deleted: {error.message}")
        snapshot.discard(saved)
        overlay.unlink(missing_ok=True)
        return False
    _start(session, stack, domain)
    session.origin = "restored"
    return True


def _make_snapshot(session: Session, saved: Snapshot) -> None:
    """Boot a guest, wait until it is idle, and save memory and disk together."""
    request = session.request
    with snapshot.making(saved) as folder, ExitStack() as stack:
        overlay = folder / saved.overlay.name
        image.make_overlay(request.image, overlay)
        spec = _spec(session, uuid=saved.uuid, overlay=overlay, log="qemu-console-of-boot.log")
        _start(session, stack, Domain.create(session.hv, render(spec)))
        _connect(session, stack, deadline_s=session.deadline(request.timeouts.boot_s))
        with session.watched():
            kmod.quiesce(session.guest, deadline_s=session.deadline(request.timeouts.boot_s))
        session.guest.close()
        session.console.close()
        session.domain.save(folder / saved.memory.name)
    (request.folder / CONSOLE).rename(request.folder / "console-of-boot.log")
    session.watch = session.new_watch()


def _keep(session: Session) -> None:
    """Let the session's guest and its libvirt daemon run on when this process ends."""
    session.entry = replace(session.entry, kept=True)
    session.entry.write()
    session.domain.keep()
    session.hv.detach()
