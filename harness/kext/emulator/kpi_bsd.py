# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of XNU functions for devices, processes, credentials, kauth listeners and files.

Arguments and results are register values: addresses of emulated memory, ids and error numbers.
"""

import re
import struct

from harness.errors import RuleBroken
from harness.kext.emulator.core import Core
from harness.kext.emulator.registry import kpi
from harness.kext.emulator.state import Listener, Node

_SPEC = "bsd/miscfs/specfs/spec_vnops.c, bsd/kern/bsd_stubs.c"
_DEVFS = "bsd/miscfs/devfs/devfs_tree.c"
_PROC = "bsd/kern/kern_proc.c"
_TASK = "osfmk/kern/task.c"
_KAUTH = "bsd/kern/kern_authorization.c"
_CRED = "bsd/kern/kern_credential.c"
_VFS = "bsd/vfs/vfs_subr.c, bsd/vfs/kpi_vfs.c"
_ENODEV, _ENOENT = 19, 2
# The listener's answer that leaves the decision to others.
DEFER = 3
# A kauth scope has room for this many (KAUTH_SCOPE_MAX_LISTENERS).
_MOST_LISTENERS = 15
_FIRST_SLOT = 24
# The place of each attribute in struct vnode_attr, by the attribute's bit: offset, format and
# name.
_ATTRIBUTES = {
    7: (68, "<I", "uid"),
    8: (72, "<I", "gid"),
    9: (76, "<H", "mode"),
    13: (112, "<2q", "atime"),
    14: (128, "<2q", "mtime"),
    15: (144, "<2q", "ctime"),
    17: (176, "<Q", "fileid"),
    20: (200, "<I", "fsid"),
}


@kpi("_cdevsw_add", 2, source=_SPEC, sleeps=True, failure=-1)
def cdevsw_add(kernel: Core, slot: int, table: int) -> int:
    """Emulate cdevsw_add: reserve a device major for the cdevsw at `table`, and return the major.

    A test can make it fail with -1. Raises: RuleBroken unless `slot` is -1, the kernel's choice.
    """
    if slot != 0xFFFFFFFF:
        raise RuleBroken("the model supports only a slot that the kernel chooses")
    free = _FIRST_SLOT + len(kernel.state.devices)
    kernel.state.devices[free] = table
    return free


@kpi("_cdevsw_remove", 2, source=_SPEC, sleeps=True)
def cdevsw_remove(kernel: Core, slot: int, table: int) -> int:
    """Emulate cdevsw_remove: free a device major, and return it.

    Raises: RuleBroken unless the major belongs to the cdevsw at `table`.
    """
    if kernel.state.devices.pop(slot, None) != table:
        raise RuleBroken("cdevsw_remove of a slot that has another table")
    return slot


@kpi("_enodev", 0, source=_SPEC)
def enodev(_kernel: Core) -> int:
    """Emulate enodev, the stub for device operations that a driver lacks: return ENODEV."""
    return _ENODEV


@kpi("_enodev_strat", 0, source=_SPEC)
def enodev_strat(_kernel: Core) -> None:
    """Emulate enodev_strat, the strategy routine of a device that has none: do nothing."""


@kpi("_devfs_make_node", 6, source=_DEVFS, sleeps=True, failure=0)
def make_node(
    kernel: Core, device: int, _kind: int, uid: int, gid: int, mode: int, form: int
) -> int:
    """Emulate devfs_make_node: create a node in /dev and return its handle.

    `device` has the major in its upper 8 bits, and `form` is the address of the name. A test can
    make it fail with NULL.
    Raises: RuleBroken for a device without a cdevsw, and for a name with a '%'.
    """
    name = kernel.cpu.text(form, 64)
    # devfs_make_node takes a format, and the model fills in no values.
    if re.search("%", name) or device >> 24 not in kernel.state.devices:
        raise RuleBroken(f"a node {name!r} for a device that does not exist")
    handle = kernel.cpu.opaque()
    node = Node(name=name, device=device, mode=mode & 0xFFFF, uid=uid, gid=gid)
    kernel.state.nodes[handle] = node
    return handle


@kpi("_devfs_remove", 1, source=_DEVFS, sleeps=True)
def remove_node(kernel: Core, handle: int) -> None:
    """Emulate devfs_remove: remove the node in /dev that `make_node` returned.

    Raises: RuleBroken for another handle.
    """
    if kernel.state.nodes.pop(handle, None) is None:
        raise RuleBroken("devfs_remove of something that is not a node")


@kpi("_current_task", 0, source=_TASK)
def current_task(kernel: Core) -> int:
    """Emulate current_task: return the address of the calling thread's task."""
    return kernel.threads.running().process.task


@kpi("_task_reference", 1, source=_TASK)
def task_reference(kernel: Core, task: int) -> None:
    """Emulate task_reference: count one more reference of the kext to a task."""
    kernel.state.tasks[task] = kernel.state.tasks.get(task, 0) + 1


@kpi("_task_deallocate", 1, source=_TASK)
def task_deallocate(kernel: Core, task: int) -> None:
    """Emulate task_deallocate: count one reference less; RuleBroken when the kext holds none."""
    if not kernel.state.tasks.get(task):
        raise RuleBroken("task_deallocate of a task that is not held")
    kernel.state.tasks[task] -= 1


@kpi("_proc_selfpid", 0, source=_PROC)
def proc_selfpid(kernel: Core) -> int:
    """Emulate proc_selfpid: return the process id of the calling thread."""
    return kernel.threads.running().process.pid


@kpi("_proc_selfppid", 0, source=_PROC)
def proc_selfppid(kernel: Core) -> int:
    """Emulate proc_selfppid: return the process id of the calling process's parent."""
    return kernel.threads.running().process.ppid


@kpi("_proc_find", 1, source=_PROC, sleeps=True)
def proc_find(kernel: Core, pid: int) -> int:
    """Emulate proc_find: return the address of the living process with an id, NULL without one.

    The kext then holds a reference to the process.
    """
    if pid not in kernel.living:
        return 0
    kernel.state.processes[pid] = kernel.state.processes.get(pid, 0) + 1
    # No other object has this number, because the numbers of objects are 64 apart.
    return kernel.living[pid].credential + 1


@kpi("_proc_rele", 1, source=_PROC)
def proc_rele(kernel: Core, process: int) -> int:
    """Emulate proc_rele: drop the kext's reference to a process, and return 0.

    Raises: RuleBroken when the kext holds none.
    """
    for pid, found in kernel.living.items():
        if found.credential + 1 == process and kernel.state.processes.get(pid):
            kernel.state.processes[pid] -= 1
            return 0
    raise RuleBroken("proc_rele of a process that is not held")


@kpi("_kauth_cred_get", 0, source=_CRED)
def kauth_cred_get(kernel: Core) -> int:
    """Emulate kauth_cred_get: return the address of the calling thread's credential.

    As in XNU, the kext gets no reference with it.
    """
    return kernel.threads.running().process.credential


@kpi("_kauth_getuid", 0, source=_CRED)
def kauth_getuid(kernel: Core) -> int:
    """Emulate kauth_getuid: return the effective user id of the calling thread."""
    return kernel.threads.running().process.uid


def _credential(name: str, value: int) -> None:
    @kpi(name, 1, source=_CRED)
    def get(kernel: Core, credential: int) -> int:
        """Emulate kauth_cred_get...: return an id of a credential; all but the uid are made up.

        Raises: RuleBroken for another address.
        """
        for process in (*kernel.living.values(), kernel.nobody):
            if process.credential == credential:
                return value or process.uid
        raise RuleBroken(f"{name} of {credential:#x}, which is not a credential")


for _name, _value in (
    ("_kauth_cred_getuid", 0),
    ("_kauth_cred_getruid", 501),
    ("_kauth_cred_getsvuid", 502),
    ("_kauth_cred_getgid", 20),
    ("_kauth_cred_getrgid", 21),
    ("_kauth_cred_getsvgid", 22),
):
    _credential(_name, _value)


@kpi("_kauth_listen_scope", 3, source=_KAUTH, sleeps=True, failure=0)
def listen(kernel: Core, scope: int, callback: int, data: int) -> int:
    """Emulate kauth_listen_scope: register a kauth listener of the kext, and return its handle.

    `scope` is the address of the scope's name. Return NULL when there is no room: the model has 15
    places in all, XNU 15 in each scope. A test can make it fail with NULL, too.
    """
    if len(kernel.state.listeners) >= _MOST_LISTENERS:
        return 0
    handle = kernel.cpu.opaque()
    kernel.state.listeners[handle] = Listener(
        scope=kernel.cpu.text(scope, 64), callback=callback, data=data
    )
    return handle


@kpi("_kauth_unlisten_scope", 1, source=_KAUTH, sleeps=True)
def unlisten(kernel: Core, handle: int) -> None:
    """Emulate kauth_unlisten_scope: remove a listener by its handle.

    As in XNU, this does not wait for threads that run the listener or are about to.
    Raises: RuleBroken for another handle.
    """
    if kernel.state.listeners.pop(handle, None) is None:
        raise RuleBroken("kauth_unlisten_scope of something that is not a listener")


@kpi("_vfs_context_create", 1, source=_VFS, sleeps=True, failure=0)
def context_new(kernel: Core, _context: int) -> int:
    """Emulate vfs_context_create: return the address of a VFS context of the calling thread.

    A test can make it fail with NULL.
    """
    context = kernel.cpu.opaque()
    kernel.state.contexts.add(context)
    return context


@kpi("_vfs_context_rele", 1, source=_VFS, sleeps=True)
def context_release(kernel: Core, context: int) -> int:
    """Emulate vfs_context_rele: free a VFS context, and return 0.

    Raises: RuleBroken for another address.
    """
    if context not in kernel.state.contexts:
        raise RuleBroken("vfs_context_rele of something that is not a context")
    kernel.state.contexts.remove(context)
    return 0


@kpi("_vnode_getattr", 3, source=_VFS, sleeps=True, failure=_ENOENT)
def vnode_getattr(kernel: Core, vnode: int, attributes: int, context: int) -> int:
    """Emulate vnode_getattr: write the requested attributes to the vnode_attr at `attributes`.

    Return 0. A test can make it fail with ENOENT.
    Raises: RuleBroken for what is no file or no context, and for an attribute that the model
        lacks.
    """
    file = kernel.files.get(vnode)
    if file is None or context not in kernel.state.contexts:
        raise RuleBroken("vnode_getattr of something that is not a file, or without a context")
    (active,) = struct.unpack("<Q", kernel.cpu.read(attributes + 8, 8))
    for bit, (offset, form, key) in _ATTRIBUTES.items():
        if active >> bit & 1:
            value = file[key]
            values = value if isinstance(value, tuple) else (value,)
            kernel.cpu.write(attributes + offset, struct.pack(form, *values))
    unknown = active & ~sum(1 << bit for bit in _ATTRIBUTES)
    if unknown:
        raise RuleBroken(f"attributes {unknown:#x} are requested, which the model does not have")
    kernel.cpu.write(attributes, struct.pack("<Q", active))
    return 0
