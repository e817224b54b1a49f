# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of crash.collect: hanging tasks are found, and a full disk becomes a note."""

from pathlib import Path
from typing import Any, cast

import pytest

from harness.crash import collect, crash_text, memory_evidence
from harness.crash.collect import standing_still
from harness.crash.hang_dump import Answer
from harness.crash.scene import Scene
from harness.guest.session import CONSOLE
from harness.memory.values import MemoryView
from harness.panic.scan import scan
from tests.unit.crashes import crash
from tests.unit.panic.test_task_dump import OURS

MODULES = ("osq_test",)
ANSWER = Answer(way="ssh", lines=tuple(OURS))
NOBODY = MemoryView()
FOREIGN = scan(
    (
        "[   37.037710] INFO: task khugepaged:36 blocked for more than 4 seconds.",
        "[   37.039200]  __lru_add_drain_all+0x147/0x1f0",
    )
)
OWN = scan(
    (
        "[   37.037710] INFO: task osqstress:412 blocked for more than 4 seconds.",
        "[   37.039200]  osq_crash_deadlock+0x6c/0xa0 [osq_test]",
    )
)


def test_a_hang_without_a_watchdog_report_is_found_by_sysrq() -> None:
    """A sysrq task dump gives a report with the module's function in which a task hangs.

    Without an answer and without memory, no task is found.
    """
    (found,) = standing_still(ANSWER, NOBODY, MODULES, ())

    assert found.function == "osq_crash_deadlock"
    assert standing_still(Answer(way="", lines=()), NOBODY, MODULES, ()) == ()


def test_a_task_that_the_watchdog_reported_is_not_reported_again() -> None:
    """A sysrq task dump adds no report of a task that the kernel's watchdog has reported."""
    assert OWN[0].module == "osq_test"
    assert standing_still(ANSWER, NOBODY, MODULES, OWN) == ()


def test_a_hanging_task_in_the_module_is_found_although_the_watchdog_reported_another_task() -> (
    None
):
    """A sysrq task dump adds a report of the module's waiting task to the watchdog's."""
    (found,) = standing_still(ANSWER, NOBODY, MODULES, FOREIGN)

    assert found.module == "osq_test"
    assert standing_still(ANSWER, NOBODY, ("other",), FOREIGN) == ()


def full_scene(folder: Path, name: str, said: list[str]) -> Scene:
    """Return a scene in whose folder the file `name` accepts no byte, as on a full disk."""
    folder.mkdir()
    (folder / name).symlink_to("/dev/full")
    console = folder.with_name("console.log")
    console.write_text("[    1.0] last words\n")
    return Scene(
        session=cast("Any", None),
        console_file=console,
        memory_mib=64,
        kernel="plain",
        vmlinux=None,
        modules={},
        roots=(),
        folder=folder,
        runs=folder.parent,
        note=said.append,
    )


@pytest.mark.parametrize("name", [crash_text.MARKDOWN, crash_text.VALUES, CONSOLE])
def test_a_full_disk_becomes_a_note_of_the_crash(tmp_path: Path, name: str) -> None:
    """A crash whose files fill the disk is returned, with a note that its folder is incomplete."""
    said: list[str] = []
    scene = full_scene(tmp_path / "1", name, said)

    saved = collect.save(scene, crash(scene.folder, notes=("earlier",)), {})

    assert said == [saved.notes[0]]
    assert saved.notes[0].startswith("the crash's folder is incomplete: the disk is full")
    assert saved.notes[1:] == ("earlier",)


def test_a_disk_without_room_for_the_memorys_text_becomes_a_line_of_the_summary(
    tmp_path: Path,
) -> None:
    """The crash's memory summary begins with why memory.txt could not be written completely."""
    scene = full_scene(tmp_path / "1", memory_evidence.MEMORY_TEXT, [])
    view = MemoryView(driver=("ring: 3 records",))

    first, *rest = memory_evidence.write(scene, view, "")

    assert first.startswith("memory.txt is incomplete: the disk is full")
    assert rest == ["ring: 3 records"]
