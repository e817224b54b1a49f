# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The objects that the emulated kernel has given to the kext, to report those it never releases.

The kext must release every object before it is unloaded.
"""

from dataclasses import dataclass, field

from harness.kext.emulator.cpu import Shared


@dataclass
class Lock:
    """A spin lock or mutex of the kext: its lock group, and the name of the thread that holds it.

    `holder` is "" while it is free.
    """

    kind: str
    group: int
    holder: str = ""


@dataclass
class IoObject:
    """An IOKit object that the kext holds, and the number of its references.

    `kind` is "buffer", "ranges" or "map". `holds` are the addresses of the objects that it
    references. `times` is how often the shared memory is mapped side by side.
    """

    kind: str
    references: int = 1
    shared: Shared | None = None
    address: int = 0
    times: int = 1
    task: int = 0
    wired: int = 0
    read_only: bool = False
    holds: tuple[int, ...] = ()


@dataclass
class Listener:
    """A kauth listener of the kext: the scope's name, the callback's address, and its data."""

    scope: str
    callback: int
    data: int


@dataclass
class Node:
    """A node in /dev that the kext has created; `device` is its device number."""

    name: str
    device: int
    mode: int
    uid: int
    gid: int


@dataclass
class Filter:
    """A socket filter of the kext: the sockets that it wants, and those that it is attached to.

    `calls` are the addresses of its functions by name. `sockets` has the cookie of each attached
    socket.
    """

    handle: int
    domain: int
    kind: int
    protocol: int
    calls: dict[str, int]
    sockets: dict[int, int] = field(default_factory=dict)
    is_registered: bool = True


@dataclass
class Socket:
    """A socket of an emulated process; `local` and `remote` are the bytes of a sockaddr.

    The protocol removes a socket's PCB (so_pcb is NULL) before the filters are detached.
    """

    domain: int
    kind: int
    protocol: int
    local: bytes = b""
    remote: bytes = b""
    has_pcb: bool = True


@dataclass
class State:
    """All objects that the emulated kernel has given to the kext, keyed by address or number."""

    memory: dict[int, int] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    locks: dict[int, Lock] = field(default_factory=dict)
    objects: dict[int, IoObject] = field(default_factory=dict)
    listeners: dict[int, Listener] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    devices: dict[int, int] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)
    processes: dict[int, int] = field(default_factory=dict)
    contexts: set[int] = field(default_factory=set)
    filters: dict[int, Filter] = field(default_factory=dict)

    def left(self) -> tuple[str, ...]:
        """Return one line for each object that the kext has not released, () without leaks."""
        counts = {
            "allocation": [f"{size} bytes" for size in self.memory.values()],
            "lock group": list(self.groups.values()),
            "lock": [one.kind for one in self.locks.values()],
            "IOKit object": [one.kind for one in self.objects.values()],
            "kauth listener": [one.scope for one in self.listeners.values()],
            "device node": [one.name for one in self.nodes.values()],
            "device switch": [f"slot {slot}" for slot in self.devices],
            "task reference": [f"{count}" for count in self.tasks.values() if count],
            "process reference": [f"{count}" for count in self.processes.values() if count],
            "context": ["vfs_context"] * len(self.contexts),
            "socket filter": [f"{handle:#x}" for handle in self.filters],
        }
        return tuple(f"{kind}: {what}" for kind, found in counts.items() for what in found)
