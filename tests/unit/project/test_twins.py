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
# Functions that only one of two files of the same name has, and the reason.
ALONE = {
    ("device.c", "linux"): {
        "osq_device_peek": "sysfs shows the counters, and XNU has nothing like sysfs",
        "osq_opening_lock": "on Linux the ioctls are in a separate file",
        "osq_opening_unlock": "the same reason as osq_opening_lock",
        "osq_opening_allocate": "the same reason as osq_opening_lock",
    },
    ("memory.c", "macos"): {
        "osq_memory_unmap": "on XNU the driver itself must remove a mapping",
        "osq_os_alloc": "inline on Linux, where freeing needs no size",
        "osq_os_free": "the same reason as osq_os_alloc",
    },
    ("readers.c", "linux"): {
        "osq_readers_renew": "a kernel timer wakes waiting readers",
        "osq_readers_sync": "the same reason as osq_readers_renew",
    },
    ("readers.c", "macos"): {
        "osq_readers_init": "the kext's data may still hold values of an earlier start",
        "osq_readers_wait": "XNU's sleep has a deadline and needs no timer",
    },
    ("scratch.c", "macos"): {
        "osq_scratch_init": "the kext's data may still hold values of an earlier start"
    },
    ("task.c", "linux"): {
        "osq_tracepoint_find": "hooks are found by name",
        "osq_rank_of": "a record has its subject's credentials; XNU has only the caller's",
        "osq_rank_of_caller": "the same reason as osq_rank_of",
    },
    ("task.c", "macos"): {
        "osq_record_append": "on Linux static functions of the publishers do this"
    },
    ("publish_file.c", "linux"): {"osq_publish_file_probe": "on XNU kauth always exists"},
    ("publish_file.c", "macos"): {
        "osq_publish_file_init": "the kext's data may still hold values of an earlier start",
        "osq_publish_file_may_unload": "XNU does not wait for callbacks of kauth that still run",
        "osq_watch_apply": "kauth gives paths; on Linux file systems are marked (watch.c)",
    },
    ("publish_socket.c", "macos"): {
        "osq_publish_socket_init": "the kext's data may still hold values of an earlier start",
        "osq_publish_socket_may_unload": "XNU reports when the last filtered socket is gone",
    },
    ("publish_socket.c", "linux"): {
        "osq_publish_socket_probe": "on XNU socket filters always exist",
        "osq_publish_socket_missed": "XNU calls a socket filter each time",
    },
    ("publish_exec.c", "linux"): {
        "osq_publish_exec_probe": "on XNU kauth always exists",
        "osq_publish_exec_configure": "kauth gives no environment",
    },
    ("publish_exec.c", "macos"): {
        "osq_publish_exec_init": "the kext's data may still hold values of an earlier start",
        "osq_publish_exec_may_unload": "XNU does not wait for callbacks of kauth that still run",
    },
}


def functions(file: Path) -> set[str]:
    """Return the functions that a C file defines for other files."""
    return set(_FUNCTION.findall(file.read_text()))


def twins() -> list[str]:
    """Return the names of files that exist for both systems."""
    linux, macos = ({file.name for file in (OS / name).glob("*.c")} for name in ("linux", "macos"))
    return sorted(linux & macos)


def test_the_main_files_of_the_driver_exist_for_linux_and_for_macos() -> None:
    """The driver's main files (device, owner, memory and so on) exist for both systems."""
    common = {"device.c", "main.c", "memory.c", "owner.c", "readers.c", "scratch.c", "task.c"}

    assert common | {"publish_exec.c"} <= set(twins())


@pytest.mark.parametrize("name", twins())
def test_driver_files_of_one_name_have_the_same_functions_on_linux_and_macos_unless_excepted(
    name: str,
) -> None:
    """Each function of a driver file that both systems have is in both, or has a reason."""
    linux, macos = functions(OS / "linux" / name), functions(OS / "macos" / name)

    assert linux - macos == set(ALONE.get((name, "linux"), {}))
    assert macos - linux == set(ALONE.get((name, "macos"), {}))


@pytest.mark.parametrize("system", ["linux", "macos", "host"])
def test_linux_macos_and_host_osq_os_impl_h_have_the_same_osq_os_names_as_core_osq_os_h(
    system: str,
) -> None:
    """Each system's osq_os_impl.h defines exactly the names of core/osq_os.h."""
    text = (OS / system / "osq_os_impl.h").read_text()
    interface = set(re.findall(r"osq_os_\w+", (OS.parent / "core" / "osq_os.h").read_text()))

    file = {"osq_os_impl"}
    assert interface - file == set(SEAM)
    assert set(re.findall(r"\bosq_os_\w+", text)) - file == set(SEAM)


def test_the_twin_check_finds_defined_c_functions_but_no_declared_or_static_ones(
    tmp_path: Path,
) -> None:
    """The comparison of Linux and macOS driver files also reads definitions over several lines."""
    file = tmp_path / "one.c"
    file.write_text(
        "int osq_a_one(void)\n{\n}\nvoid osq_a_declared(int x);\nstatic int osq_a_two(void)\n{\n}"
        "\nconst struct osq_record *\nstruct osq_ring *osq_a_three(int a,\n\t\tint b)\n{\n}\n"
    )

    assert functions(file) == {"osq_a_one", "osq_a_three"}
