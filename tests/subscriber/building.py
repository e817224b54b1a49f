# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compile the code under test: `_libosq`, and the driver's core as a device of user space."""

import importlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / "build" / "subscriber"
SERVER = OUT / "osqhostd"
PRELOAD = OUT / "libosqhost.so"
_DEADLINE_S = 300.0


def build() -> None:
    """Compile `_libosq` and the driver's core, as far as they are out of date."""
    make = ["make", "-s", "-C", str(HERE / "host"), f"O={OUT}", f"PYTHON={sys.executable}"]
    subprocess.run(make, check=True, timeout=_DEADLINE_S)
    # The folder may not have existed when it was put into sys.path, so Python's cache is cleared.
    importlib.invalidate_caches()
