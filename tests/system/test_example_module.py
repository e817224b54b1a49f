# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A foreign module is built, loaded, tested and unloaded in the same way."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.system.whole_run import (
    ROOT,
    RUN_DEADLINE_S,
    Project,
    call_task,
    environment,
)
from tests.unit.project.documented import lines_not_printed, shown_output

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_run_of_another_project_with_ktap_tests_passes(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """kernel-test of the example module: exit code, report and console of a real guest agree."""
    run = project.run()

    assert run.code == 0, run.output
    assert run.report["verdict"] == "passed"
    names = [result["name"] for result in run.report["results"]]
    assert names == ["module_is_listed", "device_is_private"]
    assert "greeter: goodbye" in (run.folder / "console.log").read_text(errors="replace")
    assert nothing_left() == set()


def test_on_a_terminal_the_command_of_the_readme_prints_what_the_readme_shows(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """A run on a real terminal prints each line that README.md shows, but for the paths."""
    shown = "\n".join(shown_output(ROOT / "README.md", "kernel-test --config"))
    words = ["-m", "harness.tasks", "kernel-test", "--run-id=terminal"]

    terminal = pexpect.spawn(
        sys.executable,
        words,
        timeout=RUN_DEADLINE_S,
        cwd=project.root,
        env={**environment({}), "CI": ""},
        dimensions=(50, 160),
        encoding="utf-8",
    )
    with terminal:
        terminal.expect(pexpect.EOF)
    printed, code = terminal.before or "", terminal.exitstatus

    report = json.loads((project.root / "build" / "runs" / "terminal" / "report.json").read_text())
    expected = shown.replace("tcg", report["accel"])
    expected = re.sub("(?m)^files: .*$", "files: ...", expected)
    assert code == 0, printed
    assert lines_not_printed(expected.splitlines(), _ANSI.sub("\n", printed)) == []
    assert nothing_left() == set()


def test_with_keep_the_guest_stays_up_with_the_module_loaded_until_guest_stop(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """After kernel-test --keep, guest-ssh NAME sees the module, and guest-stop NAME ends it."""
    run = project.run("--keep")
    name = run.folder.name
    try:
        inside = call_task(
            "guest-ssh", name, "--command=cat /proc/modules", cwd=project.root
        ).stdout
    finally:
        stopped = call_task("guest-stop", name, cwd=project.root)

    assert run.code == 0, run.output
    assert f"guest {name} stays up" in run.output
    assert re.search(r"^greeter ", inside, re.MULTILINE), inside
    assert stopped.returncode == 0, stopped.stdout
    assert nothing_left() == set()


def test_one_not_ok_line_fails_the_run(project: Project) -> None:
    """After one `not ok` of the example, kernel-test exits with 1 and reports its `#` lines."""
    project.replace("tests/greeter.sh", "'^greeter '", "'^no_such_module '")

    run = project.run()

    assert run.code == 1, run.output
    first = run.report["results"][0]
    assert first["verdict"] == "failed"
    assert any("does not name greeter" in line for line in first["diagnostics"])


def test_a_kernel_warning_fails_a_run_whose_tests_all_passed(project: Project) -> None:
    """The example calls WARN in a real guest, so the run exits with 1 and names the warning."""
    project.replace("pyproject.toml", 'source = "src"', 'source = "src"\nparameters.mode = "warn"')

    run = project.run("inside")

    assert run.code == 1, run.output
    assert {result["verdict"] for result in run.report["results"]} == {"passed"}
    assert "WARNING" in run.report["reason"]


@pytest.mark.parametrize(
    ("words", "file"),
    [((), "greeter.ko"), (("--kernel=6.1",), "greeter.ko"), (("--variant=test",), "osq_test.ko")],
)
def test_kernel_build_prints_the_path_of_the_module_that_it_has_built(
    project: Project, words: tuple[str, ...], file: str
) -> None:
    """kernel-build prints the module's path, for a named kernel and for a variant, too."""
    of_driver = "--variant=test" in words

    done = call_task("kernel-build", *words, cwd=ROOT if of_driver else project.root)

    assert done.returncode == 0, done.stdout
    built = Path(done.stdout.splitlines()[-1])
    assert built.name == file
    assert built.is_file()


def test_image_build_prints_the_disk_of_the_image(project: Project) -> None:
    """image-build of debian-12 exits with 0, and its last line is the path of a file."""
    done = call_task("image-build", "debian-12", cwd=project.root)

    assert done.returncode == 0, done.stdout
    assert Path(done.stdout.splitlines()[-1]).is_file()
