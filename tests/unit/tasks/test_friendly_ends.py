# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Real commands on a hostile disk: one sentence and an exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "tests" / "data" / "example_module"
OOPS = next((ROOT / "tests" / "data" / "panic").rglob("*.log"))
_DEADLINE_S = 120


def run(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Return how a command ended that was called in the folder of the example."""
    return subprocess.run(
        [sys.executable, "-m", "harness.tasks", *words],
        cwd=EXAMPLE,
        env={**os.environ, "CI": "1", "PYTHONPATH": str(ROOT), **variables},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )


def a_file(folder: Path) -> Path:
    """Return a file where a cache is expected."""
    file = folder / "cache"
    file.write_text("")
    return file


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/no-cache", "/sys/no-cache"])
def test_a_cache_that_cannot_be_used_is_a_sentence(place: str, tmp_path: Path) -> None:
    """Whether it is a file, lies below one, or its file system takes no folder."""
    cache = {"a file": a_file(tmp_path), "below a file": a_file(tmp_path) / "deep"}

    done = run("kernel-build", HARNESS_CACHE=str(cache.get(place, place)))

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be used" in done.stderr
    assert "hint: HARNESS_CACHE=FOLDER" in done.stderr


def test_a_reader_that_leaves_ends_a_command_in_silence() -> None:
    """`panic-explain FILE | head`: the status is that of a closed pipe."""
    line = f"{sys.executable} -m harness.tasks panic-explain {OOPS}"

    done = subprocess.run(
        ["bash", "-c", f'{line} | true; echo "${{PIPESTATUS[0]}}"'],
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )

    assert done.stderr == ""
    assert done.stdout == "141\n"


def test_an_output_that_is_full_is_a_sentence() -> None:
    """/dev/full takes nothing."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness.tasks", "panic-explain", str(OOPS)],
            cwd=ROOT,
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_DEADLINE_S,
        )

    assert done.returncode == 4
    assert "error: no space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_id_is_taken_once(tmp_path: Path) -> None:
    """The second run is refused before anything is built."""
    folder = EXAMPLE / "build" / "runs" / tmp_path.name
    folder.mkdir(parents=True)
    try:
        done = run("kernel-test", f"--run-id={folder.name}")
    finally:
        folder.rmdir()

    assert done.returncode == 2
    assert f"the run {folder.name} exists already" in done.stderr


@pytest.mark.parametrize("name", ["../elsewhere", "", "."])
def test_a_run_id_is_a_name(name: str) -> None:
    """A path would put the results anywhere."""
    done = run("kernel-test", f"--run-id={name}")

    assert done.returncode == 2
    assert "a name for a folder is expected" in done.stderr
