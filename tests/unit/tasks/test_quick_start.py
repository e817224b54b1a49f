# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that --list is quick: a task imports its libraries only when it runs.

No time is measured, since it differs between machines; the imported modules are compared.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"libvirt", "paramiko", "drgn", "pydantic", "pytest", "rich", "qemu", "psutil", "unicorn"}
_DEADLINE_S = 60


def imported_by(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter imports when it runs some code."""
    report = "import json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import tasks", "import harness.tasks.collection"])
def test_importing_the_tasks_imports_no_large_library(code: str) -> None:
    """Importing the tasks imports no library for guests, debuggers or tests."""
    assert imported_by(code) & HEAVY == set()


def test_the_import_of_a_large_library_is_noticed() -> None:
    """The check of imported modules sees that harness.host.config imports pydantic."""
    assert "pydantic" in imported_by("import harness.host.config")
