# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.tree_checks and c_checks: a good tree passes, each planted fault is named."""

import subprocess
from pathlib import Path

import pytest

from harness.project import c_checks, tree_checks


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give an empty git checkout."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


@pytest.mark.parametrize(("tool", "check"), [("sparse", "sparse"), ("clang-tidy", "clang_tidy")])
def test_the_sparse_and_clang_tidy_checks_name_the_package_to_install_if_the_tool_is_missing(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tool: str, check: str
) -> None:
    """A check whose tool is not installed fails, and names the tool's package."""
    monkeypatch.setattr("shutil.which", lambda _name: None)

    (objection,) = getattr(c_checks, check)(tree)

    assert f"apt-get install {tool}" in objection


def test_a_folder_with_more_than_twenty_modules_is_reported(tree: Path) -> None:
    """A folder of the harness with more than twenty modules is named."""
    for folder, count in (("full", 20), ("crowded", 21)):
        (tree / "harness" / folder).mkdir(parents=True)
        for number in range(count):
            (tree / "harness" / folder / f"m{number}.py").write_text("")

    assert list(tree_checks.crowded_folders(tree)) == [
        "harness/crowded: 21 modules, 20 are allowed"
    ]


@pytest.mark.parametrize(
    "line", ["name = 'osq'", "MODULE = 'osq_test'", "see kernel/core", "pytest tests/guest"]
)
def test_a_harness_line_naming_the_driver_is_reported_except_in_harness_project(
    tree: Path, line: str
) -> None:
    """A line of the harness that names the driver is reported, except in harness/project."""
    for folder in ("runs", "project"):
        (tree / "harness" / folder).mkdir(parents=True)
        (tree / "harness" / folder / "m.py").write_text(f"# {line}\n")
    (tree / "harness" / "locks.py").write_text("WORDS = 'osq_lock osq_(lock|unlock)'\n")

    (objection,) = tree_checks.driver_names(tree)

    assert objection.startswith("harness/runs/m.py:1: ")


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("import os\nx = os.environ", "reads the environment"),
        ("import os\nx = os.getenv('A')", "reads the environment"),
        ("print('hello')", "prints"),
        ("try:\n    f()\nexcept Exception:\n    pass", "catches Exception"),
        ("try:\n    f()\nexcept:\n    pass", "catches everything"),
    ],
)
def test_python_that_prints_reads_os_environ_or_swallows_every_exception_is_reported(
    tree: Path, text: str, objection: str
) -> None:
    """Code that prints, reads the environment or catches every exception is reported."""
    (tree / "harness" / "host").mkdir(parents=True)
    (tree / "harness" / "tasks").mkdir()
    (tree / "harness" / "m.py").write_text(text)
    (tree / "harness" / "host" / "config.py").write_text("import os\nx = os.environ\n")
    (tree / "harness" / "tasks" / "t.py").write_text("print('hello')\n")
    (tree / "harness" / "good.py").write_text("try:\n    f()\nexcept BaseException:\n    raise\n")

    assert list(tree_checks.habits(tree)) == [f"harness/m.py: {objection}"]


def test_a_path_of_the_checkout_or_of_a_home_folder_is_reported(tree: Path) -> None:
    """A line of a .py or .md file with the path of the checkout, or one below /home, is named."""
    (tree / "here.py").write_text(f'x = "{tree}/build"\n')
    (tree / "home.md").write_text("see /home/someone/notes\n")
    (tree / "good.md").write_text("see ~/notes and /usr/bin\n")

    lines = sorted(tree_checks.host_paths(tree))

    assert [line.partition(": ")[0] for line in lines] == ["here.py:1", "home.md:1"]


def test_a_line_with_a_host_from_which_this_machines_apt_fetches_packages_is_reported(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If apt fetches packages from packages.example, a line of a .toml file with it is named."""
    monkeypatch.setattr(tree_checks, "_registries", lambda: {"packages.example"})
    (tree / "bad.toml").write_text('url = "https://packages.example/x"\n')

    (found,) = tree_checks.host_paths(tree)

    assert found.startswith("bad.toml:1")


def test_a_file_or_function_above_its_limit_of_lines_is_reported(tree: Path) -> None:
    """Files and functions that are too long are named in Python and C; docstrings do not count."""
    body = "    x = 1\n" * 41
    (tree / "long.py").write_text(f'def f():\n    """One.\n\n    Two.\n    """\n{body}')
    (tree / "short.py").write_text('def f():\n    """Doc."""\n' + "    x = 1\n" * 39)
    (tree / "long.c").write_text("static int f(int a)\n{\n" + "\ta++;\n" * 40 + "}\n")
    (tree / "huge.h").write_text("\n" * 401)

    lines = sorted(tree_checks.size(tree))

    assert lines == [
        "huge.h: 401 lines, 400 are allowed",
        "long.c: f has 42 lines, 40 are allowed",
        "long.py: f has 42 lines, 40 are allowed",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("subprocess.run(['true'], check=False)", "runs a tool"),
        ("subprocess.check_output(['true'])", "runs a tool"),
        ("subprocess.Popen(['true'])", "starts a process"),
        ("fcntl.flock(file, fcntl.LOCK_EX)", "locks a file"),
        ("beside.replace(file)", "replaces a file"),
        ("os.replace(beside, file)", "replaces a file"),
        ("tomllib.loads(text)", "reads TOML"),
        ("root / 'build' / 'x'", "spells the folder of results"),
        ("folder / 'runs'", "spells the folder of results"),
        ("f'{host} is 127.0.0.1:{port}'", "spells the loopback address"),
    ],
)
def test_code_such_as_subprocess_run_is_reported_outside_of_the_modules_reserved_for_it(
    tree: Path, line: str, words: str
) -> None:
    """The check `one-way` names code that runs tools, locks or writes outside of its module."""
    package = tree / "harness" / "host"
    package.mkdir(parents=True)
    (package / "bad.py").write_text(f"x = {line}\n")
    for path in tree_checks._ONE_WAY[words].modules:
        good = tree / path / "one.py" if path.endswith("/") else tree / path
        good.parent.mkdir(parents=True, exist_ok=True)
        good.write_text(f"x = {line}\n")

    (found,) = tree_checks.second_ways(tree)

    assert found.startswith(f"harness/host/bad.py: {words}; ")


def test_a_call_of_replace_on_strings_or_dataclasses_is_not_reported(tree: Path) -> None:
    """`one-way` passes replace of strings, dataclasses and times, and kernel_headers / 'build'."""
    (tree / "harness").mkdir()
    (tree / "harness" / "good.py").write_text(
        "text.replace('a', 'b')\ndataclasses.replace(x, a=1)\nnow.replace(hour=1)\n"
        "x = kernel_headers / 'build'\n"
    )

    assert list(tree_checks.second_ways(tree)) == []


@pytest.mark.parametrize(
    "line",
    ["#include <linux/types.h>", "# include <sys/types.h>", "#ifdef __linux__", "#if __APPLE__"],
)
def test_a_system_header_or_a_condition_on_the_system_in_the_drivers_core_is_reported(
    tmp_path: Path, line: str
) -> None:
    """A system header or a condition on the system in the driver's core is reported."""
    core = tmp_path / "kernel" / "core"
    core.mkdir(parents=True)
    (core / "good.c").write_text('#include "osq_os.h"\n#include <stdint.h>\n#if FEATURE\n#endif\n')
    assert list(c_checks.core_is_pure(tmp_path)) == []

    (core / "bad.c").write_text(f"int x;\n{line}\n")

    (found,) = c_checks.core_is_pure(tmp_path)
    assert found.startswith("kernel/core/bad.c:2: ")


@pytest.mark.parametrize("line", ["#ifdef OSQ_HAVE_THIS", "#if LINUX_VERSION_CODE > 1"])
def test_an_if_on_the_kernel_version_or_a_feature_outside_compat_h_is_reported(
    tree: Path, line: str
) -> None:
    """A condition on the kernel's version is reported, except in compat.h."""
    folder = tree / "kernel" / "os" / "linux"
    folder.mkdir(parents=True)
    (folder / "compat.h").write_text(f"{line}\n")
    assert list(c_checks.compat_is_one_file(tree)) == []

    (folder / "bad.c").write_text(f"int x;\n{line}\n")

    (found,) = c_checks.compat_is_one_file(tree)
    assert found.startswith("kernel/os/linux/bad.c:2: ")


def test_kernel_c_code_that_differs_from_the_clang_format_style_is_reported(tree: Path) -> None:
    """C code whose braces, tabs or spaces differ from the kernel's style is reported."""
    (tree / "kernel").mkdir()
    (tree / ".clang-format").write_text(
        (Path(__file__).resolve().parents[3] / ".clang-format").read_text()
    )
    (tree / "kernel" / "good.c").write_text("int f(int a)\n{\n\treturn a;\n}\n")
    assert list(c_checks.style(tree)) == []

    (tree / "kernel" / "bad.c").write_text("int f(int a) {\n  return a ;\n}\n")

    assert any("bad.c:1:" in line for line in c_checks.style(tree))


@pytest.mark.parametrize("name", ["clang-format", "clang-tidy"])
def test_a_tool_for_c_that_is_killed_without_a_message_is_an_objection(
    tree: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """The check names the program and how it ended, and does not pass."""
    (tree / "kernel" / "core").mkdir(parents=True)
    (tree / "kernel" / "core" / "good.c").write_text("int x;\n")
    program = tmp_path_factory.mktemp("bin") / name
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program.with_name("python")))
    monkeypatch.setattr("shutil.which", lambda _name: str(program))
    check = c_checks.style if name == "clang-format" else c_checks.clang_tidy

    assert list(check(tree)) == [f"{name} ended with status -9"]


def test_a_syntax_error_in_any_script_for_sh_is_reported(tree: Path) -> None:
    """The check `shell` reads each sh script of the tree, and no file of another kind."""
    (tree / "good").write_text("#!/bin/sh\necho fine\n")
    (tree / "later.sh").write_text("#!/bin/sh\nif true; then\n")
    (tree / "page.md").write_text("if true; then\n")

    (objection,) = tree_checks.shell_syntax(tree)

    assert objection.startswith("later.sh: ")
