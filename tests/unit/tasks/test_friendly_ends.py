# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that commands on a faulty disk end in one sentence and an exit code, never a traceback."""

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
    """Run a command in the folder of the example project, and return how it ended."""
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
    """Return a file at the place where the harness expects the folder of its cache."""
    file = folder / "cache"
    file.write_text("")
    return file


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/no-cache", "/sys/no-cache"])
def test_a_cache_folder_that_cannot_be_made_gives_exit_code_2_and_no_traceback(
    place: str, tmp_path: Path
) -> None:
    """A cache folder that cannot be made ends in one sentence, whatever prevents it."""
    cache = {"a file": a_file(tmp_path), "below a file": a_file(tmp_path) / "deep"}

    done = run("kernel-build", HARNESS_CACHE=str(cache.get(place, place)))

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot be used" in done.stderr
    assert "hint: HARNESS_CACHE=FOLDER" in done.stderr


def test_panic_explain_ends_silently_when_its_pipe_is_closed() -> None:
    """If its reader ends without reading, panic-explain prints no error; its status is 141."""
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


def test_output_to_a_full_device_gives_exit_code_4_and_no_traceback() -> None:
    """Output to /dev/full, which accepts no byte, ends in one sentence about a full disk."""
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


def test_a_used_run_id_is_refused(tmp_path: Path) -> None:
    """kernel-test with the --run-id of an earlier run says that it exists; the exit code is 2."""
    folder = EXAMPLE / "build" / "runs" / tmp_path.name
    folder.mkdir(parents=True)
    try:
        done = run("kernel-test", f"--run-id={folder.name}")
    finally:
        folder.rmdir()

    assert done.returncode == 2
    assert f"the run {folder.name} exists already" in done.stderr


@pytest.mark.parametrize("name", ["../elsewhere", "", "."])
def test_a_run_id_that_is_empty_or_a_dot_or_has_a_slash_is_refused(name: str) -> None:
    """A --run-id that is empty, is a dot or has a slash is refused, since it names no folder."""
    done = run("kernel-test", f"--run-id={name}")

    assert done.returncode == 2
    assert "a name for a folder is expected" in done.stderr
