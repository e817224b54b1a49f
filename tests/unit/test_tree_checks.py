# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""tree_checks and c_checks: a good tree passes, and each fault in a bad one is named."""

import subprocess
from pathlib import Path

import pytest

from harness import c_checks, tree_checks

SPDX = "# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give an empty git checkout."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_a_file_without_a_licence_is_named(tree: Path) -> None:
    """Source files need the line; prose does not; what git ignores does not count."""
    (tree / "good.py").write_text(SPDX)
    (tree / "bad.c").write_text("int x;\n")
    (tree / "note.md").write_text("# A note\n")
    (tree / ".gitignore").write_text("ignored.py\n")
    (tree / "ignored.py").write_text("\n")

    (found,) = tree_checks.spdx(tree)

    assert found.startswith("bad.c: no SPDX")


def test_a_path_of_one_machine_is_named(tree: Path) -> None:
    """The checkout's own place, and anybody's home."""
    (tree / "here.py").write_text(f'x = "{tree}/build"\n')
    (tree / "home.md").write_text("see /home/someone/notes\n")
    (tree / "good.md").write_text("see ~/notes and /usr/bin\n")

    found = sorted(tree_checks.host_paths(tree))

    assert [line.partition(": ")[0] for line in found] == ["here.py:1", "home.md:1"]


def test_a_registrys_host_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine fetches packages from is not written into the tree."""
    monkeypatch.setattr(tree_checks, "_registries", lambda: {"packages.example"})
    (tree / "bad.toml").write_text('url = "https://packages.example/x"\n')

    (found,) = tree_checks.host_paths(tree)

    assert found.startswith("bad.toml:1")


def test_what_is_too_long_is_named(tree: Path) -> None:
    """Files by lines, functions by lines without their docstring, in both languages."""
    body = "    x = 1\n" * 41
    (tree / "long.py").write_text(f'def f():\n    """One.\n\n    Two.\n    """\n{body}')
    (tree / "short.py").write_text('def f():\n    """Doc."""\n' + "    x = 1\n" * 39)
    (tree / "long.c").write_text("static int f(int a)\n{\n" + "\ta++;\n" * 40 + "}\n")
    (tree / "huge.h").write_text("\n" * 401)

    found = sorted(tree_checks.size(tree))

    assert found == [
        "huge.h: 401 lines, 400 are allowed",
        "long.c: f has 42 lines, 40 are allowed",
        "long.py: f has 42 lines, 40 are allowed",
    ]


@pytest.mark.parametrize(
    "line",
    ["#include <linux/types.h>", "# include <sys/types.h>", "#ifdef __linux__", "#if __APPLE__"],
)
def test_a_core_that_knows_a_system_is_named(tmp_path: Path, line: str) -> None:
    """No system header, no question which system it is."""
    core = tmp_path / "kernel" / "core"
    core.mkdir(parents=True)
    (core / "good.c").write_text('#include "osq_os.h"\n#include <stdint.h>\n#if FEATURE\n#endif\n')
    assert list(c_checks.core_is_pure(tmp_path)) == []

    (core / "bad.c").write_text(f"int x;\n{line}\n")

    (found,) = c_checks.core_is_pure(tmp_path)
    assert found.startswith("kernel/core/bad.c:2: ")


@pytest.mark.parametrize("line", ["#ifdef OSQ_HAVE_THIS", "#if LINUX_VERSION_CODE > 1"])
def test_a_question_for_the_kernel_belongs_into_compat(tree: Path, line: str) -> None:
    """In compat.h it is right, in any other file it is named."""
    folder = tree / "kernel" / "os" / "linux"
    folder.mkdir(parents=True)
    (folder / "compat.h").write_text(f"{line}\n")
    assert list(c_checks.compat_is_one_file(tree)) == []

    (folder / "bad.c").write_text(f"int x;\n{line}\n")

    (found,) = c_checks.compat_is_one_file(tree)
    assert found.startswith("kernel/os/linux/bad.c:2: ")


def test_c_in_another_style_is_named(tree: Path) -> None:
    """Braces, tabs and spaces as the kernel has them."""
    (tree / "kernel").mkdir()
    (tree / ".clang-format").write_text(
        (Path(__file__).resolve().parents[2] / ".clang-format").read_text()
    )
    (tree / "kernel" / "good.c").write_text("int f(int a)\n{\n\treturn a;\n}\n")
    assert list(c_checks.style(tree)) == []

    (tree / "kernel" / "bad.c").write_text("int f(int a) {\n  return a ;\n}\n")

    assert any("bad.c:1:" in line for line in c_checks.style(tree))
