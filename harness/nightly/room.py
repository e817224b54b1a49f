# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The processors and memory that nightly cells need and that this host has for them.

Guests of other runs keep theirs, so that the night does not disturb a person at the host.
`run` starts cells only where they fit, and ends one when memory runs out.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.guest import registry
from harness.model.settings import Settings
from harness.nightly.values import Cell, CellKind

# An estimate of what QEMU, libvirt and the harness take besides the guest's memory.
_HARNESS_MIB = 400
# An estimate of what the compilers of one build take.
_BUILD_MIB = 1024
# Memory that stays free for the host.
SPARE_MIB = 512
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Room:
    """Processors and memory: those that a cell of the nightly matrix needs, or that a host has."""

    cores: int
    memory_mib: int

    def __add__(self, other: "Room") -> "Room":
        return Room(cores=self.cores + other.cores, memory_mib=self.memory_mib + other.memory_mib)

    def fits(self, whole: "Room") -> bool:
        """Return whether neither the processors nor the memory exceed those of `whole`."""
        return self.cores <= whole.cores and self.memory_mib <= whole.memory_mib


NO_ROOM = Room(cores=0, memory_mib=0)


def needed(settings: Settings, cell: Cell) -> Room:
    """Return the processors and the memory that a nightly cell needs while it runs."""
    if cell.kind is CellKind.BUILD:
        return Room(cores=1, memory_mib=_BUILD_MIB)
    target = settings.targets[cell.target]
    return Room(cores=target.vcpus, memory_mib=target.memory_mib + _HARNESS_MIB)


def total(parts: Iterable[Room]) -> Room:
    """Return the sum of the processors and of the memory of several nightly cells."""
    return sum(parts, NO_ROOM)


def of_host(most_cores: int | None = None) -> Room:
    """Return the processors and memory of this host that cells may use.

    With `most_cores`, no more processors than these. Some memory is kept for the host itself.
    """
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total // _MIB - SPARE_MIB
    return Room(cores=min(cores, most_cores or cores), memory_mib=memory)


def free_memory_mib() -> int:
    """Return the memory that this host can give to a new process now."""
    return int(psutil.virtual_memory().available) // _MIB


def of_others(runtime: Path, own: Collection[str]) -> Room:
    """Return the processors and the memory that guests of other runs on this host take.

    Guests of every project count, also those that were left up. `runtime` is the folder in which
    the guests of this host are registered. `own` are the ids of the night's own runs.
    """
    return total(
        Room(cores=entry.vcpus, memory_mib=entry.memory_mib + _HARNESS_MIB)
        for entry in registry.list_entries(runtime)
        if entry.run_id not in own and (entry.kept or registry.is_owned(entry.folder))
    )
