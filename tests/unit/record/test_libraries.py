# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of libraries: a program comes with its libraries, a static program needs none."""

import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.record import libraries


def compiled(folder: Path, *options: str) -> Path:
    """Compile an empty program with these options and return it."""
    source = folder / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    program = folder / "main"
    subprocess.run(["gcc", "-o", program, source, *options], check=True)
    return program


def test_libraries_include_the_loader(tmp_path: Path) -> None:
    """A program's shared libraries and loader, to copy into a recorded guest, are real paths."""
    found = libraries.libraries(compiled(tmp_path))

    assert {path.name.partition(".")[0] for path in found} >= {"libc", "ld-linux-x86-64"}
    assert all(path.is_absolute() and path.exists() for path in found)


def test_static_program_and_script_have_no_libraries(tmp_path: Path) -> None:
    """For a static program and a script, no library is copied into a recorded guest."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)

    assert libraries.libraries(compiled(tmp_path, "-static")) == ()
    assert libraries.libraries(script) == ()


def test_a_program_that_ldd_cannot_read_is_refused(tmp_path: Path) -> None:
    """If ldd fails, the program is not taken for one that needs no libraries."""
    with pytest.raises(UsageError, match=r"ldd cannot read .*/gone"):
        libraries.libraries(tmp_path / "gone")


def test_a_program_whose_library_is_missing_is_refused_and_the_library_is_named(
    tmp_path: Path,
) -> None:
    """A program whose library is missing is refused, since it could not start in the guest."""
    (tmp_path / "lost.c").write_text("int lost;\n")
    library = tmp_path / "liblost.so"
    subprocess.run(["gcc", "-shared", "-o", library, tmp_path / "lost.c"], check=True)
    program = compiled(tmp_path, "-Wl,--no-as-needed", f"-L{tmp_path}", "-llost")
    library.unlink()

    with pytest.raises(UsageError, match=r"main needs liblost\.so"):
        libraries.libraries(program)
