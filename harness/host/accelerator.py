# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide whether this host can run guests under KVM or has to emulate them.

Also: what the memory of a guest under KVM depends on.
"""

import errno
import os
import platform
from pathlib import Path

from harness.model.settings import Accel

_KVM = Path("/dev/kvm")
_CPUINFO = Path("/proc/cpuinfo")
# The fields of /proc/cpuinfo by which two processors differ for a guest.
_PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags")


def usable_accel(*, kvm: Path = _KVM, cpuinfo: Path = _CPUINFO) -> tuple[Accel, str]:
    """Return the accelerator that works on this host, and the reason for the choice.

    /dev/kvm alone proves nothing: it may open on a host whose CPU has no virtualization, and then
    the guest never prints a byte. So the CPU must have the flag, and /dev/kvm must open for
    writing.
    """
    words = set(cpuinfo.read_text(errors="replace").split())
    if not words & {"vmx", "svm"}:
        return Accel.TCG, "the CPU shows no hardware virtualization (neither vmx nor svm)"
    try:
        os.close(os.open(kvm, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        advice = "; add yourself to group kvm" if error.errno == errno.EACCES else ""
        return Accel.TCG, f"{kvm} cannot be used: {error.strerror}{advice}"
    return Accel.KVM, f"the CPU has hardware virtualization and {kvm} opens for writing"


def chosen(forced: Accel | None) -> Accel:
    """Return the accelerator that a user has forced, or else the one that works on this host."""
    return forced or usable_accel()[0]


def host_words(accel: Accel) -> tuple[str, ...]:
    """Return the texts that describe what a saved guest depends on of this host.

    Under KVM, a guest uses the instructions and registers of this processor, as the host's kernel
    shows them to it. So the texts are lines of /proc/cpuinfo on the first processor, and the
    kernel's release. An emulated guest depends on neither, and the result is (). The programs that
    run the guest are not included.
    """
    if accel is not Accel.KVM:
        return ()
    lines = _CPUINFO.read_text(errors="replace").split("\n\n")[0].splitlines()
    found = (line for line in lines if line.partition(":")[0].strip() in _PROCESSOR)
    return (*found, platform.release())
