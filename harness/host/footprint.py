# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Measure this process's open files, threads and memory; a long run checks that none grows."""

from dataclasses import dataclass

import psutil

_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The numbers of open files and threads and the memory (MiB) of this process at one moment."""

    files: int
    threads: int
    memory_mib: int

    def __str__(self) -> str:
        return f"{self.files} files, {self.threads} threads, {self.memory_mib} MiB"


def now() -> Footprint:
    """Return the open files, threads and resident memory of this process."""
    own = psutil.Process()
    with own.oneshot():
        memory_mib = own.memory_info().rss // _MIB
        return Footprint(files=own.num_fds(), threads=own.num_threads(), memory_mib=memory_mib)
