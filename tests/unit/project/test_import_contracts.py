# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the import contracts and of the licence check: each planted fault is reported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_DEADLINE_S = 120.0


def run_tool(name: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool of the project's environment in a folder, and return its status and output."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(name)), *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of the harness with its import contracts."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "harness", tmp_path / "harness", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_with_one_forbidden_import_for_each_import_contract_every_contract_is_reported_broken(
    tree: Path,
) -> None:
    """An import that breaks a contract of pyproject.toml is planted for each, and found."""
    faults = {
        "errors.py": "from harness.runs import verdict",
        "panic/intake/lines.py": "def f():\n    from harness.panic import scan",
        "report/ktap.py": "import libvirt",
        "host/cache.py": "from paramiko.client import SSHClient",
        "crash/collect.py": "import drgn",
        "artefacts/build.py": "from elftools.elf.elffile import ELFFile",
        "runs/suites.py": "import rich",
        "memory/vmcore.py": "import qemu.qmp",
        "kext/build.py": "import unicorn",
        "runs/kernel_test.py": "import invoke",
        "report/history.py": "import sqlalchemy",
        "report/run_folders.py": "import jinja2",
        "report/kcidb.py": "import buildbot",
        "model/crash.py": "import pytest",
        "debugger/inside/btf.py": "from harness.host import cache",
        "debugger/attach.py": "import gdb",
    }
    for file, line in faults.items():
        path = tree / "harness" / file
        path.write_text(f"{path.read_text()}\n{line}\n")

    done = run_tool("lint-imports", "--no-logo", "--no-cache", folder=tree)

    verdicts = [line for line in done.stdout.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    assert done.returncode == 1
    assert len(verdicts) == len(faults)
    assert [line for line in verdicts if line.endswith(" KEPT")] == []


def test_a_package_outside_of_the_layers_is_reported(tree: Path) -> None:
    """A new package of harness/ that the import contracts do not place is reported."""
    (tree / "harness" / "stranger").mkdir()
    (tree / "harness" / "stranger" / "__init__.py").write_text("")

    done = run_tool("lint-imports", "--no-logo", "--no-cache", folder=tree)

    assert done.returncode == 1
    assert "harness.stranger" in done.stdout


def test_a_file_without_a_licence_is_reported(tmp_path: Path) -> None:
    """`reuse lint` names a file without a licence, and a missing licence text as well."""
    shutil.copytree(ROOT / "LICENSES", tmp_path / "LICENSES")
    shutil.copy(ROOT / "REUSE.toml", tmp_path)
    tag = "SPDX-License-" + "Identifier"
    for spdx in ("Apache-2.0 OR GPL-2.0-only", "GPL-2.0-only OR BSD-2-Clause"):
        (tmp_path / f"good-{spdx[:3]}.py").write_text(f"# {tag}: {spdx}\n")
    assert run_tool("reuse", "lint", "--lines", folder=tmp_path).returncode == 0
    (tmp_path / "bad.c").write_text("int x;\n")
    (tmp_path / "worse.c").write_text(f"// {tag}: MIT\n")

    done = run_tool("reuse", "lint", "--lines", folder=tmp_path)

    assert done.returncode == 1
    assert "bad.c" in done.stdout
    assert "MIT" in done.stdout
