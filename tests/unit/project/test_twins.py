# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that the driver's code for each system has the same names for the same functions."""

import re
from pathlib import Path

import pytest

OS = Path(__file__).resolve().parents[3] / "kernel" / "os"
SEAM = (
    *("osq_os_lock_t", "osq_os_irq_t", "osq_os_lock_init", "osq_os_lock", "osq_os_unlock"),
    *("osq_os_boot_ns", "osq_os_memcpy", "osq_os_memset", "osq_os_popcount"),
    *("osq_os_count_up", "osq_os_count"),
    *("osq_os_alloc", "osq_os_free"),
)
_FUNCTION = re.compile(r"^(?!static)[a-z][\w \t*]*?\b(osq_\w+)\((?!.*;$)", re.MULTILINE)
# What one of two files of one name has alone, and why.
ALONE = {
    ("device.c", "linux"): {
        "osq_device_peek": "sysfs shows counters; XNU has no such place",
        "osq_opening_lock": "ioctls are in a file of their own",
        "osq_opening_unlock": "as osq_opening_lock",
        "osq_opening_allocate": "as osq_opening_lock",
    },
    ("memory.c", "macos"): {
        "osq_memory_unmap": "XNU's mapping is the driver's to take away",
        "osq_os_alloc": "inline on Linux, which knows a pointer's size",
        "osq_os_free": "as osq_os_alloc",
    },
    ("readers.c", "linux"): {
        "osq_readers_renew": "a timer of the kernel's runs for waiting readers",
        "osq_readers_sync": "as osq_readers_renew",
    },
    ("readers.c", "macos"): {
        "osq_readers_init": "the kext may start on data that has been used",
        "osq_readers_wait": "the sleep has its own end, with no timer",
    },
    ("scratch.c", "macos"): {"osq_scratch_init": "the kext may start on data that has been used"},
    ("task.c", "linux"): {
        "osq_tracepoint_find": "hooks are found by name",
        "osq_rank_of": "credentials come with a record's subject; XNU has the caller's alone",
        "osq_rank_of_caller": "as osq_rank_of",
    },
    ("task.c", "macos"): {"osq_record_append": "static in the publishers there"},
    ("publish_file.c", "macos"): {
        "osq_publish_file_init": "the kext may start on data that has been used",
        "osq_publish_file_may_unload": "nobody waits for kauth's callbacks",
        "osq_watch_apply": "kauth gives paths; on Linux file systems are marked (watch.c)",
    },
    ("publish_socket.c", "macos"): {
        "osq_publish_socket_init": "the kext may start on data that has been used",
        "osq_publish_socket_may_unload": "XNU says when the last filtered socket has gone",
    },
    ("publish_socket.c", "linux"): {
        "osq_publish_socket_probe": "socket filters are always there",
    },
    ("publish_exec.c", "linux"): {
        "osq_publish_exec_probe": "kauth is always there",
        "osq_publish_exec_configure": "kauth gives no environment",
    },
    ("publish_exec.c", "macos"): {
        "osq_publish_exec_init": "the kext may start on data that has been used",
        "osq_publish_exec_may_unload": "nobody waits for kauth's callbacks",
    },
}


def functions(file: Path) -> set[str]:
    """Return the functions that a file defines for other files."""
    return set(_FUNCTION.findall(file.read_text()))


def twins() -> list[str]:
    """Return the names of files that exist for both systems."""
    linux, macos = ({file.name for file in (OS / name).glob("*.c")} for name in ("linux", "macos"))
    return sorted(linux & macos)


def test_the_main_files_exist_for_both_systems() -> None:
    """Device, owner, memory, readers, buffers, ids, start and exec exist for both."""
    common = {"device.c", "main.c", "memory.c", "owner.c", "readers.c", "scratch.c", "task.c"}

    assert common | {"publish_exec.c"} <= set(twins())


@pytest.mark.parametrize("name", twins())
def test_twins_do_the_same_by_the_same_names(name: str) -> None:
    """Each function is in both files, or is listed with the reason why it is not."""
    linux, macos = functions(OS / "linux" / name), functions(OS / "macos" / name)

    assert linux - macos == set(ALONE.get((name, "linux"), {}))
    assert macos - linux == set(ALONE.get((name, "macos"), {}))


@pytest.mark.parametrize("system", ["linux", "macos", "host"])
def test_each_system_implements_the_cores_interface(system: str) -> None:
    """osq_os_impl.h of each system defines every name of core/osq_os.h, and no other."""
    text = (OS / system / "osq_os_impl.h").read_text()
    asked = set(re.findall(r"osq_os_\w+", (OS.parent / "core" / "osq_os.h").read_text()))

    file = {"osq_os_impl"}
    assert asked - file == set(SEAM)
    assert set(re.findall(r"\bosq_os_\w+", text)) - file == set(SEAM)


def test_definitions_are_found_in_c_code(tmp_path: Path) -> None:
    """Definitions over several lines are found; declarations and static functions are not."""
    file = tmp_path / "one.c"
    file.write_text(
        "int osq_a_one(void)\n{\n}\nvoid osq_a_declared(int x);\nstatic int osq_a_two(void)\n{\n}"
        "\nconst struct osq_record *\nstruct osq_ring *osq_a_three(int a,\n\t\tint b)\n{\n}\n"
    )

    assert functions(file) == {"osq_a_one", "osq_a_three"}
