# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The developer's loop: save and see the result, run again, work in a guest that stays up."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from tests.system.whole_run import RUN_DEADLINE_S, RUNTIME, Project, environment

# A cycle restores a saved guest; one that boots, without KVM, takes more than a minute.
CYCLE_S = 60.0
# A guest with a shared folder is booted.
COMMAND_S = 900.0


class Watcher:
    """A running `kernel-test --watch` and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def await_line(self, words: str, *, deadline_s: float = RUN_DEADLINE_S) -> float:
        """Read up to the next line with these words; return how long it took."""
        begun = time.monotonic()
        while True:
            left = deadline_s - (time.monotonic() - begun)
            try:
                self.seen.append(self._lines.get(timeout=max(left, 0.01)))
            except Empty:
                raise AssertionError(f"no {words!r} in:\n{''.join(self.seen)}") from None
            if words in self.seen[-1]:
                return time.monotonic() - begun

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(RUN_DEADLINE_S)


def modlab(project: Project, *words: str) -> str:
    """Return the output of a command of modlab in the project's folder; it must succeed."""
    done = subprocess.run(
        [*project.command()[:-1], *words],
        cwd=project.root,
        env={**os.environ, "CI": "1", "XDG_RUNTIME_DIR": str(RUNTIME)},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_with_watch_each_saved_change_starts_a_run(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """kernel-test --watch runs again for a saved file, also one saved during a run."""
    watcher = Watcher(project.start("--watch"))
    watcher.await_line("a change starts run 2")

    project.replace("src/greeter.c", "greeter: goodbye", "greeter: farewell")
    watcher.await_line("greeter.c changed: run 2")
    watcher.await_line("== tests: inside")
    project.replace("tests/greeter.sh", "'^greeter '", "'^no_such_module '")
    watcher.await_line("verdict: passed")
    watcher.await_line("greeter.sh changed: run 3")
    cycle_s = watcher.await_line("verdict: failed")
    watcher.await_line("a change starts run 4")

    assert watcher.interrupt() == 1
    watcher.await_line("ended after 3 runs")
    assert cycle_s < CYCLE_S
    consoles = [
        file.read_text(errors="replace") for file in project.root.glob("build/runs/*/console.log")
    ]
    assert sum("greeter: farewell" in text for text in consoles) == 2
    assert nothing_left() == set()


def test_ctrl_c_during_a_watched_run_ends_the_guest_and_the_loop(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """Ctrl-C in kernel-test --watch ends with exit code 130 and leaves no guest."""
    watcher = Watcher(project.start("--watch"))
    watcher.await_line("== tests: inside")

    assert watcher.interrupt() == 130
    assert nothing_left() == set()


def test_option_last_failed_runs_only_the_test_that_failed_in_the_preceding_repeated_run(
    project: Project,
) -> None:
    """kernel-test --repeat --until-fail stops at a failure; --last-failed then runs that test."""
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(
        f'{pyproject.read_text()}\n[[tool.harness.tests]]\nname = "host"\npytest = "checks"\n'
    )
    (project.root / "checks").mkdir()
    (project.root / "checks" / "test_host.py").write_text(
        "def test_good(guest): pass\n"
        "def test_bad(guest): assert guest.run('false', deadline_s=20, check=False).status == 0\n"
    )

    looped = project.start("--repeat=3", "--until-fail")
    output, _ = looped.communicate(timeout=RUN_DEADLINE_S)
    again = project.run("--last-failed")

    assert looped.returncode == 1, output
    assert "1 of 3 runs: 0 passed, 1 did not" in output
    assert [one["name"] for one in again.report["results"]] == ["test_host::test_bad"]
    assert "last failed: test_host::test_bad" in again.output


def test_a_changed_module_is_loaded_into_a_guest_that_stays_up(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """A second `modlab load` replaces the module in the same guest, without a boot."""

    def session() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(session_file(project).read_text())
        return found

    modlab(project, "load")
    before = session()
    boot = modlab(project, "shell", "--command=cat /proc/sys/kernel/random/boot_id")
    project.replace("src/greeter.c", "greeter: hello", "greeter: here again")

    output = modlab(project, "load", f"--run={before['run_id'][-4:]}")

    after = session()
    log = modlab(project, "shell", "--command=dmesg")
    same_boot = modlab(project, "shell", "--command=cat /proc/sys/kernel/random/boot_id") == boot
    modlab(project, "guest-stop", "--all")
    assert same_boot
    assert "greeter: goodbye" in log
    assert "greeter: here again" in log
    assert after["build"]["build_id"] != before["build"]["build_id"]
    assert f"guest {before['run_id']} stays up" in output
    assert nothing_left() == set()


def session_file(project: Project) -> Path:
    """Return the file by which another process joins the only guest of a project."""
    (file,) = project.root.glob("build/runs/*/session.json")
    return file


def test_pytest_with_harness_run_tests_the_module_in_a_guest_that_stays_up(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """With HARNESS_RUN=session.json, pytest itself uses the guest that `modlab load` left up.

    The guest is ended by `guest-stop --all`.
    """
    (project.root / "checks").mkdir()
    (project.root / "checks" / "test_up.py").write_text(
        "def test_it_is_loaded(driver): assert driver.is_loaded()\n"
    )
    modlab(project, "load")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "checks/test_up.py", "-k", "is_loaded"],
        cwd=project.root,
        env=environment({}) | {"HARNESS_RUN": str(session_file(project))},
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )

    modules = modlab(project, "shell", "--command=cat /proc/modules")
    modlab(project, "guest-stop", "--all")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "1 passed" in tested.stdout
    assert "greeter " in modules
    assert nothing_left() == set()


@pytest.mark.long
def test_option_writable_lets_host_and_guest_each_read_what_the_other_wrote_to_a_shared_folder(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """`modlab load --share --writable` mounts it by 9p; each side sees a change at once."""
    project.allow_slow_boot()
    shared = project.root / "shared"
    shared.mkdir()
    (shared / "from host").write_text("before\n")

    modlab(project, "load", "--kernel=6.1", "--share=shared", "--writable")
    read = modlab(project, "shell", "--command=cat '/mnt/share/from host'")
    modlab(project, "shell", "--command=mkdir /mnt/share/new && echo result > /mnt/share/new/file")
    (shared / "from host").write_text("after\n")
    again = modlab(project, "shell", "--command=cat '/mnt/share/from host'")
    modlab(project, "guest-stop", "--all")

    assert (read, again) == ("before\n", "after\n")
    assert (shared / "new" / "file").read_text() == "result\n"
    assert nothing_left() == set()


def test_a_kernel_without_9p_is_refused_for_a_writable_share(project: Project) -> None:
    """kernel-test --share --writable exits with 2, and names kernels that have 9p."""
    run = project.run("--share=src", "--writable")

    assert run.code == 2, run.output
    assert "has no CONFIG_9P_FS and no CONFIG_NET_9P_VIRTIO" in run.output
    assert "give --kernel 5.10 or 6.1 or 6.12" in run.output
