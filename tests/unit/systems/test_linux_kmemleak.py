# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.linux.kmemleak: leaks get the names of functions, and the test that ran."""

import pytest

from harness.panic.scan import Scanner
from harness.panic.values import KernelReport
from harness.systems.linux import kmemleak

HZ = 250
# The scan ends 100 s after boot, and the timers are listed 0.8 s later. Jiffies begin 300 s before
# zero, as in include/linux/jiffies.h.
BEGIN = 2**32 - 300 * HZ
CUT = "harness-cut\n"
CLOCK = f"""now at 100800000000 nsecs
jiffies: {BEGIN + 1008 * HZ // 10}
[   99.000000] harness-leaks at 100.00
"""
OBJECT = """unreferenced object 0xffff88800c5f2a00 (size 192):
  comm "sh", pid 400, jiffies {jiffies}
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
  backtrace:
    [<00000000a1b2c3d4>] __kmem_cache_alloc_node+0x1c0/0x280
    [<00000000a1b2c3d5>] kmalloc_trace+0x25/0x90
    [<00000000a1b2c3d6>] {frame}
    [<00000000a1b2c3d7>] vfs_write+0x1a3/0xa00
"""
LOG = """[   40.000000] harness-test-begin tests::test_one
[   44.000000] harness-test-end tests::test_one
[   50.000000] harness-test-begin tests::test_two
[   58.000000] harness-test-end tests::test_two
"""
# Two modules had the same place, one after the other.
SYMBOLS = """unload 60.00
ffffffffc0100000 t first\t[flaws]
ffffffffc0100100 t flaws_leak\t[flaws]
ffffffffc0100180 t flaws_write\t[flaws]
unload 90.00
ffffffffc0100000 t other\t[second]
ffffffffc0100200 t last\t[second]
"""


def text(*objects: str) -> str:
    """Return what the scan prints for these objects."""
    return CUT.join((CLOCK, "".join(objects), SYMBOLS, LOG))


def leaked(at_s: float, frame: str = "0xffffffffc0100120") -> str:
    """Return an object that was allocated at an uptime by a frame."""
    return OBJECT.format(jiffies=BEGIN + int(at_s * HZ), frame=frame)


def test_an_address_gets_the_name_that_it_had_when_the_object_was_allocated() -> None:
    """A leak's frames are named by symbols stored when the module was unloaded, not later ones."""
    first, second = kmemleak.found(text(leaked(52.0), leaked(80.0)), HZ)

    assert "    [<00000000a1b2c3d6>] flaws_leak+0x20 [flaws]" in first.lines
    assert "    [<00000000a1b2c3d6>] other+0x120 [second]" in second.lines


@pytest.mark.parametrize(
    ("at_s", "test"),
    [
        (41.1, "tests::test_one"),
        (44.9, "tests::test_one"),
        (45.1, ""),
        (46.0, ""),
        (52.0, "tests::test_two"),
        (70.0, ""),
        (3.0, ""),
    ],
)
def test_a_leak_belongs_to_the_test_that_ran_when_it_was_allocated(at_s: float, test: str) -> None:
    """The time of a kmemleak entry is uptime; the log with the tests' marks is a second behind."""
    (found,) = kmemleak.found(text(leaked(at_s)), HZ)

    assert found.test == test


def test_leaks_with_the_same_stack_are_one_leak_with_a_count() -> None:
    """Objects that kmemleak lists for one loop are one report of the test that leaked first."""
    (found,) = kmemleak.found(text(leaked(43.0), leaked(52.0), leaked(53.0)), HZ)

    assert (found.count, found.test) == (3, "tests::test_one")


def test_a_leak_without_a_frame_of_a_module_is_not_the_modules() -> None:
    """Of kmemleak's text, leaks of the kernel itself, for example at boot, are left out."""
    assert kmemleak.found(text(leaked(52.0, "do_one_initcall+0x90/0x2e0")), HZ) == ()
    assert kmemleak.found(text(), HZ) == ()


@pytest.mark.parametrize("frame", ["flaws_leak+0x20/0x80 [flaws]", "0xffffffffc0200000"])
def test_a_leak_of_a_loaded_module_and_one_without_symbols_are_reported(frame: str) -> None:
    """Linux's kmemleak names a loaded module's functions; a bare address stays an address."""
    (found,) = kmemleak.found(text(leaked(52.0, frame)), HZ)

    assert f"    [<00000000a1b2c3d6>] {frame}" in found.lines


def test_the_console_scanner_finds_a_leak_with_its_function_and_module() -> None:
    """The text of kmemleak, which the guest's program writes to the log, is read like a crash."""
    (found,) = kmemleak.found(text(leaked(52.0)), HZ)
    scanner = Scanner()

    reports: list[KernelReport] = []
    for line in (*found.lines, "harness-test-end tests::test_two"):
        reports += scanner.feed(f"[   99.100000] {line}")

    (report,) = reports
    assert (report.kind, report.function, report.module) == ("kmemleak", "flaws_leak", "flaws")
    assert report.title == "memory leak in flaws_leak"
