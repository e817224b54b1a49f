# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""host_program: the libraries of a program, and none of one that needs none."""

import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.record import libraries


def compiled(folder: Path, *options: str) -> Path:
    """Return a program that the compiler has made of nothing."""
    source = folder / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    program = folder / "main"
    subprocess.run(["gcc", "-o", program, source, *options], check=True)
    return program


def test_a_program_comes_with_its_libraries_and_its_loader(tmp_path: Path) -> None:
    """Each is an absolute path that exists; the loader is among them."""
    found = libraries.libraries(compiled(tmp_path))

    assert {path.name.partition(".")[0] for path in found} >= {"libc", "ld-linux-x86-64"}
    assert all(path.is_absolute() and path.exists() for path in found)


def test_a_static_program_and_a_script_need_nothing(tmp_path: Path) -> None:
    """Both run as they are."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)

    assert libraries.libraries(compiled(tmp_path, "-static")) == ()
    assert libraries.libraries(script) == ()


def test_a_library_that_is_gone_is_named(tmp_path: Path) -> None:
    """The program could not start in the guest either."""
    (tmp_path / "lost.c").write_text("int lost;\n")
    library = tmp_path / "liblost.so"
    subprocess.run(["gcc", "-shared", "-o", library, tmp_path / "lost.c"], check=True)
    program = compiled(tmp_path, "-Wl,--no-as-needed", f"-L{tmp_path}", "-llost")
    library.unlink()

    with pytest.raises(UsageError, match=r"main needs liblost\.so"):
        libraries.libraries(program)
