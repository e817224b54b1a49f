# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a Linux kernel's memory: modules, tasks, log, the registers at an exception.

Source: the structures of Linux 5.10 to 6.12 that are named below. Where releases differ, the
kernel's BTF decides which layout is read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.debugger.inside.view import View

# The kernel makes one attribute per section; no module has more sections than this.
_SECTIONS_MAX = 512
# enum module_state of include/linux/module.h.
_MODULE_LIVE = 0
_INIT = ".init"
_PARTS = (".text", ".data", ".bss", ".rodata", ".exit", _INIT)
# This address is in the guard hole of Documentation/arch/x86/x86_64/mm.rst, which is never mapped,
# with 4 or 5 levels of page tables.
_NOWHERE = 0xFF08000000000000
# TASK_* of include/linux/sched.h, by bit.
_STATES = ((0x1, "S"), (0x2, "D"), (0x4, "T"), (0x8, "t"), (0x10, "X"), (0x20, "Z"), (0x400, "I"))
# States of a descriptor, in the upper two bits; see kernel/printk/printk_ringbuffer.h.
_COMMITTED, _FINALIZED = 1, 2
_FLAGS_SHIFT = 62
_BLOCK_LPOS_NONE = 1
# struct pt_regs of arch/x86/include/asm/ptrace.h.
PT_REGS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx",
           "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "rflags", "rsp", "ss")  # fmt: skip
PT_REGS_LAYOUT = struct.Struct("<21Q")
# The kernel's code and stack selectors; in 64-bit mode the stack selector may also be 0.
_KERNEL_CS, _KERNEL_SS = 0x10, (0x18, 0)
# Bit 1 of RFLAGS is always set, and no bit above 21 is defined (Intel SDM volume 1, 3.4.3).
_RFLAGS_ONE, _RFLAGS_MAX = 0x2, 1 << 22
# THREAD_SIZE of x86-64 without KASAN.
_STACK_BYTES = 16 * 1024
_NOT_SHOWN = {"orig_rax", "cs", "ss", "rflags"}


@dataclass(frozen=True, kw_only=True)
class Module:
    """A loaded kernel module, and the addresses of its sections by name."""

    name: str
    state: int
    sections: dict[str, int]


def placed(module: Module) -> dict[str, int]:
    """Return the addresses of the module's sections for which a debugger needs symbols.

    The memory of a live module's init code was freed and may be in use again. So its address is
    given as one that is never mapped, and a breakpoint in it changes no memory.
    """
    live = module.state == _MODULE_LIVE
    return {
        name: _NOWHERE if live and name.startswith(_INIT) else address
        for name, address in module.sections.items()
        if name.startswith(_PARTS)
    }


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thread of the guest's kernel: its process number and its parent's, state, CPU and name.

    `address` is that of its task_struct. `state` is the letter that ps shows.
    """

    address: int
    pid: int
    parent_pid: int
    state: str
    cpu: int
    name: str


def module_at(view: View, address: int) -> Module:
    """Return the module whose struct module is at an address."""
    sections = {}
    attributes = view.field(address, "module.sect_attrs")
    if attributes:
        first = view.at(attributes, "module_sect_attrs.attrs")
        size = view.btf.size("module_sect_attr")
        count = view.field(attributes, "module_sect_attrs.nsections")
        for index in range(min(count, _SECTIONS_MAX)):
            one = first + index * size
            name = view.string(view.field(one, "module_sect_attr.battr.attr.name"))
            sections[name] = view.field(one, "module_sect_attr.address")
    return Module(
        name=view.text(address, "module.name"),
        state=view.field(address, "module.state"),
        sections=sections,
    )


def modules(view: View) -> Iterator[Module]:
    """Yield every loaded module, the newest first.

    Raises: OSError where memory is not mapped.
    """
    for address in view.entries(view.symbol("modules"), "module.list"):
        yield module_at(view, address)


def tasks(view: View) -> Iterator[Task]:
    """Yield every thread of every process, the idle one first.

    Raises: OSError where memory is not mapped.
    """
    init = view.symbol("init_task")
    yield _task(view, init)
    for leader in view.entries(view.at(init, "task_struct.tasks"), "task_struct.tasks"):
        yield _task(view, leader)
        signal = view.field(leader, "task_struct.signal")
        head = view.at(signal, "signal_struct.thread_head")
        for thread in view.entries(head, "task_struct.thread_node"):
            if thread != leader:
                yield _task(view, thread)


def _task(view: View, address: int) -> Task:
    # Linux 5.14 renamed state, and 5.16 moved cpu to thread_info.
    path = "task_struct.__state" if view.btf.has("task_struct.__state") else "task_struct.state"
    state = view.field(address, path)
    word = next((letter for bit, letter in reversed(_STATES) if state & bit), "R")
    cpu = next(
        name for name in ("task_struct.thread_info.cpu", "task_struct.cpu") if view.btf.has(name)
    )
    return Task(
        address=address,
        pid=view.field(address, "task_struct.pid"),
        parent_pid=view.field(view.field(address, "task_struct.real_parent"), "task_struct.tgid"),
        state=word,
        cpu=view.field(address, cpu),
        name=view.text(address, "task_struct.comm"),
    )


def log(view: View) -> Iterator[str]:
    """Yield the kernel's log, oldest line first, as dmesg shows it.

    Source: kernel/printk/printk_ringbuffer.h, "Overview" and "Descriptor Ring".
    """
    ring = view.number(view.symbol("prb"))
    descriptors = view.at(ring, "printk_ringbuffer.desc_ring")
    count = 1 << view.field(descriptors, "prb_desc_ring.count_bits")
    table = view.field(descriptors, "prb_desc_ring.descs")
    infos = view.field(descriptors, "prb_desc_ring.infos")
    head = view.field(descriptors, "prb_desc_ring.head_id.counter")
    tail = view.field(descriptors, "prb_desc_ring.tail_id.counter")
    data = view.at(ring, "printk_ringbuffer.text_data_ring")
    space = 1 << view.field(data, "prb_data_ring.size_bits")
    bytes_at = view.field(data, "prb_data_ring.data")
    desc_size, info_size = view.btf.size("prb_desc"), view.btf.size("printk_info")
    number = tail
    for _ in range(count):
        index = number % count
        desc = table + index * desc_size
        state = view.field(desc, "prb_desc.state_var.counter")
        begin = view.field(desc, "prb_desc.text_blk_lpos.begin")
        if state >> _FLAGS_SHIFT in {_COMMITTED, _FINALIZED} and not begin & _BLOCK_LPOS_NONE:
            following = view.field(desc, "prb_desc.text_blk_lpos.next")
            # A block that would cross the end of the ring lies at its start.
            start = 0 if begin // space != following // space else begin % space
            # A block begins with the id of its descriptor, which has 8 bytes.
            yield from _record(view, infos + index * info_size, bytes_at + start + 8)
        if number == head:
            return
        number = number + 1 & (1 << _FLAGS_SHIFT) - 1


def _record(view: View, info: int, text: int) -> Iterator[str]:
    length = view.field(info, "printk_info.text_len")
    seconds = view.field(info, "printk_info.ts_nsec") / 1e9
    words = view.read(text, length).decode(errors="backslashreplace") if length else ""
    for line in words.split("\n"):
        yield f"[{seconds:12.6f}] {line}"


def exception_registers(view: View, stack_pointer: int) -> dict[str, int] | None:
    """Return the registers at the innermost exception in kernel code on a stack, or None.

    A struct pt_regs is recognized by its last five words: code, the kernel's segments, flags with
    their fixed bit, and a stack pointer to the end of the structure itself, where the CPU began to
    push. Exceptions with a stack of their own (NMI, double fault) are not found in this way.
    """
    data = b""
    while len(data) < _STACK_BYTES:
        # Page by page, because the page after the stack may not be mapped.
        page = 4096 - (stack_pointer + len(data)) % 4096
        try:
            data += view.read(stack_pointer + len(data), page)
        except OSError:
            break
    for start in range(0, len(data) - PT_REGS_LAYOUT.size + 1, 8):
        values = dict(zip(PT_REGS, PT_REGS_LAYOUT.unpack_from(data, start), strict=True))
        if _is_exception(view, values, stack_pointer + start):
            return values
    return None


def shown_registers(values: dict[str, int]) -> dict[str, int]:
    """Return those registers of an exception that a debugger needs for a backtrace."""
    return {name: values[name] for name in PT_REGS if name not in _NOT_SHOWN}


def _is_exception(view: View, values: dict[str, int], address: int) -> bool:
    # A call through a null pointer leaves a small rip. The CPU aligns the stack pointer to 16
    # bytes before it pushes (Intel SDM volume 3, 6.14.2).
    return (
        values["cs"] == _KERNEL_CS
        and values["ss"] in _KERNEL_SS
        and bool(values["rflags"] & _RFLAGS_ONE)
        and values["rflags"] < _RFLAGS_MAX
        and (view.is_text(values["rip"]) or values["rip"] < 4096)
        and values["rsp"] & ~0xF == address + PT_REGS_LAYOUT.size
    )
