# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of capabilities; bit n of a set is the n-th name, as in linux/capability.h."""

_NAMES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace"),
    *("sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time"),
    *("sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read"),
    *("perfmon", "bpf", "checkpoint_restore"),
)
_ALL = (1 << len(_NAMES)) - 1


def names(bits: int) -> str:
    """Return the names of the capabilities whose bits are set; "all" if every known one is.

    They are separated by commas; "" for none. A bit without a name is "capability N".
    """
    if bits & _ALL == _ALL:
        return "all"
    known = [name for number, name in enumerate(_NAMES) if bits >> number & 1]
    # A set with bit 63 is a negative number in SQLite.
    unknown = [f"capability {number}" for number in range(len(_NAMES), 64) if bits >> number & 1]
    return ", ".join(known + unknown)
