# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Names of the errors that the driver gives, by each system's numbers.

Source: Linux, include/uapi/asm-generic/errno.h; xnu-11417.101.15, bsd/sys/errno.h.
"""

from harness.model.settings import System

_BOTH = {
    1: "EPERM",
    2: "ENOENT",
    4: "EINTR",
    6: "ENXIO",
    12: "ENOMEM",
    13: "EACCES",
    14: "EFAULT",
    16: "EBUSY",
    17: "EEXIST",
    22: "EINVAL",
    25: "ENOTTY",
    28: "ENOSPC",
}
_OF = {
    System.LINUX: {11: "EAGAIN", 71: "EPROTO", 95: "EOPNOTSUPP", 107: "ENOTCONN", 116: "ESTALE"},
    System.MACOS: {35: "EAGAIN", 57: "ENOTCONN", 70: "ESTALE", 100: "EPROTO", 102: "EOPNOTSUPP"},
}


def error_name(system: System, number: int) -> str:
    """Return a system's name of an error number, or the number if the driver does not use it."""
    return _BOTH.get(number) or _OF[system].get(number) or f"error {number}"
