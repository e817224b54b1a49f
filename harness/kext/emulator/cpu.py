# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The emulated processor and its memory: Unicorn, with a guard page after every allocation.

An access to a guard page, to freed memory, or against a page's protection stops the emulation.
Memory from `allocate` ends at most 15 bytes before its guard page. Stacks are used again by later
threads; no other address is given out twice.
"""

import mmap
import struct
from collections.abc import Callable
from ctypes import addressof, c_char
from dataclasses import dataclass
from typing import Any

from unicorn import UC_HOOK_CODE, UC_HOOK_INTR, Uc, UcError
from unicorn import unicorn_const as uc

from harness.errors import RuleBroken
from harness.kext.emulator.arch import X86_64, Arch
from harness.kext.macho import MachO

PAGE = 0x1000
# Addresses are in the ranges that XNU uses for a kext, its functions, heap and stacks. An object
# in the range from OBJECTS_AT has an address but no memory.
IMAGE_AT = 0xFFFFFF7F80A00000
FUNCTIONS_AT = 0xFFFFFF8000200000
VARIABLES_AT = 0xFFFFFF8000800000
HEAP_AT = 0xFFFFFF8100000000
STACKS_AT = 0xFFFFFF9000000000
OBJECTS_AT = 0xFFFFFFA000000000
# The first slot belongs to no function, so a call that returns there has ended.
RETURN_AT = FUNCTIONS_AT
_SLOT_BYTES = 32
_STACK_BYTES = 4 * PAGE
_RED = 0x100
_READ_WRITE = uc.UC_PROT_READ | uc.UC_PROT_WRITE


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Host memory that is mapped into the emulated kernel, at one or more addresses."""

    memory: mmap.mmap
    size_bytes: int


class Cpu:
    """One emulated processor with its memory.

    `on_function` is called with the name of each kernel function that the kext calls.
    """

    def __init__(self, on_function: Callable[[str], None], arch: Arch = X86_64) -> None:
        self.arch = arch
        self.engine = Uc(*arch.engine)
        if arch.model is not None:
            self.engine.ctl_set_cpu_model(arch.model)
        # Kernel addresses are not canonical for Unicorn's own page tables.
        self.engine.ctl_set_tlb_mode(uc.UC_TLB_VIRTUAL)
        self._on_function = on_function
        self._functions: dict[int, str] = {}
        self._next = {"heap": HEAP_AT, "stack": STACKS_AT, "object": OBJECTS_AT}
        self._symbols: list[tuple[int, str]] = []
        self._image: MachO | None = None
        self._shared: list[Shared] = []
        self._stacks: list[int] = []
        self.trapped = False
        self.engine.mem_map(FUNCTIONS_AT, 16 * PAGE, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        self.engine.mem_map(VARIABLES_AT, PAGE, _READ_WRITE)
        self.engine.hook_add(UC_HOOK_INTR, self._on_interrupt)

    # --- the image -------------------------------------------------------------------------------

    def load(self, file: MachO, functions: set[str], variables: dict[str, int]) -> None:
        """Map a kext's segments and bind its imported symbols, as XNU's kext loader does.

        `functions` are the names of the functions that have a model. `variables` are the values of
        imported variables, which are 8 bytes long.
        Raises: RuleBroken for a symbol that is neither a known function nor a variable.
        """
        self._image = file
        self._symbols = sorted(
            (one.value, one.name.removeprefix("_"))
            for one in file.symbols
            if not one.is_stab and not one.is_undefined
        )
        for segment in file.segments:
            if segment.name == "__LINKEDIT" or not segment.size_bytes:
                continue
            size = _pages(segment.size_bytes)
            # The numbers of Mach-O's protection are those of Unicorn: read 1, write 2, execute 4.
            self.engine.mem_map(IMAGE_AT + segment.address, size, segment.protection & 7)
            end = segment.file_offset + segment.file_bytes
            data = file.data[segment.file_offset : end]
            self.engine.mem_write(IMAGE_AT + segment.address, data)
        for one in file.local:
            self._add(IMAGE_AT + one.address, IMAGE_AT)
        places = self._bind(file, functions, variables)
        for one in file.external:
            self._add(IMAGE_AT + one.address, places[file.symbols[one.symbol].name])

    def _bind(self, file: MachO, functions: set[str], variables: dict[str, int]) -> dict[str, int]:
        places: dict[str, int] = {}
        native = self.arch.native
        names = sorted(one.name for one in file.symbols if one.is_undefined)
        for number, name in enumerate(names, start=1):
            if name in variables:
                places[name] = VARIABLES_AT + 8 * number
                self.write(places[name], struct.pack("<Q", variables[name]))
            elif name in functions or name in native:
                places[name] = FUNCTIONS_AT + _SLOT_BYTES * number
                self.engine.mem_write(places[name], native.get(name, self.arch.ret))
                if name not in native:
                    self._hook(places[name], name)
            else:
                raise RuleBroken(f"{name} has no model in the emulator")
        return places

    def _hook(self, place: int, name: str) -> None:
        self._functions[place] = name
        hook = self.engine.hook_add
        hook(UC_HOOK_CODE, self._on_code, begin=place, end=place)

    def _on_code(self, _engine: Uc, address: int, _size: int, _data: object) -> None:
        self._on_function(self._functions[address])

    def unload(self) -> None:
        """Unmap the kext, so that a thread that still executes in it faults."""
        if self._image is None:
            return
        for segment in self._image.segments:
            if segment.name != "__LINKEDIT" and segment.size_bytes:
                self.engine.mem_unmap(IMAGE_AT + segment.address, _pages(segment.size_bytes))
        self._image = None

    def _add(self, place: int, base: int) -> None:
        (value,) = struct.unpack("<Q", self.read(place, 8))
        self.write(place, struct.pack("<Q", (value + base) & (1 << 64) - 1))

    def where(self, address: int) -> str:
        """Return a code address as text: the kext's function that contains it, and the offset.

        An address outside of the kext is returned as a hexadecimal number.
        """
        best = "?"
        for value, name in self._symbols:
            if value > address - IMAGE_AT:
                break
            best = f"{name}+{address - IMAGE_AT - value:#x}"
        return best if IMAGE_AT <= address < FUNCTIONS_AT else f"{address:#x}"

    def symbol(self, name: str) -> int:
        """Return the address of a symbol of the loaded kext; `name` has no leading underscore.

        Raises: StopIteration for an unknown symbol.
        """
        return next(IMAGE_AT + value for value, known in self._symbols if known == name)

    # --- memory ----------------------------------------------------------------------------------

    def read(self, address: int, size_bytes: int) -> bytes:
        """Return bytes of emulated memory, even of memory that the kext may not read."""
        return bytes(self.engine.mem_read(address, size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to emulated memory, even to memory that the kext may not write."""
        self.engine.mem_write(address, data)

    def text(self, address: int, most: int = 1024) -> str:
        """Return the C string at an emulated address, at most `most` bytes of it."""
        data = b""
        while b"\0" not in data and len(data) < most:
            step = PAGE - (address + len(data)) % PAGE
            data += self.read(address + len(data), min(step, most - len(data)))
        return data.split(b"\0")[0].decode("utf-8", "backslashreplace")

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new memory, a multiple of 16; the memory is not zeroed.

        It ends at most 15 bytes before a guard page, which a longer overrun hits.
        """
        room = _pages(size_bytes)
        begin = self._take("heap", room + PAGE)
        self.engine.mem_map(begin, room, _READ_WRITE)
        # A kext that takes fresh memory for zeroed memory fails.
        self.engine.mem_write(begin, b"\xa5" * room)
        return begin + (room - size_bytes) // 16 * 16

    def free(self, address: int, size_bytes: int) -> None:
        """Unmap memory that `allocate` returned, so that a later access faults."""
        begin = address // PAGE * PAGE
        self.engine.mem_unmap(begin, _pages(address - begin + size_bytes))

    def opaque(self) -> int:
        """Return a new address without memory, for an object that the kext may not look into."""
        return self._take("object", 64)

    def share(self, size_bytes: int) -> Shared:
        """Return new zeroed memory of the host, which `show` maps into the emulated kernel."""
        shared = Shared(memory=mmap.mmap(-1, _pages(size_bytes)), size_bytes=size_bytes)
        self._shared.append(shared)
        return shared

    def show(self, shared: Shared, times: int = 1) -> int:
        """Map shared host memory into the emulated kernel, `times` times side by side.

        Return the first address.
        """
        size = _pages(shared.size_bytes)
        # The copies lie side by side, so that a record that wraps around the ring is contiguous.
        begin = self._take("heap", times * size + PAGE)
        pointer = addressof(c_char.from_buffer(shared.memory))
        for number in range(times):
            self.engine.mem_map_ptr(begin + number * size, size, _READ_WRITE, pointer)
        return begin

    def hide(self, address: int, shared: Shared, times: int = 1) -> None:
        """Unmap shared memory that `show` mapped."""
        self.engine.mem_unmap(address, times * _pages(shared.size_bytes))

    def stack(self) -> int:
        """Return the top of a stack for a new thread, aligned, with a return address on it.

        Stacks are reused after `stack_done`; other memory never is.
        """
        if self._stacks:
            top = self._stacks.pop()
        else:
            begin = self._take("stack", _STACK_BYTES + PAGE)
            self.engine.mem_map(begin, _STACK_BYTES, _READ_WRITE)
            top = begin + _STACK_BYTES - _RED - 8
        self.write(top, struct.pack("<Q", RETURN_AT))
        return top

    def stack_done(self, top: int) -> None:
        """Release a stack that `stack` returned, so that another thread can use it."""
        self._stacks.append(top)

    def _take(self, kind: str, size_bytes: int) -> int:
        begin = self._next[kind]
        self._next[kind] += size_bytes
        return begin

    # --- running ---------------------------------------------------------------------------------

    def get(self, name: str) -> int:
        """Return the value of a register of the emulated processor, such as "rip"."""
        return int(self.engine.reg_read(self.arch.registers[name]))

    def set(self, name: str, value: int) -> None:
        """Set a register of the emulated processor."""
        self.engine.reg_write(self.arch.registers[name], value & (1 << 64) - 1)

    @property
    def pc(self) -> int:
        """The address of the instruction that the emulated processor executes next."""
        return self.get(self.arch.pc)

    @property
    def result(self) -> int:
        """The value that the kext's function returned, read from the result register."""
        return self.get(self.arch.result)

    def set_result(self, value: int) -> None:
        """Set the value that the kernel function returns to the kext that called it."""
        self.set(self.arch.result, value)

    def pc_of(self, context: Any) -> int:
        """Return the address of the next instruction in a saved processor state."""
        return int(context.reg_read(self.arch.registers[self.arch.pc]))

    def argument(self, number: int, *, fixed: int = len(X86_64.arguments)) -> int:
        """Return an argument that the kext passed to the kernel function; `number` counts from 0.

        `fixed` is the number of arguments that the function's declaration names; arm64 passes
        further ones on the stack.
        """
        if self.arch.variadic_on_stack and number >= fixed:
            place = self.get(self.arch.stack) + 8 * (number - fixed)
            return int.from_bytes(self.read(place, 8), "little")
        return self.get(self.arch.arguments[number])

    def begin(self, entry: int, arguments: tuple[int, ...], stack: int) -> None:
        """Set the processor's registers for a call into the kext.

        The parameter `stack` is the top of a stack that the method `stack` has returned.
        """
        arch = self.arch
        for name in arch.cleared:
            self.set(name, arch.initial.get(name, 0))
        for name, value in zip(arch.arguments, arguments, strict=False):
            self.set(name, value)
        if arch.link:
            self.set(arch.link, RETURN_AT)
        # Where a link register has the return address, the call does not push one, so its slot is
        # free.
        self.set(arch.stack, stack + 8 if arch.link else stack)
        self.set(arch.pc, entry)

    def finish_call(self) -> None:
        """Return from the kernel function that the kext called, as a return instruction does."""
        arch = self.arch
        if arch.link:
            self.set(arch.pc, self.get(arch.link))
            return
        stack = self.get(arch.stack)
        self.set(arch.pc, struct.unpack("<Q", self.read(stack, 8))[0])
        self.set(arch.stack, stack + 8)

    def run(self, count: int = 0, *, until: int = RETURN_AT) -> None:
        """Execute until the address `until`, a requested stop, or the end of `count` instructions.

        When `count` is 0, the number of instructions is not limited. By default `until` is the
        address to which the kext's function returns.
        Raises: RuleBroken for a fault of the processor.
        """
        try:
            self.engine.emu_start(self.pc, until, count=count)
        except UcError as error:
            at = self.where(self.pc)
            raise RuleBroken(f"page fault or other fault at {at}: {error}") from error

    def _on_interrupt(self, engine: Uc, _number: int, _data: object) -> None:
        self.trapped = True
        engine.emu_stop()


def _pages(size_bytes: int) -> int:
    return max(-(-size_bytes // PAGE), 1) * PAGE
