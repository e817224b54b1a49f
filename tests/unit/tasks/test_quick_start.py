# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""--list answers at once, because a task imports what it uses only when it runs.

Time is not measured here: what is imported decides it, on every machine.
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
    """Return the top-level modules that some code has imported in a fresh interpreter."""
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
def test_the_tasks_are_declared_without_what_they_use(code: str) -> None:
    """No library of a guest, a debugger or a test is loaded."""
    assert imported_by(code) & HEAVY == set()


def test_what_is_imported_is_seen() -> None:
    """The check notices a module that imports such a library at its top."""
    assert "pydantic" in imported_by("import harness.host.config")
