# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.wheel_check: a file missing from the wheel and a broken command are named."""

import zipfile
from pathlib import Path

from harness.project import wheel_check


def test_a_data_file_that_is_missing_from_the_wheel_is_named(tmp_path: Path) -> None:
    """The check `wheel` names debian-packages.txt, a file of harness/ that the wheel lacks."""
    package = tmp_path / "harness" / "host"
    package.mkdir(parents=True)
    for name in ("cache.py", "debian-packages.txt"):
        (package / name).write_text("")
    built = tmp_path / "modlab.whl"
    with zipfile.ZipFile(built, "w") as archive:
        archive.writestr("harness/host/cache.py", "")

    found = list(wheel_check.missing_files(tmp_path, built))

    assert found == ["the wheel does not have harness/host/debian-packages.txt"]


def test_a_command_of_the_wheel_with_a_wrong_exit_status_is_named(tmp_path: Path) -> None:
    """The check `wheel` names a failing command of the installed wheel and runs the others."""
    program = tmp_path / "modlab"
    program.write_text("#!/bin/sh\necho ModuleNotFoundError\nexit 1\n")
    program.chmod(0o755)

    found = list(wheel_check.wrong_calls(tmp_path, tmp_path))

    assert "modlab --version ended with status 1, not 0:" in found
    assert "modlab check ended with status 1, not 2:" in found
    assert "  ModuleNotFoundError" in found
