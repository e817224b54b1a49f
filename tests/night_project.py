# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A project whose night has short cells: real processes with real reports, but no guests."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.system.whole_run import EXAMPLE, ROOT

CELL = ROOT / "tests" / "system" / "night_cell.py"


def make(root: Path, flavours: Mapping[str, str]) -> Path:
    """Make a project with one cell for each flavour; `takes_s=N` in a flavour is its duration."""
    shutil.copytree(EXAMPLE, root)
    words = ", ".join(f'{name} = "{text}"' for name, text in flavours.items())
    with (root / "pyproject.toml").open("a") as file:
        file.write(
            # The last table of the file is that of the target.
            "vcpus = 1\n"
            "[tool.harness.nightly]\n"
            f'wrapper = ["{sys.executable}", "{CELL}"]\n'
            f"flavours = {{ {words} }}\n"
            "[tool.harness.nightly.full]\n"
            'targets = ["debian-12"]\n'
            f"flavours = {list(flavours)}\n"
        )
    return root
