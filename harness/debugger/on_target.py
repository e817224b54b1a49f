# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debug the kernel of a target that the user boots, over the way that its machine offers.

A guest of QEMU has a stub that needs nothing in the guest, VMware has one that its .vmx enables,
and a Mac speaks KDP once its kernel waits for a debugger. Apple silicon allows no live debugger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.debugger import kdp_attach as kdp
from harness.errors import TargetNotReady, UsageError
from harness.host.config import choose_target
from harness.model.settings import LOOPBACK, Settings, System
from harness.protocols.kdp.packets import KDP_PORT
from harness.targets.target_file import Kind, RemoteSpec

Say = Callable[[str], None]
# The folder of a KDK's kernels, and their names; the one with the most symbols comes first.
_KERNELS = ("kernel.development", "kernel", "kernel.debug")
_VMX_STUB = 'debugStub.listen.guest64 = "TRUE"'
# The port that VMware gives to the stub of a 64-bit guest.
_VMWARE_PORT = 8864


@dataclass(frozen=True, kw_only=True)
class DebugRequest:
    """A request to debug a target's kernel, with lldb's commands and the folder for its files."""

    target: RemoteSpec
    folder: Path
    breakpoints: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def attach(request: DebugRequest, say: Say) -> int:
    """Attach lldb on this terminal to a target's kernel; return lldb's exit status.

    Raises: UsageError for a target that is no Mac, or without a KDK or lldb; TargetNotReady for a
        guest whose stub the user has to open; DebugError when the kernel does not answer.
    """
    target = request.target
    if target.system is not System.MACOS:
        raise UsageError(
            f"{target.name} has no stub that the harness can open",
            hint="KGDB over its serial line: gdb vmlinux -ex 'target remote /dev/ttyUSB0'",
        )
    kernel = kernel_of(target)
    if target.type is not Kind.SSH:
        raise TargetNotReady(
            f"{target.name}: its stub is opened by hand", hint=by_hand(target, kernel)
        )
    say(f"waiting for {target.host}: stop its kernel by NMI, or by a panic, if it runs")
    return kdp.attach(
        kdp.KdpRequest(
            host=target.host,
            port=KDP_PORT,
            kernel=kernel,
            folder=request.folder,
            breakpoints=request.breakpoints,
            commands=request.commands,
        ),
        say,
    )


def kernel_of(target: RemoteSpec) -> Path:
    """Return the path of the kernel with symbols that belongs to a Mac, in the Mac's KDK.

    Raises: UsageError when there is none.
    """
    if target.kdk is None:
        raise UsageError(
            f"target {target.name}: kdk is not set",
            hint="the Kernel Debug Kit of its very build (sw_vers -buildVersion), from Apple's "
            "developer pages; kdk = FOLDER in the target's file",
        )
    folder = target.kdk / "System" / "Library" / "Kernels"
    found: Sequence[Path] = [folder / name for name in _KERNELS if (folder / name).is_file()]
    if not found:
        raise UsageError(f"{target.kdk} is not a Kernel Debug Kit: there is no kernel in {folder}")
    return found[0]


def by_hand(target: RemoteSpec, kernel: Path) -> str:
    """Return the commands by which the user opens a guest's stub and attaches lldb."""
    lldb = f"lldb {kernel} -o 'gdb-remote {LOOPBACK}:{{port}}'"
    if target.type is Kind.VMWARE:
        return (
            f"guest off, add {_VMX_STUB} to its .vmx, guest on; then: "
            f"{lldb.format(port=_VMWARE_PORT)}"
        )
    name = target.libvirt.domain or f"harness-{target.name}"
    return (
        f"virsh -c {target.libvirt.uri} qemu-monitor-command --hmp {name} "
        f"'gdbserver tcp:{LOOPBACK}:1234'; then: {lldb.format(port=1234)}"
    )


def own_guest(settings: Settings, name: str) -> tuple[str, ...]:
    """Return lines for the user on KASLR, panics and the stub of a guest that the harness boots.

    Raises: ConfigError when there is no target of that name.
    """
    target = choose_target(settings, name, None)
    fixed = "nokaslr" in target.cmdline.split()
    moved = (
        "on, and kernel-debug moves the symbols by what it is; "
        f'[tool.harness.targets.{name}] cmdline = "nokaslr" ends it'
    )
    return (
        f"KASLR: {'off (nokaslr)' if fixed else moved}",
        "panic: the guest is kept as it died (on_crash preserve), with its memory",
        "stub: kernel-debug opens QEMU's when it is needed, and closes it",
    )
