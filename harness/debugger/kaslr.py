# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find a guest's kernel in memory and compare it with a vmlinux, without help from the guest.

Memory is read through QEMU's monitor, so this works for a stopped or dead guest. x86-64 only.
"""

import re

from harness import hints
from harness.debugger.inside.elf import Image, build_id_in
from harness.errors import DebugError, UsageError
from harness.guest.domain import Domain

# The IDT lies at a fixed address (arch/x86/include/asm/cpu_entry_area.h); 16 bytes an entry.
_PAGE_FAULT_ENTRY = 0xFFFFFE0000000000 + 14 * 16
_PAGE_FAULT = "asm_exc_page_fault"
_ROW = re.compile(r"^[0-9a-f]+:(.*)$", re.MULTILINE)
_MASK = (1 << 64) - 1


def slide(domain: Domain, image: Image) -> int | None:
    """Return the offset that KASLR added to every address of vmlinux, or None.

    None means that the kernel's IDT cannot be read or is still empty, as early in the boot.
    Raises: UsageError when an address in the guest's IDT does not fit this vmlinux, and when
        vmlinux is damaged or has no symbol of the page fault's handler.
    """
    low, high = _words(domain, _PAGE_FAULT_ENTRY, 2)
    if not low:
        return None
    # Intel SDM volume 3, 6.14.1: offset bits 15..0, 31..16 and 63..32 of a 64-bit gate.
    handler = low & 0xFFFF | (low >> 48 & 0xFFFF) << 16 | (high & 0xFFFFFFFF) << 32
    found = handler - _linked_handler(image) & _MASK
    # KASLR moves the kernel by a multiple of CONFIG_PHYSICAL_ALIGN, which is at least 2 MiB.
    if found % 0x200000:
        raise UsageError(
            f"{image.path} is not this guest's kernel: its page fault handler is at "
            f"{handler:#x}, which no slide explains",
            hint=f"{hints.command('kernel-symbols')} fetches the right one",
        )
    return found


def check_build(domain: Domain, image: Image, slid: int) -> bool:
    """Return whether the build ids of guest and vmlinux could be compared and are equal.

    False means that the current CPU's page tables do not map kernel memory, or that vmlinux does
    not say where the kernel keeps its build id.
    Raises: UsageError when the two ids differ.
    """
    try:
        start, stop = (image.symbol(name) for name in ("__start_notes", "__stop_notes"))
        notes = _bytes(domain, start + slid & _MASK, stop - start)
    except (DebugError, KeyError):
        return False
    found = build_id_in(notes)
    if found != image.build_id:
        raise UsageError(
            f"{image.path} has build id {image.build_id}, the guest's kernel {found or 'none'}",
            hint=f"{hints.command('kernel-symbols')} fetches the right one",
        )
    return True


def _linked_handler(image: Image) -> int:
    """Return the address of the page fault's handler in vmlinux, without KASLR's offset.

    Raises: UsageError when vmlinux has no such symbol, or is damaged.
    """
    try:
        return image.symbol(_PAGE_FAULT)
    except ValueError as error:
        raise UsageError(f"{image.path}: {error}") from error
    except KeyError as error:
        raise UsageError(
            f"{image.path} has no symbol {_PAGE_FAULT}, by which the kernel's address is found",
            hint="a stripped vmlinux and a kernel before 5.8 lack it; "
            f"{hints.command('kernel-symbols')} fetches the guest's own",
        ) from error


def _words(domain: Domain, address: int, count: int) -> list[int]:
    data = _rows(domain.hmp(f"x /{count}gx {address:#x}"))
    return [int(word, 16) for word in data] if len(data) == count else [0] * count


def _bytes(domain: Domain, address: int, size_bytes: int) -> bytes:
    data = _rows(domain.hmp(f"x /{size_bytes}bx {address:#x}"))
    if len(data) != size_bytes:
        raise DebugError(f"no memory at {address:#x}")
    return bytes(int(word, 16) for word in data)


def _rows(text: str) -> list[str]:
    """Return the values that QEMU's monitor printed for a range of the guest's memory.

    The result is [] when the memory is not accessible.
    """
    rows = " ".join(_ROW.findall(text))
    return [] if "Cannot" in rows else rows.split()
