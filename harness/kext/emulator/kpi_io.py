# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Models of the IOKit functions with which a kext shares memory with processes.

Arguments and results are register values; an object is known by the address that the model
returned for it.
"""

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
        raise RuleBroken(f"{address:#x} is not a {' or '.join(kinds)}, or was released")
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
    """Emulate IOBufferMemoryDescriptor::inTaskWithOptions: return a new buffer in kernel memory.

    The buffer is wired and mapped in the kernel. A test can make it fail with NULL.
    Raises: RuleBroken for another task than the kernel's, a size of 0, and an alignment that is no
        power of two.
    """
    if task != kernel.kernel_task or not size or align & (align - 1):
        raise RuleBroken(
            "a buffer for another task, of size 0, or with an alignment that is no power of two"
        )
    shared = kernel.cpu.share(size)
    address = kernel.cpu.show(shared)
    return _enter(kernel, IoObject(kind="buffer", shared=shared, address=address))


@kpi("__ZN24IOBufferMemoryDescriptor14getBytesNoCopyEv", 1, source=_BUFFER)
def buffer_bytes(kernel: Core, buffer: int) -> int:
    """Emulate getBytesNoCopy: return the kernel address of the memory of an IOKit buffer."""
    return _object(kernel, buffer, "buffer").address


@kpi(
    "__ZN18IOMemoryDescriptor17withAddressRangesEP14IOVirtualRangejjP4task",
    4,
    source=_MEMORY,
    sleeps=True,
    failure=0,
)
def ranges_new(kernel: Core, ranges: int, count: int, _options: int, task: int) -> int:
    """Emulate IOMemoryDescriptor::withAddressRanges: return a descriptor of kernel address ranges.

    `ranges` is the address of `count` pairs of address and length. A test can make it fail with
    NULL.
    Raises: RuleBroken unless each range is the whole of one and the same buffer, and `task` is the
        kernel's.
    """
    parts = [_RANGE.unpack(kernel.cpu.read(ranges + 16 * n, 16)) for n in range(count)]
    for address, found in kernel.state.objects.items():
        whole = found.shared and (found.address, found.shared.size_bytes)
        if found.kind == "buffer" and set(parts) == {whole}:
            new = IoObject(kind="ranges", shared=found.shared, times=count, holds=(address,))
            if task != kernel.kernel_task:
                raise RuleBroken(
                    "ranges of kernel addresses are described as those of another task"
                )
            # In XNU the descriptor references the pages, not the buffer, so both must outlive
            # mappings.
            return _enter(kernel, new)
    raise RuleBroken("ranges that do not cover exactly one buffer")


@kpi(
    "__ZN25IOGeneralMemoryDescriptor7prepareEj", 2, source=_MEMORY, sleeps=True, failure=0xE00002BD
)
def prepare(kernel: Core, memory: int, _direction: int) -> int:
    """Emulate IOMemoryDescriptor::prepare: wire the pages of a descriptor, and return 0.

    A test can make it fail with kIOReturnNoMemory.
    """
    _object(kernel, memory, "ranges").wired += 1
    return 0


@kpi("__ZN25IOGeneralMemoryDescriptor8completeEj", 2, source=_MEMORY, sleeps=True)
def complete(kernel: Core, memory: int, _direction: int) -> int:
    """Emulate IOMemoryDescriptor::complete: undo one `prepare`, and return 0.

    Raises: RuleBroken when the pages are not wired.
    """
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
    """Emulate createMappingInTask: map a descriptor's memory into a task, and return the mapping.

    A test can make it fail with NULL.
    Raises: RuleBroken for memory that is not wired, for a mapping that lets a process write, and
        for one of a part or at a chosen address.
    """
    found = _object(kernel, memory, "ranges", "buffer")
    if not options & _ANYWHERE or offset or length or found.shared is None:
        raise RuleBroken("the model supports only a mapping of the whole, at any address")
    if not found.wired and found.kind == "ranges":
        raise RuleBroken("memory that is not wired is mapped")
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
        raise RuleBroken("a process can write to the ring")
    else:
        # The address is only a number that no other mapping has: no memory is mapped there, and
        # `Kernel.user_memory` reads the shared memory.
        new.address = _USER_AT + kernel.cpu.opaque() % (1 << 40) * 4096
    return _enter(kernel, new)


@kpi("__ZN11IOMemoryMap17getVirtualAddressEv", 1, source=_MEMORY)
def map_address(kernel: Core, mapping: int) -> int:
    """Emulate IOMemoryMap::getVirtualAddress: return the address at which memory is mapped."""
    return _object(kernel, mapping, "map").address


@kpi("__ZNK8OSObject7releaseEv", 1, source=_OBJECT, sleeps=True)
def release(kernel: Core, address: int) -> None:
    """Emulate OSObject::release: drop a reference to an IOKit object.

    The last release frees the object and drops the object's own references.
    Raises: RuleBroken for what is no IOKit object, and when the last release leaves memory wired.
    """
    found = _object(kernel, address, "buffer", "ranges", "map")
    found.references -= 1
    if found.references:
        return
    if found.wired:
        raise RuleBroken("memory that is still wired is released")
    del kernel.state.objects[address]
    if (
        found.address
        and found.shared
        and (found.kind == "buffer" or found.task == kernel.kernel_task)
    ):
        kernel.cpu.hide(found.address, found.shared, found.times)
    for one in found.holds:
        release(kernel, one)
