# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of crash_text: a crash is shown on one screen, with what, where, when, and next steps."""

import json
from dataclasses import replace
from pathlib import Path

from harness.crash.crash_text import decoded, markdown, record_removal, screen, write
from harness.model.crash import Blame, Cause, Witness
from tests.unit.crashes import crash, report

FULL = crash(
    blame=Blame.MODULE,
    blame_why="it happened in osq_break [osq]",
    source=("  6 | {", "> 7 | \t*p = 1;"),
    witnesses=(Witness(name="libvirt", after_s=0.0, words="the guest crashed"),),
    last_lines=("[    1.000000] before it",),
    memory=("ring: 3 records pending",),
    vmcore="vmcore.zst",
    vmcore_note="768 MiB of memory in 38 MiB",
    reports=(report(), report(title="kernel panic: Fatal exception", line=60)),
)


def test_the_screen_text_of_a_crash_has_title_place_test_stack_last_lines_and_commands() -> None:
    """What a run prints of a crash has function, file, line, vmcore and commands to go on."""
    text = "\n".join(screen(FULL))

    for wanted in (
        "BUG: unable to handle kernel NULL pointer dereference in osq_break",
        "osq_break [osq] at break.c:7",
        "> 7 |",
        "t::one",
        "sh (pid 7), CPU 1",
        "module: it happened in osq_break [osq]",
        "vfs_write (fs/read_write.c:584)",
        "kernel panic: Fatal exception",
        "before it",
        "libvirt after 0.0 s: the guest crashed",
        "ring: 3 records pending",
        "768 MiB of memory in 38 MiB",
        "modlab vmcore-open run-1 --crash 1",
        "modlab kernel-test -k one",
        "signature 0123456789ab",
    ):
        assert wanted in text
    assert len(screen(FULL)) < 60


def test_the_screen_text_of_a_crash_without_report_and_test_says_it_happened_between_tests() -> (
    None
):
    """Without kernel report, function and test, the text has the title and no line 'where'."""
    bare = crash(cause=Cause.QEMU, test="", function="", place="", reports=(), title="QEMU ended")

    text = "\n".join(screen(bare))

    assert "QEMU ended" in text
    assert "the crash happened between tests" in text
    assert "where" not in text


def test_a_report_during_a_later_test_is_not_listed_as_a_consequence() -> None:
    """A kernel report of a later test is listed as 'later' with its test, not below 'then'."""
    warned = report(fatal=False, taint="GOE")
    own = report(title="WARNING in osq_tail", line=50)
    later = report(title="WARNING in osq_else", line=60, test="t::two")
    found = crash(reports=(warned, own, later))

    text = "\n".join(screen(found))

    assert "  then     WARNING in osq_tail" in text
    assert "  later    WARNING in osq_else, in the test t::two" in text
    assert "## Then: WARNING in osq_tail" in markdown(found, {})
    assert "## Not of this crash, in the test t::two: WARNING in osq_else" in markdown(found, {})


def test_the_stack_is_that_of_the_report_that_names_the_crash() -> None:
    """The crash's stack is its cause's; a hung task reported earlier is listed below 'then'."""
    hung = report(title="task x hangs", line=30, follows=40, task="x", stacks=())
    found = crash(reports=(hung, report()))

    text = "\n".join(screen(found))

    assert "  task     sh (pid 7), CPU 1" in text
    assert "  stack    osq_break" in text
    assert "  then     task x hangs" in text
    assert "## Then: task x hangs" in markdown(found, {})


def test_taint_letters_are_explained() -> None:
    """The letters of a tainted kernel have their meanings; G, which means nothing, has none."""
    text = "\n".join(screen(crash(reports=(report(taint="GOE"),))))

    assert "O: an out-of-tree module was loaded; E: an unsigned module was loaded" in text
    assert "G" not in text.partition("tainted")[2].partition("\n")[0]


def test_the_decoded_text_has_file_and_line_after_frames() -> None:
    """In the kernel's text of a crash, each resolved frame gets its source line, nothing else."""
    assert decoded(report()) == (
        "BUG: kernel NULL pointer dereference",
        " osq_break+0x5/0x20 [osq] (break.c:7)",
    )


def test_the_mail_about_a_crash_has_title_source_line_decoded_frame_kernel_and_rerun_command() -> (
    None
):
    """report.md, to be mailed, begins with what a maintainer asks for first."""
    text = markdown(FULL, {"kernel": "6.1.0-50"})

    assert text.startswith("# BUG: unable to handle kernel NULL pointer dereference in osq_break")
    for wanted in ("> 7 |", "osq_break+0x5/0x20 [osq] (break.c:7)", "kernel: 6.1.0-50", "-k one"):
        assert wanted in text


def test_write_creates_report_md_screen_txt_and_crash_json_in_the_crash_folder(
    tmp_path: Path,
) -> None:
    """`write` puts the mail, the screen text and the crash's values into the crash's folder."""
    folder = tmp_path / "run-1" / "crashes" / "1"
    folder.mkdir(parents=True)

    write(crash(folder), {})

    values = json.loads((folder / "crash.json").read_text())
    assert values["function"] == "osq_break"
    assert values["cause"] == "panic"
    assert (folder / "report.md").is_file()
    assert "run-1" in (folder / "screen.txt").read_text()


def test_report_md_screen_txt_and_crash_json_say_why_the_crashs_memory_dump_was_removed(
    tmp_path: Path,
) -> None:
    """After its dump was removed, a crash's report, screen and values say that and why."""
    folder = tmp_path / "run-1" / "crashes" / "1"
    folder.mkdir(parents=True)
    write(replace(FULL, folder=folder), {})
    (folder / "vmcore.txt").write_text("removed for a newer dump\nhow to keep more\n")

    record_removal(folder)

    assert "- vmcore: none (removed for a newer dump)\n" in (folder / "report.md").read_text()
    assert "  vmcore   none: removed for a newer dump\n" in (folder / "screen.txt").read_text()
    values = json.loads((folder / "crash.json").read_text())
    assert (values["vmcore"], values["vmcore_note"]) == ("", "none: removed for a newer dump")
    assert "MiB in 38 MiB" not in (folder / "report.md").read_text()
    assert "vmcore-open" not in (folder / "screen.txt").read_text()
