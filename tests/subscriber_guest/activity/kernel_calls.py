# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""System calls that Python 3.11 has no function for."""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 24, 28, 38
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x8000000, 0x10000000, 0x40000000
BOUND, PRIVATE = 4096 | 16384, 16384 | 1 << 18  # MS_BIND and MS_PRIVATE, with MS_REC
_PTRACE_TRACEME = 0


def call(name: str, *arguments: int | bytes | None) -> int:
    """Call a function of the C library.

    Raises: OSError if it returns a negative number.
    """
    result = int(getattr(_LIBC, name)(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def unshare(flags: int) -> None:
    """Give this process namespaces of its own."""
    call("unshare", flags)


def prctl(option: int, value: int) -> None:
    """Change an attribute of this thread."""
    call("prctl", option, value, 0, 0, 0)


def traceme() -> None:
    """Let the parent trace this process."""
    call("ptrace", _PTRACE_TRACEME, 0, None, None)


def setfsuid(uid: int) -> None:
    """Change the uid by which this thread reaches files; the call returns the one before."""
    _LIBC.setfsuid(uid)


def bind_privately(source: bytes, target: bytes) -> None:
    """Mount a tree a second time, for nobody outside of this mount namespace."""
    call("mount", None, b"/", None, PRIVATE, None)
    call("mount", source, target, None, BOUND, None)
