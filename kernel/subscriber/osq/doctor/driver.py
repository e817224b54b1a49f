# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What `osq doctor` reports about the driver: whether it is loaded, and who reads its device.

Each function yields findings: what is right, or what is missing and the command that repairs it.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from osq.doctor.findings import Finding, missing, note, ok
from osq.doctor.machine import Machine

_MODE = 0o600
_SERVICE = "systemctl enable --now osq-subscriber"
_LOG = "journalctl -u osq-subscriber has its reason"


def driver(machine: Machine) -> Iterator[Finding]:
    """Check that the module is loaded, and that neither ftrace nor kprobes are switched off."""
    if not machine.at("/sys/module/osq").exists():
        listed = machine.text(f"/lib/modules/{machine.release}/modules.dep")
        if "/osq.ko" in listed:
            yield missing("driver", "the module osq is not loaded", "modprobe osq")
        else:
            yield missing(
                "driver",
                f"there is no module osq for the running kernel {machine.release}",
                f"install osq-dkms and linux-headers-{machine.release}, or"
                f" osq-modules-{machine.release}; then modprobe osq",
            )
        return
    yield ok("driver", f"the module osq is loaded into {machine.release}")
    if machine.text("/proc/sys/kernel/ftrace_enabled").strip() == "0":
        yield missing(
            "driver",
            "kernel.ftrace_enabled is 0, which switches hooks of the driver off",
            "sysctl kernel.ftrace_enabled=1",
        )
    if machine.text("/sys/kernel/debug/kprobes/enabled").strip() == "0":
        yield missing(
            "driver",
            "kprobes are switched off, and with them hooks of the driver",
            "echo 1 > /sys/kernel/debug/kprobes/enabled",
        )


def device(machine: Machine, path: Path) -> Iterator[Finding]:
    """Check mode and owner of the device's node, and that `osq daemon` reads the device."""
    node = machine.at(path)
    try:
        status = node.stat()
    except FileNotFoundError:
        yield missing("device", f"there is no {path}", "load the driver: modprobe osq")
        return
    if stat.S_IMODE(status.st_mode) != _MODE or (status.st_uid, status.st_gid) != (0, 0):
        mode = stat.S_IMODE(status.st_mode)
        yield note(
            "device",
            f"{path} has mode {mode:o} and owner {status.st_uid}:{status.st_gid}",
            "find the udev rule that opens it; until then: chmod 600, chown root:root",
        )
    yield _reader(machine, path)


def _reader(machine: Machine, path: Path) -> Finding:
    holders = machine.holders(path)
    if not holders:
        advice = f"{_SERVICE}; if it runs already, {_LOG}"
        return missing("device", f"no process reads {path}: nothing is recorded", advice)
    holder = holders[0]
    if "daemon" in machine.text(f"/proc/{holder.pid}/cmdline").split("\0"):
        return ok("device", f"{path} is read by osq daemon, pid {holder.pid}")
    return missing(
        "device",
        f"{path} is read by {holder.name}, pid {holder.pid}, and it has one reader at a time",
        f"end that process (systemctl stop osqtail, for example), then {_SERVICE}",
    )
