# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Boot a guest that is stopped before its first instruction, for a debugger.

The guest boots without KASLR, because a random kernel address could not be known before the kernel
is unpacked. It has no session: no SSH and no tests, and it ends with the debugger.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

from harness.artefacts import image, kernels
from harness.guest import cpu_models, hypervisor, registry, single_thread_qemu
from harness.guest.domain import Domain
from harness.guest.domain_xml import render
from harness.guest.registry import GuestEntry
from harness.host import accelerator
from harness.host.config import choose_target
from harness.model import build_folder
from harness.model.domain import DomainSpec
from harness.model.environment import Environment
from harness.model.machines import TargetSpec
from harness.model.settings import Accel, Image, Kernel, Settings

Progress = Callable[[str], None]
_CMDLINE = "console=ttyS0,115200 root=LABEL=harness-root rw nokaslr ignore_loglevel panic=0"
_CONSOLE = "qemu-console.log"
_DOMAIN = "harness"
_OVERLAY = "overlay.qcow2"


@dataclass(frozen=True, kw_only=True)
class BootRequest:
    """The target that boots, and its kernel.

    None stands for the default target, and for the kernel that the target names.
    """

    settings: Settings
    environment: Environment
    target_name: str | None = None
    kernel_name: str | None = None


@contextmanager
def boot_paused(request: BootRequest, progress: Progress) -> Iterator[GuestEntry]:
    """Boot a guest that has not executed an instruction yet; destroy it after the block.

    Raises: ConfigError for an unknown target, kernel or image; HypervisorError when the guest
        cannot be created; ImageError, KernelError, CacheBusy and Lost when its files cannot be
        made.
    """
    settings, environment = request.settings, request.environment
    target = choose_target(settings, request.target_name, request.kernel_name)
    name = request.target_name or settings.default_target
    cpu_models.check_model(settings, environment, name, target)
    spec = settings.kernels[target.kernel]
    root, shared = environment.cache, settings.shared_cache
    kernel = kernels.ensure(target.kernel, spec, root=root, shared=shared, progress=progress)
    wanted = image.load_spec(settings.images, target.image)
    base = image.ensure(wanted, root=root, shared=shared, progress=progress)
    with ExitStack() as stack:
        entry = stack.enter_context(registry.claim(_new_entry(request, target, base)))
        entry.run.mkdir(parents=True)
        accel, _ = accelerator.usable_accel()
        hv = stack.enter_context(
            hypervisor.connect(
                None,
                runtime=entry.folder,
                cache=environment.cache / "libvirt",
                mask_kvm=accel is Accel.TCG,
            )
        )
        entry = replace(entry, uri=hv.uri)
        entry.write()
        image.make_overlay(base, entry.disk / _OVERLAY)
        image.make_empty_disks(entry.disk, target.disks_mib)
        emulator = single_thread_qemu.emulator(target, accel, hv.versions, root=environment.cache)
        guest = replace(_spec(entry, target, kernel, accel), emulator=emulator)
        stack.enter_context(Domain.create(hv, render(guest)))
        progress(f"run {entry.run_id}: its console goes to {entry.run / _CONSOLE}")
        yield entry


def _new_entry(request: BootRequest, target: TargetSpec, base: Image) -> GuestEntry:
    run_id = registry.new_run_id()
    return GuestEntry(
        run_id=run_id,
        folder=request.environment.runtime / run_id,
        disk=request.environment.cache / "live" / run_id,
        run=build_folder.runs(request.settings.root) / run_id,
        pid=os.getpid(),
        target=request.target_name or request.settings.default_target,
        domain=_DOMAIN,
        key_file=base.ssh_key,
        host_key=base.host_key,
        vcpus=target.vcpus,
        memory_mib=target.memory_mib,
    )


def _spec(entry: GuestEntry, target: TargetSpec, kernel: Kernel, accel: Accel) -> DomainSpec:
    return DomainSpec(
        name=entry.domain,
        uuid=str(uuid4()),
        run_id=entry.run_id,
        accel=accel,
        arch=target.arch,
        memory_mib=target.memory_mib,
        vcpus=target.vcpus,
        vmlinuz=kernel.vmlinuz,
        initrd=kernel.initrd,
        cmdline=f"{_CMDLINE} {target.cmdline}".strip(),
        overlay=entry.disk / _OVERLAY,
        modules_disk=kernel.modules_disk,
        qmp_socket=entry.qmp_socket,
        console_log=entry.run / _CONSOLE,
        cpu=target.cpu,
        numa=target.numa,
        disks=image.disk_files(entry.disk, target.disks_mib),
        nics=target.nics,
        pci=target.pci,
        qemu=target.qemu,
    )
