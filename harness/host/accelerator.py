# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decide whether this host can run guests under KVM or has to emulate them."""

import errno
import os
from pathlib import Path

from harness.model.settings import Accel

_KVM = Path("/dev/kvm")
_CPUINFO = Path("/proc/cpuinfo")


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
