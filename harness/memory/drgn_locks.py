# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find which lock a blocked task waits for, and which task holds that lock.

A kernel without lock debugging does not record the lock for which a task waits. But a task in the
slow path of a mutex or semaphore has a waiter structure on its own stack, which is queued in the
lock's list. The search looks on the stack for the waiter's pointer to the task, accepts it only if
the list around it is consistent, follows the list to the lock, and reads the owner from the lock.
On PREEMPT_RT the task itself points to its waiter.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import drgn
from drgn.helpers.common.memory import identify_address
from drgn.helpers.linux.locking import mutex_owner, rwsem_owner

from harness.memory.drgn_program import ERRORS
from harness.memory.values import LockWait, MemoryStack

_MUTEX = re.compile(r"^__mutex_lock|^mutex_lock|^__ww_mutex_lock")
_RWSEM = re.compile(r"^rwsem_down_(read|write)|^down_(read|write)|^__down_(read|write)")
# A damaged list may not end.
_MOST_WAITERS = 1000
_WORD_BYTES = 8
# The low bits of a lock's owner field are flags, because tasks are aligned.
_OWNER_FLAGS = 0x7
_U64 = (1 << 64) - 1
# These bits are set while the list of waiters is not empty; kernel/locking/mutex.h and rwsem.c.
_MUTEX_FLAG_WAITERS = 0x1
_RWSEM_FLAG_WAITERS = 0x2


@dataclass(frozen=True, kw_only=True)
class _Kind:
    name: str
    lock: str
    waiter: str


_KINDS = (
    (_MUTEX, _Kind(name="mutex", lock="struct mutex", waiter="struct mutex_waiter")),
    (_RWSEM, _Kind(name="rwsem", lock="struct rw_semaphore", waiter="struct rwsem_waiter")),
)


def waits(
    prog: drgn.Program,
    blocked: Sequence[tuple[drgn.Object, MemoryStack]],
    tasks: frozenset[int],
    *,
    problem: Callable[[str], None],
) -> Iterator[LockWait]:
    """Yield, for each blocked task, the lock that it waits for and its holder, where found.

    `tasks` are the addresses of all tasks. `problem` is called with a message for each task whose
    memory cannot be read.
    """
    for task, stack in blocked:
        try:
            wait = _of_rt_mutex(prog, task, stack) or _of_queue(prog, task, stack, tasks)
        except ERRORS as error:
            problem(f"what {stack.comm} waits for: {error}")
            continue
        if wait is not None:
            yield wait


def _of_rt_mutex(prog: drgn.Program, task: drgn.Object, stack: MemoryStack) -> LockWait | None:
    """Return the rt_mutex for which a task waits, as its pi_blocked_on shows.

    None means that it waits for none, or that the kernel's tasks have no such field. `stack` names
    the task in the result.
    Source: kernel/locking/rtmutex_common.h.
    """
    try:
        waiter = task.pi_blocked_on
    except AttributeError:
        return None
    if not waiter:
        return None
    lock = waiter.lock
    # The owner's lowest bit has the same meaning here: RT_MUTEX_HAS_WAITERS.
    owner = drgn.Object(prog, "struct task_struct *", lock.owner.value_() & ~_MUTEX_FLAG_WAITERS)
    return _wait(prog, stack, lock.value_(), kind="rt_mutex", owner=owner)


def _of_queue(
    prog: drgn.Program, task: drgn.Object, stack: MemoryStack, tasks: frozenset[int]
) -> LockWait | None:
    names = [frame.function for frame in stack.frames]
    kind = next(
        (one for pattern, one in _KINDS if any(pattern.match(name) for name in names)), None
    )
    if kind is None:
        return None
    for waiter in _waiters(prog, task, kind):
        lock = _lock_of(prog, waiter, kind, tasks)
        if lock is not None:
            owner = mutex_owner(lock) if kind.name == "mutex" else rwsem_owner(lock)
            return _wait(prog, stack, lock.value_(), kind=kind.name, owner=owner)
    return None


def _waiters(prog: drgn.Program, task: drgn.Object, kind: _Kind) -> Iterator[int]:
    """Yield the addresses on a task's stack at which the task may have queued a waiter structure.

    `kind` says which structure: that of mutexes or that of rw_semaphores.
    """
    low = prog.stack_trace(task)[0].sp
    end = task.stack.value_() + prog["THREAD_SIZE"].value_()
    data = prog.read(low, end - low)
    offset = drgn.offsetof(prog.type(kind.waiter), "task")
    for index, (word,) in enumerate(struct.iter_unpack("<Q", data)):
        if word == task.value_():
            at = low + index * _WORD_BYTES - offset
            if _is_whole(prog, at):
                yield at


def _is_whole(prog: drgn.Program, node: int) -> bool:
    """Return whether both neighbours of a list_head at `node` point back to it.

    The result is False for a node that is alone in its list, and where memory cannot be read.
    """
    try:
        # Both kinds of waiters begin with their list_head.
        following, before = prog.read_u64(node), prog.read_u64(node + _WORD_BYTES)
        back, forth = prog.read_u64(following + _WORD_BYTES), prog.read_u64(before)
    except drgn.FaultError:
        return False
    return bool(following != node and back == forth == node)


def _lock_of(
    prog: drgn.Program, waiter: int, kind: _Kind, tasks: frozenset[int]
) -> drgn.Object | None:
    """Return the lock in whose list a waiter is queued, None when it is not found.

    One node of the list lies inside the lock: the one for which the lock's fields are valid. At
    most 1000 nodes are examined.
    """
    offset = drgn.offsetof(prog.type(kind.lock), "wait_list")
    node = prog.read_u64(waiter)
    for _ in range(_MOST_WAITERS):
        if node == waiter:
            return None
        lock = drgn.Object(prog, f"{kind.lock} *", node - offset)
        if _has_waiters(lock, kind, tasks):
            return lock
        node = prog.read_u64(node)
    return None


def _has_waiters(lock: drgn.Object, kind: _Kind, tasks: frozenset[int]) -> bool:
    # drgn reads atomic_long_t as signed, but addresses here are unsigned.
    owner: int = lock.owner.counter.value_() & _U64
    if owner & ~_OWNER_FLAGS and owner & ~_OWNER_FLAGS not in tasks:
        return False
    if kind.name == "mutex":
        return bool(owner & _MUTEX_FLAG_WAITERS)
    return bool(lock.count.counter.value_() & _RWSEM_FLAG_WAITERS)


def _wait(
    prog: drgn.Program, stack: MemoryStack, lock: int, *, kind: str, owner: drgn.Object
) -> LockWait:
    known = bool(owner)
    return LockWait(
        pid=stack.pid,
        comm=stack.comm,
        lock=_name(prog, lock),
        kind=kind,
        holder_pid=owner.pid.value_() if known else 0,
        holder_comm=owner.comm.string_().decode(errors="replace") if known else "",
    )


def _name(prog: drgn.Program, address: int) -> str:
    """Return the name of the lock at an address: its symbol, the offset in it, and the module.

    For an address without a symbol, return the address and the kind of memory in which it lies.
    """
    try:
        symbol = prog.symbol(address)
    except LookupError:
        return f"{address:#x} ({identify_address(prog, address) or 'unknown memory'})"
    offset = address - symbol.address
    try:
        module = prog.module(address)
    except LookupError:
        module = None
    name = f"{symbol.name}+{offset:#x}" if offset else symbol.name
    is_ours = module is not None and not isinstance(module, drgn.MainModule)
    return f"{name} [{module.name}]" if module is not None and is_ours else name
