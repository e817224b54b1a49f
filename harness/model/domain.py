# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The virtual machine of a guest as a value, from which libvirt's domain XML is made."""

from dataclasses import dataclass
from pathlib import Path

from harness.model.settings import Accel


@dataclass(frozen=True, kw_only=True)
class DomainSpec:
    """The machine, disks and files of a guest, from which libvirt's domain XML is made.

    This module is independent of libvirt. `qmp_socket` is a second monitor besides libvirt's; drgn
    reads guest memory through it. `share` is a disk with a copy of a host folder; the disk's label
    is harness-share. `shared_folder` is a host folder that the guest reads and writes directly, by
    9p under the tag harness-share. QEMU itself writes `console_log`, so that the log of a guest
    that is kept goes on when the harness has ended. `cpu`, `numa`, `nics`, `pci` and `qemu` are
    those of TargetSpec; `disks` are the files of its empty disks.
    """

    name: str
    uuid: str
    run_id: str
    accel: Accel
    arch: str
    memory_mib: int
    vcpus: int
    vmlinuz: Path
    initrd: Path
    cmdline: str
    overlay: Path
    modules_disk: Path
    qmp_socket: Path
    share: Path | None = None
    shared_folder: Path | None = None
    console_log: Path | None = None
    emulator: Path | None = None
    cpu: str = ""
    numa: int = 1
    disks: tuple[Path, ...] = ()
    nics: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()
