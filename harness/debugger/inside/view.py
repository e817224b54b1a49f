# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a kernel's data through its memory, symbols and layouts: numbers, lists, per-CPU data."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from harness.debugger.inside.btf import Btf, Member
from harness.debugger.inside.elf import Image

_MASK = (1 << 64) - 1
# Memory of a dying kernel may contain a circle; a list that does not end here is reported.
_LIST_MAX = 100_000
# A read never crosses a multiple of this, so it never touches the page after the string's end.
_STRING_STEP = 64
# The lowest address of kernel modules; Documentation/arch/x86/x86_64/mm.rst.
_MODULES_AT = 0xFFFFFFFFC0000000


class View:
    """A stopped kernel whose data can be read.

    `memory` reads the kernel's virtual memory and raises OSError where nothing is mapped. `slide`
    is the offset of KASLR. `member_of` looks up members of a module's own types in the debugger's
    DWARF and raises KeyError for unknown types; `global_of` does the same for addresses of a
    module's variables.
    """

    def __init__(
        self,
        memory: Callable[[int, int], bytes],
        vmlinux: Path,
        slide: int,
        *,
        member_of: Callable[[str], Member] | None = None,
        global_of: Callable[[str, str], int] | None = None,
    ) -> None:
        self._memory = memory
        self.image = Image(vmlinux)
        self.slide = slide
        self._member_of = member_of
        self._global_of = global_of

    @cached_property
    def btf(self) -> Btf:
        """The layouts of the kernel's structures."""
        return Btf(self.image.section(".BTF"))

    def member(self, path: str) -> Member:
        """Return the offset and size of a member of a structure of the kernel or of a module.

        `path` is the name of the structure and those of the members, separated by dots.
        Raises: KeyError for an unknown structure or member.
        """
        try:
            return self.btf.member(path)
        except KeyError:
            if self._member_of is None:
                raise
            return self._member_of(path)

    def symbol(self, name: str) -> int:
        """Return the present address of a symbol of the kernel; KeyError for an unknown symbol."""
        address = self.image.symbol(name)
        # Per-CPU symbols are offsets from 0, so KASLR does not move them.
        return address + self.slide & _MASK if address >> 63 else address

    def module_global(self, module: str, name: str) -> int:
        """Return the address of a module's variable; KeyError if the debugger does not know it."""
        if self._global_of is None:
            raise KeyError(f"no symbols of module {module}")
        return self._global_of(module, name)

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return the bytes at an address; OSError where nothing is mapped."""
        return self._memory(address & _MASK, size_bytes)

    def number(self, address: int, size_bytes: int = 8, *, signed: bool = False) -> int:
        """Return the little-endian number at an address."""
        return int.from_bytes(self.read(address, size_bytes), "little", signed=signed)

    def field(self, base: int, path: str, *, signed: bool = False) -> int:
        """Return the number in a member of the structure at `base`.

        `path` is as in `member`.
        Raises: KeyError for an unknown member, OSError where nothing is mapped.
        """
        member = self.member(path)
        return self.number(base + member.offset_bytes, member.size_bytes, signed=signed)

    def at(self, base: int, path: str) -> int:
        """Return the address of a member of the structure at `base`.

        Raises: KeyError for an unknown member.
        """
        return base + self.member(path).offset_bytes

    def string(self, address: int, max_bytes: int = 256) -> str:
        """Return the C string at an address, up to a number of bytes."""
        data = b""
        while len(data) < max_bytes and b"\0" not in data:
            step = min(_STRING_STEP - (address + len(data)) % _STRING_STEP, max_bytes - len(data))
            data += self.read(address + len(data), step)
        return data.partition(b"\0")[0].decode(errors="backslashreplace")

    def text(self, base: int, path: str) -> str:
        """Return the C string in an array member of the structure at `base`.

        Raises: KeyError for an unknown member, OSError where nothing is mapped.
        """
        member = self.member(path)
        return self.string(base + member.offset_bytes, member.size_bytes)

    def entries(self, head: int, path: str) -> Iterator[int]:
        """Yield the address of each structure in a list; `path` names their list_head member.

        Raises: OSError when the list does not end within 100,000 entries.
        """
        offset = self.member(path).offset_bytes
        node = self.number(head)
        for _ in range(_LIST_MAX):
            if node in {head, 0}:
                return
            yield node - offset & _MASK
            node = self.number(node)
        raise OSError(f"the list at {head:#x} does not end")

    def cpus(self) -> Iterator[int]:
        """Yield the numbers of the possible CPUs, up to number 63."""
        mask = self.number(self.symbol("__cpu_possible_mask"))
        count = self.number(self.symbol("nr_cpu_ids"), 4)
        yield from (cpu for cpu in range(min(count, 64)) if mask >> cpu & 1)

    def per_cpu(self, address: int, cpu: int) -> int:
        """Return the address of one CPU's copy of a per-CPU variable."""
        return address + self.number(self.symbol("__per_cpu_offset") + 8 * cpu) & _MASK

    def is_text(self, address: int) -> bool:
        """Return whether an address is in the kernel's code or in the area of modules."""
        start, end = self.symbol("_stext"), self.symbol("_etext")
        return start <= address < end or address >= _MODULES_AT
