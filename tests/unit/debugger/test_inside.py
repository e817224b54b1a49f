# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of debugger.inside: ELF, BTF and kernel memory are read, from a compiled image.

gcc makes the BTF, and offsetof in the same program gives the true offsets.
"""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.debugger.inside import commands, facts, linux
from harness.debugger.inside.btf import Btf, Member
from harness.debugger.inside.elf import Image, build_id_in
from harness.debugger.inside.view import View

SOURCE = r"""
#include <stddef.h>
#include <stdio.h>
struct list { struct list *next, *prev; };
typedef unsigned long word;
struct inner { char letter; word numbers[3]; };
struct item {
	struct list node;
	union { int first; struct { short low, high; }; };
	unsigned narrow : 3, wide : 13;
	const struct inner deep;
	char name[16];
	struct item *(*call)(void);
};
struct item items[3] = { { .name = "one" }, { .name = "two" }, { .name = "three" } };
int asm_exc_nothing(void) { return 1; }
int main(void)
{
	printf("%zu %zu ", sizeof(struct item), offsetof(struct item, high));
	printf("%zu %zu ", offsetof(struct item, deep.numbers), offsetof(struct item, name));
	printf("%zu\n", offsetof(struct item, call));
	return items[0].deep.letter;
}
"""
STACK = 0xFF00000000010000
TEXT = 0xFFFFFFFFC0001000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linked program with BTF and a build id."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "a.c").write_text(SOURCE)
    line = ["gcc", "-gbtf", "-no-pie", "-Wl,--build-id=sha1", "-o", "a", "a.c"]
    subprocess.run(line, cwd=folder, check=True)
    return folder / "a"


def test_member_offsets_from_btf_equal_the_compilers_offsetof(program: Path) -> None:
    """Offsets equal offsetof through arrays, typedefs, const and anonymous unions."""
    said = subprocess.run([program], check=False, capture_output=True, text=True).stdout
    size, high, numbers, name, call = (int(word) for word in said.split())

    btf = Btf(Image(program).section(".BTF"))

    assert btf.size("item") == size
    assert btf.offset("item.high") == high
    assert (btf.offset("item.deep.numbers"), btf.member("item.deep.numbers").size_bytes) == (
        numbers,
        24,
    )
    assert (btf.offset("item.name"), btf.member("item.name").size_bytes) == (name, 16)
    assert (btf.offset("item.call"), btf.member("item.call").size_bytes) == (call, 8)
    assert btf.has("item.node.next")


@pytest.mark.parametrize(
    ("path", "objection"),
    [
        ("nothing.at", "no structure nothing"),
        ("item.nothing", "no nothing in"),
        ("item.name.x", "no x in"),
    ],
)
def test_the_error_for_a_missing_structure_member_names_it(
    program: Path, path: str, objection: str
) -> None:
    """Our commands in gdb and lldb get a KeyError for what the vmlinux's BTF lacks."""
    btf = Btf(Image(program).section(".BTF"))

    with pytest.raises(KeyError, match=objection):
        btf.member(path)
    assert not btf.has(path)


def test_symbol_address_and_build_id_read_from_an_elf_file_equal_those_of_nm_and_readelf(
    program: Path,
) -> None:
    """The debugger commands' own reader of vmlinux agrees with binutils."""
    image = Image(program)
    shown = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout
    address = next(int(line.split()[0], 16) for line in shown.splitlines() if line[19:] == "items")
    notes = subprocess.run(["readelf", "-n", program], check=True, capture_output=True, text=True)

    assert image.symbol("items") == address
    assert len(image.code_symbols("asm_exc_")) == 1
    assert len(image.build_id) == 40
    assert f"Build ID: {image.build_id}" in notes.stdout
    with pytest.raises(KeyError, match="no symbol nothing"):
        image.symbol("nothing")
    with pytest.raises(KeyError, match=r"has no \.nothing"):
        image.section(".nothing")


def test_a_file_that_is_not_elf_is_refused(tmp_path: Path) -> None:
    """A script is refused as ELF, zeros are refused as BTF, and a cut note has no build id."""
    file = tmp_path / "x"
    file.write_text("#!/bin/sh\n")

    with pytest.raises(ValueError, match="no 64-bit little-endian ELF"):
        Image(file)
    with pytest.raises(ValueError, match="not BTF"):
        Btf(bytes(64))
    assert not build_id_in(b"\x04\0\0\0\x04\0\0\0\x01\0\0\0GNU\0abcd")


def memory(parts: dict[int, bytes]) -> Callable[[int, int], bytes]:
    """Return a fake kernel memory that consists of the given parts."""

    def read(address: int, size_bytes: int) -> bytes:
        for start, data in parts.items():
            if start <= address and address + size_bytes <= start + len(data):
                return data[address - start : address - start + size_bytes]
        raise OSError(f"nothing at {address:#x}")

    return read


def test_a_kernels_linked_list_is_read_to_its_end_and_an_endless_one_is_an_error(
    program: Path,
) -> None:
    """In fake kernel memory, a list_head of two is read; a circle without the head is an error."""
    btf = Btf(Image(program).section(".BTF"))
    name = btf.offset("item.name")
    head, first, second = 0x1000, 0x2000, 0x3000

    def item(following: int, text: bytes) -> bytes:
        data = bytearray(256)
        data[:8] = following.to_bytes(8, "little")
        data[name : name + len(text)] = text
        return bytes(data)

    parts = {
        head: first.to_bytes(8, "little"),
        first: item(second, b"abc"),
        second: item(head, b"0123456789abcdef"),
    }
    view = View(memory(parts), program, 0)

    found = list(view.entries(head, "item.node"))

    assert found == [first, second]
    assert [view.text(at, "item.name") for at in found] == ["abc", "0123456789abcdef"]
    looped = View(memory(parts | {second: item(second, b"")}), program, 0)
    with pytest.raises(OSError, match="does not end"):
        list(looped.entries(head, "item.node"))


def test_a_structure_missing_from_the_kernels_btf_is_read_from_the_debugger(program: Path) -> None:
    """A module's structure, osq_ring.size, is not in BTF; a stand-in for gdb gives its offset."""

    def member_of(path: str) -> Member:
        assert path == "osq_ring.size"
        return Member(offset_bytes=16, size_bytes=8)

    view = View(memory({}), program, 0, member_of=member_of)

    assert view.member("osq_ring.size").offset_bytes == 16
    with pytest.raises(KeyError, match="no symbols of module"):
        View(memory({}), program, 0).module_global("osq", "device")


def stack_with(position: int, **changes: int) -> bytes:
    """Return a page of stack with an exception's registers at a given position."""
    end = STACK + position + linux.PT_REGS_LAYOUT.size
    values = dict.fromkeys(linux.PT_REGS, 0)
    values |= {"rip": TEXT, "cs": 0x10, "rflags": 0x246, "rsp": end, "ss": 0x18, "rbx": 7}
    data = bytearray(b"\xee" * 4096)
    packed = struct.pack("<21Q", *(values | changes).values())
    data[position : position + len(packed)] = packed
    return bytes(data)


def test_the_registers_that_the_cpu_pushed_at_an_exception_are_found(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pt_regs frame in a stack's bytes is found; a stack without one gives none."""
    monkeypatch.setattr(View, "is_text", lambda _self, address: address == TEXT)

    def search(page: bytes) -> dict[str, int] | None:
        return linux.exception_registers(View(memory({STACK: page}), program, 0), STACK)

    found = search(stack_with(0x208))
    assert found is not None
    assert (found["rip"], found["rbx"]) == (TEXT, 7)
    # The stack pointer that was pushed is up to 8 bytes above where the CPU aligned it.
    assert search(stack_with(0x208, rsp=STACK + 0x208 + 168 + 8)) is not None
    for wrong in ({"cs": 0x33}, {"ss": 0x2B}, {"rflags": 0}, {"rip": 0x5000}, {"rsp": STACK}):
        assert search(stack_with(0x208, **wrong)) is None, wrong


def test_init_sections_of_a_live_module_get_an_unmapped_address() -> None:
    """The kernel freed a loaded module's .init memory, so its symbols must match no address."""
    sections = {".text": 1, ".init.text": 2, "__mcount_loc": 3}

    live = linux.placed(linux.Module(name="m", state=0, sections=sections))
    coming = linux.placed(linux.Module(name="m", state=1, sections=sections))

    assert live == {".text": 1, ".init.text": 0xFF08000000000000}
    assert coming == {".text": 1, ".init.text": 2}


def test_the_osq_plugins_debugger_command_is_listed_with_the_shipped_ones(
    tmp_path: Path, program: Path
) -> None:
    """osq-ring joins lx-ps and others; without its module or its argument, a command fails."""
    plugin = Path(__file__).resolve().parents[3] / "kernel" / "debug" / "osq_debugger.py"

    every = {one.name: one for one in commands.with_plugin(plugin)}

    assert {"lx-ps", "lx-dmesg", "lx-modules", "lx-per-cpu", "lx-fault", "osq-ring"} == set(every)
    view = View(memory({}), program, 0)
    with pytest.raises(commands.CommandError, match="is loaded"):
        list(every["osq-ring"].run(view, ()))
    with pytest.raises(commands.CommandError, match="a variable is expected"):
        list(every["lx-per-cpu"].run(view, ()))
    assert all(one.help.splitlines()[0].endswith(".") for one in every.values())
    file = tmp_path / "facts.json"
    told = facts.Facts(vmlinux=program, slide=5, modules={"m": program}, plugin=plugin, dead=True)
    told.write(file)
    assert facts.read(file) == told
