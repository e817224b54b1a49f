# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Whole runs of the harness as a user starts them: `modlab kernel-test` in a separate folder.

The tested project is a copy of tests/data/example_module, which tests of bad input then change.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "data" / "example_module"
RUN_DEADLINE_S = 300.0
# A place of its own for sockets, so that other runs on this machine are not taken for ours.
# It is directly in /tmp, because the path of a socket must not be longer than 107 bytes.
RUNTIME = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One finished `modlab kernel-test`: its exit code, what it printed, its report."""

    code: int
    output: str
    folder: Path
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        """The parsed report.json of the run."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found


@dataclass(frozen=True, kw_only=True)
class Project:
    """A copy of the example project in a folder of its own."""

    root: Path

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace one text in one file of the project; the text must exist."""
        path = self.root / file
        text = path.read_text()
        assert old in text, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new))

    def allow_slow_boot(self) -> None:
        """Give a guest that boots, without KVM on a busy machine, minutes instead of seconds."""
        file = self.root / "pyproject.toml"
        limits = "[tool.harness.timeouts]\nboot_s = 150.0\nload_s = 60.0\n"
        file.write_text(f"{file.read_text()}\n{limits}")

    def command(self, *options: str) -> list[str]:
        """Return the command line of a run of the project in the current folder."""
        return [sys.executable, "-m", "harness.tasks", "kernel-test", *options]

    def start(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        """Start a run of the project; the caller ends it."""
        return subprocess.Popen(
            self.command(*options),
            cwd=self.root,
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
        )

    def run(self, *options: str, deadline_s: float = RUN_DEADLINE_S, **variables: str) -> Run:
        """Run the tests of the project to the end."""
        begun = time.monotonic()
        run_id = f"system-{time.time_ns():x}"
        # Before the options, because a command after -- takes all words to the end of the line.
        process = self.start(f"--run-id={run_id}", *options, **variables)
        output, _ = process.communicate(timeout=deadline_s)
        folder = self.root / "build" / "runs" / run_id
        took = time.monotonic() - begun
        return Run(code=process.returncode, output=output, folder=folder, seconds=took)


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Return the environment of a task: this one, without its run, and with these variables."""
    clean = {name: text for name, text in os.environ.items() if name != "HARNESS_RUN"}
    return {**clean, "CI": "1", "XDG_RUNTIME_DIR": str(RUNTIME), **variables}


def call_task(
    *words: str, cwd: Path, deadline_s: float = RUN_DEADLINE_S, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a task in a folder, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "harness.tasks", *words],
        cwd=cwd,
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=deadline_s,
    )


def copy_example(root: Path) -> Project:
    """Copy the example project to a new folder, and return it."""
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("build"))
    found = Project(root=root)
    found.replace("pyproject.toml", '"../../../vm-images"', f'"{ROOT / "vm-images"}"')
    return found


def copy_checkout(root: Path) -> Path:
    """Copy the files of this checkout that git knows to a new folder, and return it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in os.fsdecode(listed.stdout).rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    return root


def processes_of_ours() -> set[str]:
    """Return every QEMU and libvirt daemon that a run of these tests has started."""
    found = set()
    for process in psutil.process_iter(["name", "cmdline", "pid"]):
        line = " ".join(process.info["cmdline"] or [])
        name = process.info["name"] or ""
        if name.startswith(("qemu-system", "libvirtd", "virtqemud")) and str(RUNTIME) in line:
            found.add(f"{process.info['pid']} {line[:200]}")
    return found
