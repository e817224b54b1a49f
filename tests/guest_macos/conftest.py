# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Build osqpeer on a Mac with the Mac's own compiler, from the sources of this tree."""

from pathlib import Path

import pytest

from harness.model.settings import System
from harness.systems.ssh import Guest
from tests.shared.over_ssh import Place

ROOT = Path(__file__).resolve().parents[2]
# The real path is needed: /var is a link, and the kernel reports paths without links.
FOLDER = "/private/var/tmp/harness-osqpeer"
PROGRAM = f"{FOLDER}/osqpeer"
SOURCES = ("kernel/uapi/osq.h", "tests/guest/tools/osqpeer.c")
_STEP_S = 60.0


@pytest.fixture(scope="session")
def place(guest: Guest) -> Place:
    """Build osqpeer on the Mac, and return its place."""
    guest.run(["mkdir", "-p", FOLDER], deadline_s=_STEP_S)
    for name in SOURCES:
        file = ROOT / name
        guest.run(["tee", f"{FOLDER}/{file.name}"], deadline_s=_STEP_S, input=file.read_bytes())
    build = ["cc", "-std=c11", "-O2", f"-I{FOLDER}", "-o", PROGRAM, f"{FOLDER}/osqpeer.c"]
    done = guest.run(build, deadline_s=_STEP_S, check=False)
    if done.status != 0:
        pytest.fail(
            f"the Mac does not build osqpeer (xcode-select --install has a compiler):\n"
            f"{done.stdout}{done.stderr}",
            pytrace=False,
        )
    return Place(system=System.MACOS, program=PROGRAM, command=f"sudo -n {PROGRAM}", folder=FOLDER)
