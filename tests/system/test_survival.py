# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""However a run ends, the next one starts on a clean host and reports what it removed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.system.whole_run import Project

# Moments from the first import to the end of a restored run, under TCG.
LONGEST_S = 7.0
BOOTSTRAP_S = 120.0


def test_a_run_that_is_terminated_cleans_up_and_reports(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """After SIGTERM kernel-test exits with 130 and reports the verdict lost; no guest is left."""
    process = project.start("--run-id=ended")
    time.sleep(LONGEST_S / 2)

    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=60)

    report = json.loads((project.root / "build" / "runs" / "ended" / "report.json").read_text())
    assert process.returncode == 130, output
    assert "verdict: lost (the run was interrupted)" in output
    assert report["reason"] == "the run was interrupted"
    assert nothing_left() == set()


def test_a_killed_run_is_cleaned_by_the_next(
    project: Project,
    nothing_left: Callable[[], set[str]],
    long_run: bool,  # noqa: FBT001
) -> None:
    """After SIGKILL at any moment, the next kernel-test passes and removes what was left."""
    moments = random.Random(2026)  # noqa: S311
    for _ in range(10 if long_run else 3):
        moment = moments.uniform(0.5, LONGEST_S)
        process = project.start()
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)

        run = project.run()

        assert run.code == 0, f"killed after {moment:.1f} s; then:\n{run.output}"
        assert nothing_left() == set()


def test_after_sigkill_to_image_build_its_mmdebstrap_processes_end_and_their_folder_is_removed(
    project: Project, tmp_path: Path
) -> None:
    """After SIGKILL, no child of image-build runs, and its TMPDIR has no mmdebstrap folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    places = {"HARNESS_CACHE": str(tmp_path / "cache"), "TMPDIR": str(scratch)}
    with subprocess.Popen(
        [sys.executable, "-m", "harness.tasks", "image-build", "debian-12"],
        cwd=project.root,
        env={**os.environ, "CI": "1", **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as command:
        end = time.monotonic() + BOOTSTRAP_S
        while not list(scratch.glob("mmdebstrap.*/var")):
            assert command.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        below = psutil.Process(command.pid).children(recursive=True)
        command.kill()

    _, alive = psutil.wait_procs(below, timeout=BOOTSTRAP_S)

    assert len(below) > 1
    assert alive == []
    assert list(scratch.glob("mmdebstrap.*")) == []
