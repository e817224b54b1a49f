# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of the few functions of IOKit that share memory."""

import struct

from harness.errors import RuleBroken
from harness.kext.emulator.core import Core
from harness.kext.emulator.registry import kpi
from harness.kext.emulator.state import IoObject

_BUFFER = "iokit/Kernel/IOBufferMemoryDescriptor.cpp"
_MEMORY = "iokit/Kernel/IOMemoryDescriptor.cpp"
_OBJECT = "libkern/c++/OSObject.cpp"
_ANYWHERE, _READ_ONLY = 0x1, 0x1000
_RANGE = struct.Struct("<2Q")
_USER_AT = 0x0000700000000000


def _object(kernel: Core, address: int, *kinds: str) -> IoObject:
    found = kernel.state.objects.get(address)
    if found is None or found.kind not in kinds:
        raise RuleBroken(f"{address:#x} is no {' or '.join(kinds)} (any more)")
    return found


def _enter(kernel: Core, found: IoObject) -> int:
    address = kernel.cpu.opaque()
    kernel.state.objects[address] = found
    for one in found.holds:
        kernel.state.objects[one].references += 1
    return address


@kpi(
    "__ZN24IOBufferMemoryDescriptor17inTaskWithOptionsEP4taskjmm",
    4,
    source=_BUFFER,
    sleeps=True,
    failure=0,
)
def buffer_new(kernel: Core, task: int, _options: int, size: int, align: int) -> int:
    """Make a buffer, wired and mapped in the kernel."""
    if task != kernel.kernel_task or not size or align & (align - 1):
        raise RuleBroken("a buffer of another task, of no size, or oddly aligned")
    shared = kernel.cpu.share(size)
    address = kernel.cpu.show(shared)
    return _enter(kernel, IoObject(kind="buffer", shared=shared, address=address))


@kpi("__ZN24IOBufferMemoryDescriptor14getBytesNoCopyEv", 1, source=_BUFFER)
def buffer_bytes(kernel: Core, buffer: int) -> int:
    """Tell where a buffer is mapped in the kernel."""
    return _object(kernel, buffer, "buffer").address


@kpi(
    "__ZN18IOMemoryDescriptor17withAddressRangesEP14IOVirtualRangejjP4task",
    4,
    source=_MEMORY,
    sleeps=True,
    failure=0,
)
def ranges_new(kernel: Core, ranges: int, count: int, _options: int, task: int) -> int:
    """Describe ranges of the kernel's addresses: here the whole of one buffer, so many times."""
    parts = [_RANGE.unpack(kernel.cpu.read(ranges + 16 * n, 16)) for n in range(count)]
    for address, found in kernel.state.objects.items():
        whole = found.shared and (found.address, found.shared.size_bytes)
        if found.kind == "buffer" and set(parts) == {whole}:
            new = IoObject(kind="ranges", shared=found.shared, times=count, holds=(address,))
            if task != kernel.kernel_task:
                raise RuleBroken("the kernel's addresses are described as another task's")
            # The real one holds the pages, not the buffer; both must outlive its mappings.
            return _enter(kernel, new)
    raise RuleBroken("ranges that are no buffer's")


@kpi(
    "__ZN25IOGeneralMemoryDescriptor7prepareEj", 2, source=_MEMORY, sleeps=True, failure=0xE00002BD
)
def prepare(kernel: Core, memory: int, _direction: int) -> int:
    """Wire pages."""
    _object(kernel, memory, "ranges").wired += 1
    return 0


@kpi("__ZN25IOGeneralMemoryDescriptor8completeEj", 2, source=_MEMORY, sleeps=True)
def complete(kernel: Core, memory: int, _direction: int) -> int:
    """Undo prepare."""
    found = _object(kernel, memory, "ranges")
    if not found.wired:
        raise RuleBroken("complete without prepare")
    found.wired -= 1
    return 0


@kpi(
    "__ZN18IOMemoryDescriptor19createMappingInTaskEP4taskyjyy",
    6,
    source=_MEMORY,
    sleeps=True,
    failure=0,
)
def map_new(
    kernel: Core, memory: int, task: int, _at: int, options: int, offset: int, length: int
) -> int:
    """Map described memory into a task."""
    found = _object(kernel, memory, "ranges", "buffer")
    if not options & _ANYWHERE or offset or length or found.shared is None:
        raise RuleBroken("only a mapping of all, anywhere, is modelled")
    if not found.wired and found.kind == "ranges":
        raise RuleBroken("memory is mapped that is not wired")
    new = IoObject(
        kind="map",
        shared=found.shared,
        times=found.times,
        task=task,
        read_only=bool(options & _READ_ONLY),
        holds=(memory,),
    )
    if task == kernel.kernel_task:
        new.address = kernel.cpu.show(found.shared, found.times)
    elif not new.read_only:
        raise RuleBroken("a process gets the ring to write to")
    else:
        new.address = _USER_AT + kernel.cpu.opaque() % (1 << 40) * 4096
    return _enter(kernel, new)


@kpi("__ZN11IOMemoryMap17getVirtualAddressEv", 1, source=_MEMORY)
def map_address(kernel: Core, mapping: int) -> int:
    """Tell where a mapping is."""
    return _object(kernel, mapping, "map").address


@kpi("__ZNK8OSObject7releaseEv", 1, source=_OBJECT, sleeps=True)
def release(kernel: Core, address: int) -> None:
    """Give back a reference; the last one ends the object, and those that it holds."""
    found = _object(kernel, address, "buffer", "ranges", "map")
    found.references -= 1
    if found.references:
        return
    if found.wired:
        raise RuleBroken("memory is released that is still wired")
    del kernel.state.objects[address]
    if (
        found.address
        and found.shared
        and (found.kind == "buffer" or found.task == kernel.kernel_task)
    ):
        kernel.cpu.hide(found.address, found.shared, found.times)
    for one in found.holds:
        release(kernel, one)
