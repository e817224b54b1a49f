# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest_init: the init is valid shell, and its marks are parsed from a console."""

import subprocess
from pathlib import Path

import pytest

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


def test_init_is_valid_shell_and_quotes_parameters(tmp_path: Path) -> None:
    """In a recorded guest's init script, a module parameter with a blank stays one word."""
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


def test_the_recorders_console_lines_give_stages_exit_status_and_section_addresses() -> None:
    """Lines that a recorded guest's init script prints are read from its console, no others."""
    progress = guest_init.read_console(CONSOLE)

    assert progress.stages == ("load", "command", "status")
    assert progress.status == 7
    assert progress.sections == {".text": 0xFFFFFFFFC0201000}
    assert not progress.refused


def test_a_console_with_a_refused_module_gives_refused_and_no_sections() -> None:
    """A recorded guest whose kernel refused the module has no addresses of its sections."""
    progress = guest_init.read_console([*CONSOLE[:2], "[    1.2] harness-record refused 1"])

    assert progress.refused
    assert progress.sections == {}


def test_mark_returns_the_stage_of_a_console_line_that_the_init_printed_and_else_nothing() -> None:
    """A recorded guest's line 'harness-record load' has the stage load; two other lines none."""
    assert [guest_init.mark(line) for line in CONSOLE[:2]] == ["", "load"]
    assert not guest_init.mark(CONSOLE[6])


@pytest.mark.parametrize("word", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "x"])
def test_a_status_that_is_no_exit_status_is_ignored(word: str) -> None:
    """A recorded guest that prints 'status x', '²' or 5,000 digits has no exit status."""
    progress = guest_init.read_console([f"[    1.2] harness-record status {word}"])

    assert progress.status is None
