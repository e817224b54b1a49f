# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every failure that the subscriber raises on purpose, with its exit code.

    OsqError                1  something outside the subscriber failed
    ├── UsageError          2  the request cannot be carried out as it is
    │   ├── ConfigError     2  a configuration file is wrong: file, key, what was expected
    │   └── QueryError      2  the SQL is wrong, would write, or takes too long
    ├── DeviceError         1  the driver refused; `code` is the errno
    │   ├── DeviceMissing   3  there is no driver: a retry does not help until it is loaded
    │   ├── RingInvalid     1  another process has used the device: allocate again
    │   └── CorruptRing     1  the ring holds bytes that cannot be a record
    └── StoreError          1  the store cannot be used
        ├── StoreForeign    2  another program's or version's file, which is not changed
        ├── StoreCorrupt    1  the file is damaged and is set aside
        └── StoreBusy       1  another process writes the store

`hint` names the next step.
"""

import errno
import os
from pathlib import Path


class OsqError(Exception):
    """A failure with its exit code and a hint at the next step."""

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OsqError):
    """Raised when the arguments or the system's state make the request impossible."""

    exit_code = 2


class ConfigError(UsageError):
    """Raised for a configuration file that cannot be read, or has a wrong key or value."""

    def __init__(self, file: Path, key: str, expected: str) -> None:
        super().__init__(f"{file}: {key}: {expected}")
        self.file = file
        self.key = key
        self.expected = expected


class QueryError(UsageError):
    """Raised for a query that is wrong, would write, takes too long, or has too many rows."""


_HINTS = {
    errno.ENOENT: "is the module loaded?",
    errno.EACCES: "root with CAP_SYS_ADMIN is needed",
    errno.EPERM: "root with CAP_SYS_ADMIN is needed",
    errno.EBUSY: "another process reads it; osqstat shows its counters",
    errno.EPROTO: "driver and client are of different versions",
    errno.EOPNOTSUPP: "this kernel has no such hook; `osqtail --caps` lists what it has",
}


class DeviceError(OsqError):
    """Raised when the driver refuses a call, or its counters contradict each other."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {os.strerror(code)}", hint=_HINTS.get(code, ""))
        self.code = code


class DeviceMissing(DeviceError):
    """Raised when there is no device, because its driver is not loaded."""

    exit_code = 3


class RingInvalid(DeviceError):
    """Raised when another process has invalidated the ring.

    The driver adds the records that were not read to its counter `reset`.
    """


class CorruptRing(DeviceError):
    """Raised for bytes in the ring that cannot be a record; the caller must close the device.

    A number in a record that is too large for the store is such a case, too.
    """


class StoreError(OsqError):
    """Raised when the store cannot be opened, read or written."""


class StoreForeign(StoreError):
    """Raised for a file of another program, or of another version of the store."""

    exit_code = 2


class StoreCorrupt(StoreError):
    """Raised when the store's file is damaged."""


class StoreBusy(StoreError):
    """Raised when another daemon writes the store."""
