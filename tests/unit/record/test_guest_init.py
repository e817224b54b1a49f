# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""record_guest: an init that any shell takes, and its words read back from a console."""

import subprocess
from pathlib import Path

from harness.model.settings import ModuleSpec
from harness.record import guest_init

CONSOLE = """\
[    1.000000] Run /init as init process
[    1.100000] harness-record load
[    1.200000] harness-record section .text 0xffffffffc0201000
[    1.200000] harness-record section .symtab 0xffffffffc0210000
[    1.200000] harness-record section .data zero
[    1.300000] harness-record command
harness-recorder is something else
[    1.400000] harness-record status 7
""".splitlines()


def test_the_init_is_a_shell_script_that_quotes_its_words(tmp_path: Path) -> None:
    """A parameter with a blank and a quote reaches insmod as one word."""
    module = ModuleSpec(name="my-toy", source=Path(), parameters={"mode": "it's a"})

    found = guest_init.files(module, b"elf", {"/bin/x": (b"x", 0o755)}, "echo $HOME 'a'")

    init, mode = found["/init"]
    (tmp_path / "init").write_bytes(init)
    assert subprocess.run(["sh", "-n", tmp_path / "init"], check=False).returncode == 0
    assert mode == 0o755
    assert b"insmod /harness/my-toy.ko 'mode=it'\"'\"'s a'" in init
    assert b"/sys/module/my_toy/sections/" in init
    assert found["/harness/command"] == (b"echo $HOME 'a'\n", 0o600)
    assert found["/bin/x"] == (b"x", 0o755)


def test_what_the_init_says_is_read_back() -> None:
    """Stages in order, the status, the sections that are in memory; odd lines are passed over."""
    said = guest_init.read_console(CONSOLE)

    assert said.stages == ("load", "command", "status")
    assert said.status == 7
    assert said.sections == {".text": 0xFFFFFFFFC0201000}
    assert not said.refused


def test_a_refused_module_is_told_from_a_failed_command() -> None:
    """The status of insmod is not the command's."""
    said = guest_init.read_console([*CONSOLE[:2], "[    1.2] harness-record refused 1"])

    assert said.refused
    assert said.sections == {}


def test_a_stage_is_told_from_other_lines() -> None:
    """Only the init's own words announce a stage."""
    assert [guest_init.mark(line) for line in CONSOLE[:2]] == ["", "load"]
    assert not guest_init.mark(CONSOLE[6])
