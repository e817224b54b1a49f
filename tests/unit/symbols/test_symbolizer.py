# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of symbolizer on a relocatable file like a module's, which is compiled here."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.panic.values import Frame, KernelReport, Stack
from harness.symbols import elf
from harness.symbols.paths import shown_path
from harness.symbols.symbolizer import Symbolizer, source_lines

# The line numbers in the tests below are line numbers in these texts.
FIRST = """\
int sink;
static inline __attribute__((always_inline)) void inner(int *p)
{
	*(volatile int *)p = 1;
}

__attribute__((noinline, used)) static void same(void)
{
	sink++;
}

__attribute__((noinline)) int outer(int *p)
{
	inner(p);
	same();
	return sink;
}

__attribute__((cold, noinline)) void rare(void)
{
	sink = 7;
}

__attribute__((noinline, section(".init.text"))) void begin(void)
{
	rare();
	sink = 8;
}
"""
SECOND = """\
extern int sink;
__attribute__((noinline, used)) static void same(void)
{
	sink = sink * 3 + (sink >> 5);
	sink ^= 0x1234567;
	sink = sink * 7 + 1;
}

void last(void)
{
	same();
	sink = 2;
}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the two source files and the file that they are linked to."""
    folder = tmp_path_factory.mktemp("module")
    for name, text in (("first", FIRST), ("second", SECOND)):
        (folder / f"{name}.c").write_text(text)
        options = ["-O2", "-g", "-fno-pic", "-fno-pie", "-falign-functions=16", "-c"]
        subprocess.run(
            ["gcc", *options, str(folder / f"{name}.c"), "-o", str(folder / f"{name}.o")],
            check=True,
        )
    objects = [str(folder / "first.o"), str(folder / "second.o")]
    subprocess.run(
        ["ld", "-r", "--build-id=sha1", "-o", str(folder / "toy.ko"), *objects], check=True
    )
    return folder


@pytest.fixture
def lines(source: Path) -> Iterator[Symbolizer]:
    """Return a symbolizer for the module `toy`."""
    with Symbolizer({"toy": source / "toy.ko"}, roots=(source,)) as symbolizer:
        yield symbolizer


def address_of_call(source: Path, caller: str, callee: str) -> int:
    """Return the return address of a call as an offset in its function, from objdump."""
    text = subprocess.run(
        ["objdump", "-dr", str(source / "toy.ko")], check=True, capture_output=True, text=True
    ).stdout
    body = text.split(f"<{caller}>:\n", 1)[1].split("\n\n", 1)[0].splitlines()
    # A call within its section has an address; any other call has a relocation on objdump's next
    # line.
    at = next(
        number
        for number, line in enumerate(body)
        if re.search(r"\bcall", line)
        and (callee in line or (number + 1 < len(body) and callee in body[number + 1]))
    )
    following = next(line for line in body[at + 1 :] if re.search(r"\t.*\t", line))
    return int(following.split(":")[0], 16) - int(body[0].split(":")[0], 16)


def symbol(source: Path, name: str, *, at: int = 0) -> elf.Symbol:
    """Return the symbol of this name in the linked file; `at` chooses among several by address."""
    symbols = elf.SymbolTable(source / "toy.ko").find(name)
    return sorted(symbols, key=lambda one: one.value)[at]


def test_an_address_in_an_inlined_function_gives_its_frame_and_then_that_of_its_caller(
    lines: Symbolizer, source: Path
) -> None:
    """An address in an inlined store has two frames, and the inner one is marked inline."""
    frame = Frame(function="outer", offset=0, size=symbol(source, "outer").size, module="toy")

    inner, outer = lines.frame(frame, at_address=True)

    assert (inner.function, inner.place, inner.inline) == ("inner", "first.c:4", True)
    assert (outer.function, outer.place, outer.inline) == ("outer", "first.c:14", False)
    assert inner.module == "toy"


def test_return_address_has_the_line_of_the_call_before_it(
    lines: Symbolizer, source: Path
) -> None:
    """A return address has the line of the call, not the line of the next statement."""
    offset = address_of_call(source, "last", "same")
    frame = Frame(function="last", offset=offset, module="toy")

    (as_return,) = lines.frame(frame)
    (as_counter,) = lines.frame(frame, at_address=True)

    assert as_return.place == "second.c:11"
    assert as_counter.place == "second.c:12"


@pytest.mark.parametrize(("at", "place"), [(0, "first.c:9"), (1, "second.c:4")])
def test_of_two_static_functions_of_one_name_the_one_with_the_frames_size_gives_the_line(
    lines: Symbolizer, source: Path, at: int, place: str
) -> None:
    """For a frame f+0x4/0x20, the f with 0x20 bytes is used."""
    size = symbol(source, "same", at=at).size

    (found,) = lines.frame(Frame(function="same", size=size, module="toy"), at_address=True)

    assert found.place == place


def test_a_frame_without_size_whose_function_name_occurs_twice_stays_without_a_line(
    lines: Symbolizer,
) -> None:
    """A frame that may be of either function gets no source line and no note."""
    frame = Frame(function="same", module="toy")

    assert lines.frame(frame) == (frame,)
    assert lines.notes == ()


def test_a_printed_size_that_includes_padding_matches_the_function(source: Path) -> None:
    """The kernel prints a function's size up to the next symbol, ELF has the exact size."""
    outer = symbol(source, "outer")

    assert outer.size % 16
    assert outer.fits(outer.size)
    assert outer.fits(max(outer.extents))
    assert not outer.fits(outer.size + 1)


def test_a_frame_with_another_size_than_the_function_stays_and_a_note_says_another_build(
    lines: Symbolizer, source: Path
) -> None:
    """A function of another size is from another build: the frame stays, and a note says why."""
    size = symbol(source, "outer").size + 1
    frame = Frame(function="outer", offset=3, size=size, module="toy")

    assert lines.frame(frame) == (frame,)
    assert lines.notes == (
        f"toy.ko is another build than the one that ran: outer has not {size:#x} bytes in it",
    )


def test_a_frame_with_the_size_that_the_kernel_prints_for_data_stays_without_a_note(
    lines: Symbolizer,
) -> None:
    """For data the kernel prints a size near 2^64; this is no sign of another build."""
    frame = Frame(function="sink", size=0xFFFFFFFFFFFF8060, module="toy")

    assert lines.frame(frame, at_address=True) == (frame,)
    assert lines.notes == ()


@pytest.mark.parametrize(("name", "place"), [("rare", "first.c:21"), ("begin", "first.c:26")])
def test_functions_of_sections_other_than_text_get_their_own_source_lines(
    lines: Symbolizer, name: str, place: str
) -> None:
    """Functions in .text.unlikely and .init.text get their own lines, though both begin at 0."""
    (found,) = lines.frame(Frame(function=name, module="toy"), at_address=True)

    assert found.place == place


def test_frames_of_unknown_functions_and_modules_stay_unchanged(lines: Symbolizer) -> None:
    """A frame of an unknown function or module gets no source line; a note names the function."""
    stranger = Frame(function="nobody", offset=1, size=2, module="toy")
    other = Frame(function="ext4_open", offset=1, size=2, module="ext4")

    assert lines.frame(stranger) == (stranger,)
    assert lines.frame(other) == (other,)
    assert lines.notes == ("toy.ko has no function nobody",)


@pytest.mark.parametrize("content", [None, b"no ELF file at all"])
def test_a_missing_or_non_elf_module_file_leaves_frames_unchanged_and_gives_one_note(
    tmp_path: Path, content: bytes | None
) -> None:
    """Without a readable module file every frame stays unchanged, and there is one note."""
    path = tmp_path / "toy.ko"
    if content is not None:
        path.write_bytes(content)
    frame = Frame(function="outer", module="toy")

    with Symbolizer({"toy": path}) as symbolizer:
        assert [symbolizer.frame(frame) for _ in range(2)] == [(frame,), (frame,)]

        assert len(symbolizer.notes) == 1


def test_the_frames_of_every_stack_of_a_kernel_report_get_source_lines(source: Path) -> None:
    """In every stack, a frame has the line of its call, and the RIP frame that of its address."""
    back = address_of_call(source, "last", "same")
    outer, size = symbol(source, "outer"), symbol(source, "last").size
    text = (
        "BUG: kernel NULL pointer dereference",
        f"RIP: 0010:outer+0x0/{outer.size:#x} [toy]",
        "Call Trace:",
        f" ? outer+0x0/{outer.size:#x} [toy]",
        f" last+{back:#x}/{size:#x} [toy]",
    )
    pointer = Frame(function="outer", size=outer.size, module="toy")
    trace = (
        Frame(function="outer", size=outer.size, module="toy", reliable=False),
        Frame(function="last", offset=back, size=size, module="toy"),
    )
    report = KernelReport(
        kind="null-deref",
        title="NULL pointer dereference in outer",
        line=0,
        text=text,
        function="outer",
        module="toy",
        stacks=(Stack(name="", frames=(pointer,)), Stack(name="Call Trace:", frames=trace)),
    )

    with Symbolizer({"toy": source / "toy.ko"}, roots=(source,)) as symbolizer:
        symbolizer.report(report)
        begun = time.monotonic()
        explained = symbolizer.report(report)
        warm_s = time.monotonic() - begun

    assert [(one.function, one.place) for one in explained.frames] == [
        ("inner", "first.c:4"),
        ("outer", "first.c:14"),
        ("inner", "first.c:4"),
        ("outer", "first.c:14"),
        ("last", "second.c:11"),
    ]
    assert explained.place == "first.c:14"
    assert warm_s < 0.1


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/copy/src/first.c:7", "first.c:7"),
        ("/copy/src/first.h:7", "/copy/src/first.h:7"),
        ("", "first.c:14"),
    ],
)
def test_a_place_in_a_copy_of_the_source_is_shown_in_the_file_itself(
    source: Path, place: str, shown: str
) -> None:
    """A report that names a copy of the blamed function's file gets that file, and keeps its line.

    A header's place stays; without a place in the text, the frame's file and line are taken.
    """
    outer = symbol(source, "outer")
    frame = Frame(function="outer", size=outer.size, module="toy")
    report = KernelReport(
        kind="ubsan",
        title="UBSAN: shift-out-of-bounds in outer",
        line=0,
        text=(f"RIP: 0010:outer+0x0/{outer.size:#x} [toy]",),
        function="outer",
        module="toy",
        place=place,
        stacks=(Stack(name="", frames=(frame,)),),
    )

    with Symbolizer({"toy": source / "toy.ko"}, roots=(source,)) as symbolizer:
        found = symbolizer.report(report)

    assert found.place == shown


def test_a_build_id_is_40_hex_digits_or_empty_and_a_file_that_is_not_elf_is_refused(
    source: Path, tmp_path: Path
) -> None:
    """The build id of a module's file is read, or empty if it has none."""
    (tmp_path / "text").write_text("text")

    assert re.fullmatch(r"[0-9a-f]{40}", elf.build_id(source / "toy.ko"))
    assert elf.build_id(source / "first.o") == ""
    with pytest.raises(UsageError, match="cannot read"):
        elf.build_id(tmp_path / "text")


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/src/toy/os/../core/ring.c", "core/ring.c"),
        (
            "/c/kernels/6.1-x/src/linux-headers-6.1.0-50-common/include/linux/list.h",
            "include/linux/list.h",
        ),
        ("debian/build/build_amd64_none_cloud-amd64/kernel/panic.c", "kernel/panic.c"),
        ("/build/linux-6.12.3/debian/build/build_amd64_none_rt/../../../mm/slub.c", "mm/slub.c"),
        ("/elsewhere/x.c", "/elsewhere/x.c"),
    ],
)
def test_paths_are_shown_relative_to_the_module_source_or_the_kernel_tree(
    file: str, shown: str
) -> None:
    """A path begins at the module's source or at the top of the kernel's tree."""
    assert shown_path(file, (Path("/src/toy"),)) == shown


def test_source_lines_mark_the_faulting_line(source: Path) -> None:
    """Around a fault, five numbered source lines are shown, fewer at the start of the file."""
    assert source_lines("first.c:9", (source,)) == (
        "   7 | __attribute__((noinline, used)) static void same(void)",
        "   8 | {",
        ">  9 |         sink++;",
        "  10 | }",
        "  11 |",
    )
    assert [one[0] for one in source_lines("second.c:1", (source,))] == [">", " ", " "]
    assert source_lines("second.c:900", (source,)) == ()
    assert source_lines("gone.c:1", (source,)) == ()
