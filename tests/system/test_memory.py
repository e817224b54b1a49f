# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The memory of a guest that crashed is explained while it is paused and from a dump."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from harness.errors import GuestCrashed
from harness.memory import inspect, memory_text, open_dump, vmcore
from harness.memory.values import MemoryView
from harness.model.provenance import Provenance
from harness.symbols.symbolizer import Symbolizer
from tests.system.memory_guest import LOOK_S, SETTINGS, SOURCE, MemoryGuest, memory_guest

MEMORY_BYTES = SETTINGS.targets[SETTINGS.default_target].memory_mib << 20
RECORDS = 3


@pytest.fixture(scope="module")
def crash() -> Iterator[MemoryGuest]:
    """Crash a guest in which the driver has an owner and records."""
    with memory_guest() as guest:
        live = guest.session
        script = (
            "setsid osqtail --watermark 4096 --latency-ms 60000 < /dev/null > /dev/null 2>&1 & "
            f"sleep 1; for n in $(seq {RECORDS}); do /bin/true; done; "
            "(sleep 1; exec osqstress crash 1) < /dev/null > /dev/null 2>&1 &"
        )
        live.guest.run(script, deadline_s=live.deadline(10.0))
        live.domain.wait_for_event("crashed", deadline_s=live.deadline(10.0))
        with pytest.raises(GuestCrashed):
            live.check_alive()  # waits for the console's last words
        yield guest


@pytest.fixture(scope="module")
def paused(crash: MemoryGuest) -> MemoryView:
    """Return what drgn reads from the paused guest."""
    return inspect.look(crash.request("osqtail"), deadline_s=LOOK_S, roots=(SOURCE,))


@pytest.fixture(scope="module")
def dump(crash: MemoryGuest, tmp_path_factory: pytest.TempPathFactory) -> vmcore.Vmcore:
    """Return the dump of the paused guest, in a run's folder as the harness lays it out."""
    runs = tmp_path_factory.mktemp("runs")
    folder = runs / "run/crashes/1"
    folder.mkdir(parents=True)
    modules = runs / "run/modules"
    modules.mkdir()
    for name, path in crash.modules.items():
        shutil.copy(path, modules / f"{name}.ko")
    return vmcore.take(
        crash.session.domain.core_dump,
        folder,
        runs=runs,
        keep=SETTINGS.vmcores,
        expected_bytes=MEMORY_BYTES,
    )


@contextmanager
def unpack_dump_of(dump: vmcore.Vmcore, crash: MemoryGuest) -> Iterator[open_dump.Explained]:
    """Give the guest's memory dump, unpacked."""
    asked = crash.session.request
    known = Provenance(kernel_release=asked.kernel.release, kernel_version=asked.kernel.version)
    with open_dump.unpack_dump(
        dump.file.parents[2], 1, provenance=known, cache=asked.cache
    ) as opened:
        yield opened


def hold_to_the_crash(view: MemoryView, crash: MemoryGuest) -> None:
    """Assert what the memory of the crashed guest must show, paused or dumped."""
    assert view.problems == ()
    assert view.release == crash.session.request.kernel.release
    assert view.symbols_match
    died = view.crashed
    assert died is not None
    assert died is view.cpus[0]
    assert died.comm == "osqstress"
    (guilty,) = [one for one in died.frames if one.function == "osq_crash_null"]
    file, _, line = guilty.place.rpartition(":")
    text = (SOURCE / file).read_text().splitlines()[int(line) - 1]
    assert text.strip() == "WRITE_ONCE(*(volatile int *)NULL, 1);"
    assert guilty.module == "osq_test"
    (asked,) = [one for one in died.frames if one.function == "osq_test_ioctl"]
    assert asked.variables["number"] == "(u32)1"
    assert sorted(stack.cpu for stack in view.cpus if stack.cpu is not None) == [0, 1]
    assert all(stack.frames or stack.note for stack in view.cpus)
    assert any("Kernel panic - not syncing" in line for line in view.log)
    build_ids = {one.name: one.build_id for one in view.modules if one.has_symbols}
    assert build_ids["osq"] == crash.loaded.build.build_id
    assert len(build_ids) == 2


def test_memory_of_a_paused_crashed_guest_has_stack_source_line_log_and_modules(
    crash: MemoryGuest, paused: MemoryView
) -> None:
    """drgn, on a real guest that a NULL pointer panicked, shows the guilty line and arguments."""
    hold_to_the_crash(paused, crash)
    assert paused.task is not None
    assert paused.task.comm == "osqtail"
    assert any(frame.function == "__schedule" for frame in paused.task.frames)
    assert any("died: osqstress" in line for line in memory_text.lines(paused))


def test_osq_plugin_for_a_crashed_guests_memory_shows_device_owner_and_pending_records(
    paused: MemoryView,
) -> None:
    """In a panicked real guest, osq_drgn finds osqtail as owner and counters that add up."""
    lines = [line for line in paused.driver if line.startswith("osq: ")]

    assert "generation 1, owner osqtail (pid" in lines[0]
    assert lines[1] == (
        "osq: publishers on: exec; off: fork, exit, socket, file, module, cred, ptrace, "
        "namespace, bpf, kexec, signal"
    )
    assert "ring of 1048576 bytes: read 0, commit " in lines[2]
    assert [line.rpartition(": ")[2] for line in lines[3:5]] == ["the counters add up"] * 2
    pending = int(lines[4].split("pending ")[1].split(" ")[0])
    assert pending >= RECORDS
    assert f"= consumed 0 + pending {pending} + reset 0" in lines[4]
    assert "osq_test: queue none, generation 0, owner osqstress (pid" in "\n".join(paused.driver)


def test_crash_dump_has_the_paused_guests_log_driver_state_and_8_outermost_crash_frames(
    crash: MemoryGuest, dump: vmcore.Vmcore, paused: MemoryView
) -> None:
    """In the vmcore of a panicked real guest drgn finds the same as in its paused memory.

    The outermost 8 frames of the crashed CPU are the same too.
    """
    with unpack_dump_of(dump, crash) as opened:
        view = inspect.look(
            replace(crash.request("osqtail"), qmp="", registers="", core=str(opened.core)),
            deadline_s=LOOK_S,
            roots=(SOURCE,),
        )

    hold_to_the_crash(view, crash)
    assert view.driver == paused.driver
    assert view.log == paused.log
    assert [frame.place for frame in view.cpus[0].frames][-8:] == [
        frame.place for frame in paused.cpus[0].frames
    ][-8:]
    assert dump.memory_bytes >= MEMORY_BYTES
    assert dump.size_bytes < MEMORY_BYTES // 2
    assert [path.name for path in dump.file.parent.iterdir()] == ["vmcore.zst"]


def test_console_crash_report_gets_source_lines_without_the_guests_memory(
    crash: MemoryGuest,
) -> None:
    """An oops on a real guest's console gets its line from the module's and kernel's files."""
    (report,) = [
        replace(one, function="osq_crash_null", module="osq_test")
        for one in crash.session.watch.reports
        if any(frame.function == "osq_crash_null" for frame in one.frames)
    ]

    with Symbolizer(crash.modules, crash.vmlinux, roots=(SOURCE,)) as symbolizer:
        begun = time.monotonic()
        found = symbolizer.report(report)
        cold_s = time.monotonic() - begun

    file, _, line = found.place.rpartition(":")
    assert file == "os/linux/test_crash.c"
    text = (SOURCE / file).read_text().splitlines()[int(line) - 1]
    assert "WRITE_ONCE" in text
    places = [frame.place for frame in found.frames if frame.reliable and not frame.place]
    assert places == []
    # The kernel has functions of one name and size; of which one a frame is, nobody can tell.
    assert [note for note in symbolizer.notes if " functions " not in note] == []
    assert cold_s < 10.0


def test_vmcore_open_shell_runs_python_and_the_commands_osq_and_cpus(
    crash: MemoryGuest, dump: vmcore.Vmcore
) -> None:
    """The drgn shell of vmcore-open, on a real dump, takes `%osq`, `%cpus` and an expression."""
    with unpack_dump_of(dump, crash) as opened:
        request = {
            "core": str(opened.core),
            "vmlinux": str(opened.vmlinux),
            "modules": {name: str(path) for name, path in opened.modules.items()},
            "plugin": str(SETTINGS.module.drgn),
        }
        answers = [
            subprocess.run(
                [
                    *(sys.executable, "-m", "harness.memory.drgn_shell"),
                    json.dumps({**request, "commands": [command]}),
                ],
                check=True,
                capture_output=True,
                text=True,
                timeout=LOOK_S,
            ).stdout
            for command in ("prog.crashed_thread().name", "%osq", "%cpus")
        ]

    assert answers[0] == "osqstress\n"
    assert "osq: attempts" in answers[1]
    assert re.search(r"^CPU \d, on which it died: osqstress", answers[2])


def test_memory_read_with_a_vmlinux_of_another_build_lists_a_problem_and_shows_no_stack(
    crash: MemoryGuest, dump: vmcore.Vmcore
) -> None:
    """For a panicked guest and a foreign vmlinux, the view's problem has that file's build id."""
    other = crash.loaded.build.debug

    view = inspect.look(replace(crash.request("osqtail"), vmlinux=str(other)), deadline_s=LOOK_S)

    assert view.symbols_match is False
    assert view.cpus == ()
    assert f"is of build {crash.loaded.build.build_id}, the guest runs" in view.problems[0]
    assert dump.file.exists()


def test_a_module_whose_file_has_another_build_id_is_listed_as_a_problem_and_has_no_symbols(
    crash: MemoryGuest,
) -> None:
    """osq.ko given for osq_test is found out; the other modules keep their symbols."""
    swapped = {"osq_test": str(crash.modules["osq"])}
    request = replace(crash.request("osqtail"), modules=swapped)

    view = inspect.look(request, deadline_s=LOOK_S)

    assert "osq_test.ko has build id" in view.problems[0]
    assert {one.name for one in view.modules if one.has_symbols} == {"osq"}


def test_memory_read_without_a_vmlinux_lists_as_its_only_problem_how_to_fetch_symbols(
    crash: MemoryGuest,
) -> None:
    """Then the view of a panicked guest has the kernel's build id, and names kernel-symbols."""
    view = inspect.look(replace(crash.request("osqtail"), vmlinux=""), deadline_s=LOOK_S)

    assert view.symbols_match is None
    assert len(view.build_id) == 40
    assert view.problems == ("no vmlinux: modlab kernel-symbols fetches it",)
