# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of tail_calls on an object that a compiler made: the function that a jump hid is found."""

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from harness.crash.explain_log import Explained
from harness.crash.log_text import to_lines
from harness.panic.log import LogReader
from harness.panic.values import Frame, KernelReport
from harness.symbols import tail_calls
from harness.symbols.symbolizer import Symbolizer

# drv_drop and drv_put end in a jump to kfree, drv_lock in one to mutex_lock.
SOURCE = """\
extern void kfree(void *), mutex_lock(void *), note(void *);
extern void (*volatile hook)(void *);
int sink;

static __attribute__((noinline)) void drv_drop(void *p)
{
	sink++;
	kfree(p);
}

__attribute__((noinline)) void drv_put(void *p)
{
	sink += 2;
	kfree(p);
}

__attribute__((noinline, section(".text.unlikely"))) void drv_lock(void *p)
{
	sink += 3;
	mutex_lock(p);
}

void drv_write(void *p)
{
	drv_drop(p);
	sink++;
	drv_put(p);
	sink++;
	drv_lock(p);
	sink++;
	hook(p);
	sink++;
	kfree(p);
	sink++;
}
"""
NULL = "BUG: kernel NULL pointer dereference, address: 0000000000000008"


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a relocatable file like a module, with the source beside it."""
    folder = tmp_path_factory.mktemp("drv")
    (folder / "drv.c").write_text(SOURCE)
    options = ["-O2", "-g", "-fno-pic", "-fno-pie", "-fcf-protection=none", "-mcmodel=kernel"]
    command = ["gcc", *options, "-c", str(folder / "drv.c"), "-o", str(folder / "drv.o")]
    subprocess.run(command, check=True)
    subprocess.run(["ld", "-r", "-o", str(folder / "drv.ko"), str(folder / "drv.o")], check=True)
    return folder / "drv.ko"


def calls(module: Path) -> Iterator[tuple[str, int]]:
    """Yield the text of each call instruction of drv_write, and the offset of what follows it."""
    command = ["objdump", "-dr", "--no-show-raw-insn", "--disassemble=drv_write", str(module)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [
        (int(found[1], 16), found[2])
        for found in re.finditer(r"^ +([0-9a-f]+):\t(?! *R_)(.*(?:\n\t+.*)?)", text, re.MULTILINE)
    ]
    (begin,) = re.findall(r"^([0-9a-f]+) <drv_write>:", text, re.MULTILINE)
    for (_, instruction), (after, _) in pairwise(lines):
        if instruction.startswith("call"):
            yield instruction, after - int(begin, 16)


def explained(module: Path, to: str, inner: str) -> KernelReport:
    """Return the report of a fault in `inner`, below the call instruction that names `to`."""
    offset = next(after for text, after in calls(module) if re.search(to, text))
    stack = f" drv_write+{offset:#x} [drv]\n vfs_write+0x9/0x90"
    text = f"{NULL}\nRIP: 0010:{inner}\nCall Trace:\n{stack}"
    (report,) = LogReader().read([text])
    with Symbolizer({"drv": module}, roots=(module.parent,)) as symbolizer:
        return symbolizer.report(report)


@pytest.mark.parametrize(
    ("to", "inner", "function", "line"),
    [
        ("drv_drop", "kfree+0x10/0x20", "drv_drop", 0),
        ("drv_put", "kfree+0x10/0x20", "drv_put", 14),
        ("drv_put", "__kmem_cache_free+0x10/0x20", "drv_put", 14),
        ("drv_lock|text.unlikely", "mutex_lock+0x10/0x20", "drv_lock", 0),
    ],
)
def test_a_function_missing_from_the_stack_due_to_a_tail_call_is_added_to_it(
    module: Path, to: str, inner: str, function: str, line: int
) -> None:
    """A function that left by a jump is in no stack; the module's machine code tells its name.

    kfree itself goes on to __kmem_cache_free by a jump.
    """
    found = explained(module, to, inner)

    names = [frame.function for frame in found.stacks[0].frames]
    assert names == [inner.partition("+")[0], function, "drv_write", "vfs_write"]
    assert (found.function, found.module) == (function, "drv")
    assert found.title.endswith(f" in {function}")
    assert found.place == (f"drv.c:{line}" if line else found.place)
    assert found.stacks[0].frames[1].inferred


def test_the_text_marks_a_function_hidden_by_a_tail_call_as_inferred_and_names_the_call(
    module: Path,
) -> None:
    """A function that the kernel's stack lacks is added with the reason for it."""
    found = explained(module, "drv_put", "kfree+0x10/0x20")

    lines = "\n".join(to_lines(Explained(reports=(found,), count=1)))

    assert re.search(
        r"drv_put is inferred: the call before drv_write\+0x[0-9a-f]+ calls it", lines
    )
    assert "drv_put (drv.c:14) drv [inferred]" in lines


@pytest.mark.parametrize(
    ("to", "inner"),
    [
        (r"\*", "kfree+0x10/0x20"),
        ("kfree", "kfree+0x10/0x20"),
        ("drv_drop", "drv_drop.cold+0x1/0x9 [drv]"),
        ("drv_put", "asm_exc_page_fault+0x26/0x30"),
    ],
)
def test_without_a_tail_call_no_function_is_added_to_the_stack(
    module: Path, to: str, inner: str
) -> None:
    """Neither an indirect call, the function itself, its cold part nor a trap hides one."""
    found = explained(module, to, inner)

    assert not any(frame.inferred for frame in found.stacks[0].frames)
    assert "inferred" not in found.facts


def test_an_inferred_kernel_function_does_not_replace_the_blamed_function_of_the_module() -> None:
    """A module that waits in __const_udelay, added because of a jump, keeps the blame."""
    caller = Frame(function="drv_wait", module="drv", offset=9)
    hidden = Frame(function="__const_udelay", inferred=True)
    report = KernelReport(
        kind="soft-lockup",
        title="BUG: soft lockup in drv_wait",
        function="drv_wait",
        module="drv",
        line=0,
        text=(),
    )

    assert tail_calls.renamed(report, [(hidden, caller)]) == report
