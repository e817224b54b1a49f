# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of XNU functions for memory, locks, time, sleeping and printing.

Arguments and results are register values: addresses of emulated memory, numbers and error numbers.
"""

import re
import struct

from harness.errors import RuleBroken
from harness.kext.emulator.core import Core
from harness.kext.emulator.registry import kpi
from harness.kext.emulator.state import Lock
from harness.kext.emulator.threads import Wait

_LOCKS = "osfmk/kern/locks.c, osfmk/kern/lock_mtx.c, osfmk/kern/lock_group.c"
_IOLIB = "iokit/Kernel/IOLib.cpp"
_SYNCH = "bsd/kern/kern_synch.c"
_NS_PER_MS, _NS_PER_S = 1_000_000, 1_000_000_000
_EINTR, _EWOULDBLOCK = 4, 35
_PCATCH = 0x100
_FORMAT = re.compile(r"%(?:l*)([dusxp%])")


@kpi("_IOMalloc", 1, source=_IOLIB, sleeps=True, failure=0)
def io_malloc(kernel: Core, size: int) -> int:
    """Emulate IOMalloc: return the address of new kernel memory; RuleBroken for a size of 0.

    A test can make it return NULL.
    """
    if not size:
        raise RuleBroken("IOMalloc of 0 bytes")
    address = kernel.cpu.allocate(size)
    kernel.state.memory[address] = size
    return address


@kpi("_IOFree", 2, source=_IOLIB, sleeps=True)
def io_free(kernel: Core, address: int, size: int) -> None:
    """Emulate IOFree: unmap memory of IOMalloc.

    Raises: RuleBroken for another address or size than those of the allocation.
    """
    given = kernel.state.memory.pop(address, None)
    if given is None:
        raise RuleBroken(f"IOFree of {address:#x}, which is not allocated")
    if given != size:
        raise RuleBroken(f"IOFree of {size} bytes that were allocated as {given}")
    kernel.cpu.free(address, size)


@kpi("_IOSleep", 1, source=_IOLIB, sleeps=True)
def io_sleep(kernel: Core, milliseconds: int) -> None:
    """Emulate IOSleep: let the calling thread sleep for a number of simulated milliseconds."""
    threads = kernel.threads
    until = threads.now_ns + milliseconds * _NS_PER_MS
    threads.wait(Wait(what="IOSleep", is_over=lambda: threads.now_ns >= until, until_ns=until))


@kpi("_lck_grp_alloc_init", 2, source=_LOCKS, sleeps=True, failure=0)
def group_new(kernel: Core, name: int, _attribute: int) -> int:
    """Emulate lck_grp_alloc_init: return the address of a new lock group.

    `name` is the address of the group's name. A test can make it fail with NULL.
    """
    group = kernel.cpu.opaque()
    kernel.state.groups[group] = kernel.cpu.text(name, 64)
    return group


@kpi("_lck_grp_free", 1, source=_LOCKS, sleeps=True)
def group_free(kernel: Core, group: int) -> None:
    """Emulate lck_grp_free: free a lock group; RuleBroken while locks of it exist."""
    if kernel.state.groups.pop(group, None) is None:
        raise RuleBroken("lck_grp_free of something that is not a group")
    if any(one.group == group for one in kernel.state.locks.values()):
        raise RuleBroken("lck_grp_free of a group that still has locks")


def _new(kernel: Core, kind: str, group: int) -> int:
    if group not in kernel.state.groups:
        raise RuleBroken(f"a {kind} lock without a group")
    lock = kernel.cpu.opaque()
    kernel.state.locks[lock] = Lock(kind=kind, group=group)
    return lock


def _lock(kernel: Core, address: int, kind: str) -> Lock:
    lock = kernel.state.locks.get(address)
    if lock is None or lock.kind != kind:
        raise RuleBroken(f"{address:#x} is not a {kind} lock, or was freed")
    return lock


def _free(kernel: Core, address: int, group: int, kind: str) -> None:
    lock = _lock(kernel, address, kind)
    if lock.holder or lock.group != group:
        raise RuleBroken(f"a {kind} lock is freed while it is held, or with another group")
    del kernel.state.locks[address]


def _take(kernel: Core, address: int, kind: str, held: list[int]) -> None:
    lock = _lock(kernel, address, kind)
    thread = kernel.threads.running()
    if lock.holder == thread.name:
        raise RuleBroken(f"{thread.name} takes a {kind} lock that it already holds")

    def get() -> int:
        lock.holder = thread.name
        held.append(address)
        return 0

    if lock.holder:
        kernel.threads.wait(Wait(what=f"{kind} lock", is_over=lambda: not lock.holder, finish=get))
    else:
        get()


def _release(kernel: Core, address: int, kind: str, held: list[int]) -> None:
    lock = _lock(kernel, address, kind)
    thread = kernel.threads.running()
    if lock.holder != thread.name:
        raise RuleBroken(f"{thread.name} unlocks a {kind} lock that it does not hold")
    lock.holder = ""
    held.remove(address)


@kpi("_lck_spin_alloc_init", 2, source=_LOCKS, sleeps=True, failure=0)
def spin_new(kernel: Core, group: int, _attribute: int) -> int:
    """Emulate lck_spin_alloc_init: return the address of a new spin lock of a lock group.

    A test can make it fail with NULL. Raises: RuleBroken for another address than a group's.
    """
    return _new(kernel, "spin", group)


@kpi("_lck_spin_free", 2, source=_LOCKS, sleeps=True)
def spin_free(kernel: Core, lock: int, group: int) -> None:
    """Emulate lck_spin_free: free a spin lock; RuleBroken if it is held or of another group."""
    _free(kernel, lock, group, "spin")


@kpi("_lck_spin_lock", 1, source=_LOCKS)
def spin_lock(kernel: Core, lock: int) -> None:
    """Emulate lck_spin_lock: take a spin lock, or wait for the thread that holds it.

    While it holds the lock, the thread may call no function that may sleep.
    Raises: RuleBroken when the thread holds the lock already.
    """
    _take(kernel, lock, "spin", kernel.threads.running().spins)


@kpi("_lck_spin_unlock", 1, source=_LOCKS)
def spin_unlock(kernel: Core, lock: int) -> None:
    """Emulate lck_spin_unlock: release a spin lock; RuleBroken unless the thread holds it."""
    _release(kernel, lock, "spin", kernel.threads.running().spins)


@kpi("_lck_mtx_alloc_init", 2, source=_LOCKS, sleeps=True, failure=0)
def mutex_new(kernel: Core, group: int, _attribute: int) -> int:
    """Emulate lck_mtx_alloc_init: return the address of a new mutex of a lock group.

    A test can make it fail with NULL. Raises: RuleBroken for another address than a group's.
    """
    return _new(kernel, "mutex", group)


@kpi("_lck_mtx_free", 2, source=_LOCKS, sleeps=True)
def mutex_free(kernel: Core, lock: int, group: int) -> None:
    """Emulate lck_mtx_free: free a mutex; RuleBroken if it is held or of another group."""
    _free(kernel, lock, group, "mutex")


@kpi("_lck_mtx_lock", 1, source=_LOCKS, sleeps=True)
def mutex_lock(kernel: Core, lock: int) -> None:
    """Emulate lck_mtx_lock: take a mutex; the thread sleeps while another one holds it.

    Raises: RuleBroken when the thread holds the mutex already.
    """
    _take(kernel, lock, "mutex", kernel.threads.running().mutexes)


@kpi("_lck_mtx_unlock", 1, source=_LOCKS)
def mutex_unlock(kernel: Core, lock: int) -> None:
    """Emulate lck_mtx_unlock: release a mutex; RuleBroken unless the thread holds it."""
    _release(kernel, lock, "mutex", kernel.threads.running().mutexes)


@kpi("_msleep", 5, source=_SYNCH, sleeps=True)
def msleep(
    kernel: Core, channel: int, mutex: int, priority: int, _what: int, timeout: int
) -> None:
    """Emulate msleep: release the mutex, sleep on `channel`, and take the mutex again.

    The kext gets 0 after a wakeup, EINTR after a signal if `priority` has PCATCH, and EWOULDBLOCK
    after the time in the timespec at the address `timeout`.
    """
    threads, thread = kernel.threads, kernel.threads.running()
    until = None
    if timeout:
        seconds, ns = struct.unpack("<2q", kernel.cpu.read(timeout, 16))
        # XNU sleeps without a limit when the time is 0.
        if seconds or ns:
            until = threads.now_ns + seconds * _NS_PER_S + ns
    lock = _lock(kernel, mutex, "mutex")
    _release(kernel, mutex, "mutex", thread.mutexes)
    kernel.sleeping[thread.name] = channel

    def is_over() -> bool:
        signalled = priority & _PCATCH and thread.name in kernel.signalled
        late = until is not None and threads.now_ns >= until
        # finish() takes the mutex and must not wait for it again.
        return not lock.holder and bool(thread.name not in kernel.sleeping or signalled or late)

    def finish() -> int:
        _take(kernel, mutex, "mutex", thread.mutexes)
        awakened = kernel.sleeping.pop(thread.name, None) is None
        # XNU asks for signals also after a wakeup, because POSIX has signals delivered first
        # (_sleep() in kern_synch.c).
        if priority & _PCATCH and thread.name in kernel.signalled:
            kernel.signalled.remove(thread.name)
            return _EINTR
        return 0 if awakened else _EWOULDBLOCK

    threads.wait(Wait(what="msleep", is_over=is_over, until_ns=until, finish=finish))


@kpi("_wakeup", 1, source=_SYNCH)
def wakeup(kernel: Core, channel: int) -> None:
    """Emulate wakeup: wake all threads that sleep on a channel in msleep."""
    for name in [name for name, where in kernel.sleeping.items() if where == channel]:
        del kernel.sleeping[name]


@kpi("_clock_get_uptime", 1, source="osfmk/kern/clock.c")
def clock_get_uptime(kernel: Core, result: int) -> None:
    """Emulate clock_get_uptime: write the uptime in ticks to the address `result`.

    A nanosecond of the simulated clock has 3 ticks, so that a kext which takes ticks for
    nanoseconds fails.
    """
    kernel.cpu.write(result, struct.pack("<Q", 3 * kernel.threads.now_ns))


@kpi("_absolutetime_to_nanoseconds", 2, source="osfmk/i386/rtclock.c")
def to_nanoseconds(kernel: Core, ticks: int, result: int) -> None:
    """Emulate absolutetime_to_nanoseconds: write `ticks` in nanoseconds to address `result`."""
    kernel.cpu.write(result, struct.pack("<Q", ticks // 3))


@kpi("_strnlen", 2, source="osfmk/device/subrs.c")
def strnlen(kernel: Core, text: int, most: int) -> int:
    """Emulate strnlen: return the length of the text at an address, at most `most`.

    No byte after the text's end is read, because it may lie in a guard page.
    """
    data = b""
    while b"\0" not in data and len(data) < most:
        data += kernel.cpu.read(text + len(data), 1)
    return len(data.split(b"\0")[0])


@kpi("_printf", 6, source="osfmk/kern/printf.c", fixed=1)
def printf(kernel: Core, form: int, *values: int) -> int:
    """Emulate printf: append a line to the emulated kernel's log, and return 0.

    `form` is the address of the format.
    """
    rest = iter(values)

    def filled(match: re.Match[str]) -> str:
        kind = match.group(1)
        if kind == "%":
            return "%"
        value = next(rest)
        if kind == "s":
            return kernel.cpu.text(value)
        return f"{value & 0xFFFFFFFF:x}" if kind in "xp" else str(value & 0xFFFFFFFF)

    kernel.log.append(_FORMAT.sub(filled, kernel.cpu.text(form)))
    return 0


@kpi("___stack_chk_fail", 0, source="osfmk/kern/stack_protector.c")
def stack_smashed(kernel: Core) -> None:
    """Emulate __stack_chk_fail: raise RuleBroken, as the thread overran a buffer on its stack."""
    raise RuleBroken(f"{kernel.threads.running().name} wrote past a buffer on its stack")
