# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the program osqstat without a driver: its command line."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "kernel" / "client"
OUT = ROOT / "build" / "client"


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "1e30", "1x", ""])
def test_osqstat_refuses_an_interval_that_is_no_time_to_wait(
    interval: str, tmp_path: Path
) -> None:
    """An interval that is not positive, or that no clock can hold, ends osqstat with status 2."""
    subprocess.run(["make", "-s", "-C", CLIENT, f"O={OUT}"], check=True)
    page = tmp_path / "stats"
    page.write_text("generation 1\n")

    done = subprocess.run(
        [OUT / "osqstat", "--file", page, interval, "1"],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("osqstat: wrong usage; see osqstat --help\n")
