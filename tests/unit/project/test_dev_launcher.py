# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of ./dev: it installs what is missing, or lists what it cannot install.

It runs with a PATH of stubs that record how they were called.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIST = Path("harness/host/debian-packages.txt")
TOOLS = (
    *("awk", "sh", "id", "cat", "cksum", "dirname", "mkdir", "tail", "ls", "env", "rm", "test"),
    *("tr", "pwd"),
)


class Machine:
    """A folder that acts as a machine: stand-ins for programs, a copy of ./dev, a log."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        self.log = root / "log"
        self.log.write_text("")
        self.project = root / "a project"
        self.project.mkdir()
        shutil.copy(ROOT / "dev", self.project)
        packages = self.project / LIST
        packages.parent.mkdir(parents=True)
        shutil.copy(ROOT / LIST, packages)
        (self.project / "requirements.lock").write_text("lock\n")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.have_venv()

    def stub(self, name: str, text: str = "") -> None:
        """Put a stand-in for a program on the PATH that logs its call and then runs `text`."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.log}"\n{text}\n')
        path.chmod(0o755)

    def have_venv(self) -> None:
        """Make the virtual environment complete, as the lock file describes it."""
        venv = self.project / ".venv" / "bin"
        venv.mkdir(parents=True)
        said = "task $*, called as $MODLAB_PROGRAM in $PWD"
        (venv / "python").write_text(f'#!/bin/sh\nshift\necho "{said}" >> "{self.log}"\n')
        (venv / "python").chmod(0o755)
        sum_ = subprocess.run(["cksum"], input=b"lock\n", capture_output=True, check=True).stdout
        (self.project / ".venv" / ".complete").write_bytes(sum_)

    def run(
        self, *arguments: str, program: str = "", folder: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ./dev without a terminal; path, working folder and variables may be given."""
        return subprocess.run(
            [program or str(self.project / "dev"), *arguments],
            cwd=folder,
            env={"PATH": str(self.bin), "TMPDIR": str(self.log.parent), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        """Return the logged calls in their order, without questions to dpkg and apt."""
        lines = [line.partition(", called as ")[0] for line in self.log.read_text().splitlines()]
        questions = ("dpkg-query", "apt-cache", "apt-get --print-uris")
        return [line for line in lines if not line.startswith(questions)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a Debian machine on which every needed package is installed."""
    if not Path("/var/lib/dpkg/status").exists():
        pytest.skip("the launcher's package state needs dpkg's own file")
    debian = Machine(tmp_path)
    debian.stub("dpkg-query", "echo installed")
    debian.stub("apt-get")
    debian.stub("apt-cache")
    debian.stub("sudo", '"$@"')
    return debian


def test_with_all_packages_installed_dev_prints_nothing_and_runs_the_task(
    machine: Machine,
) -> None:
    """On a complete machine ./dev prints nothing, and runs the task with unchanged arguments."""
    done = machine.run("kernel-test", "-k", "two words")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls == ["task kernel-test -k two words"]


def test_a_task_run_by_dev_keeps_the_callers_folder_and_the_path_by_which_dev_was_called(
    machine: Machine, tmp_path: Path
) -> None:
    """The task runs in the caller's folder, with the caller's path of ./dev in MODLAB_PROGRAM."""
    elsewhere = tmp_path / "my module"
    elsewhere.mkdir()

    machine.run("kernel-test", program="../a project/dev", folder=elsewhere)

    said = machine.log.read_text().splitlines()[-1]
    assert said == f"task kernel-test, called as ../a project/dev in {elsewhere}"


def test_without_a_terminal_packages_are_installed_unasked(machine: Machine) -> None:
    """./dev, called without a terminal, names the missing Debian packages and installs them."""
    machine.stub("dpkg-query", 'case "$*" in *mmdebstrap) ;; *) echo installed ;; esac')

    done = machine.run("doctor")

    assert "missing: mmdebstrap" in done.stderr
    assert "there is no terminal to ask on: installing what is missing" in done.stderr
    assert any(call.startswith("apt-get install") for call in machine.calls)
    assert machine.calls[-1] == "task doctor"


def test_a_shells_request_for_completions_installs_no_missing_package(machine: Machine) -> None:
    """./dev installs nothing when a shell calls it for completion, at every keystroke."""
    machine.stub("dpkg-query")

    machine.run("--complete", "--", "./dev kernel-")

    assert machine.calls == ["task --complete -- ./dev kernel-"]


@pytest.mark.parametrize("words", [("check", "--help"), ("--version",), ("--list",), ()])
def test_help_the_version_and_the_list_of_tasks_install_no_package(
    machine: Machine, words: tuple[str, ...]
) -> None:
    """With a Python environment, a request for a text installs nothing; a task does."""
    machine.stub("dpkg-query", "exit 1")

    done = machine.run(*words)

    assert done.returncode == 0, done.stderr
    assert machine.calls == [f"task {' '.join(words) or '--list'}"]

    assert machine.run("check").returncode == 0
    assert any(call.startswith("apt-get install") for call in machine.calls)
    assert machine.run("kernel-test", "--", "true", "--help").returncode == 0
    assert sum(call.startswith("apt-get install") for call in machine.calls) >= 2


def test_help_on_a_new_machine_installs_only_what_the_python_environment_needs(
    machine: Machine,
) -> None:
    """Without a Python environment, help installs the common packages, and none of the task's."""
    machine.stub("dpkg-query", "exit 1")
    (machine.project / ".venv" / ".complete").unlink()

    machine.run("check", "--help")

    (install,) = (call for call in machine.calls if call.startswith("apt-get install"))
    assert "python3-venv" in install
    assert "chromium" not in install
    assert "spin" not in install.split()


def test_without_a_task_the_tasks_are_listed(machine: Machine) -> None:
    """./dev without a task lists the tasks."""
    machine.run()

    assert machine.calls == ["task --list"]


def test_a_missing_package_is_installed(machine: Machine) -> None:
    """./dev installs just the missing package, with sudo unless it is root, before the task."""
    machine.stub("dpkg-query", 'case "$*" in *mmdebstrap) ;; *) echo installed ;; esac')

    done = machine.run("-y", "doctor")

    install = next(line for line in machine.calls if line.startswith("apt-get install"))
    assert install == "apt-get install -y --no-install-recommends mmdebstrap"
    assert any(line.startswith("sudo") for line in machine.calls) == (os.getuid() != 0)
    assert machine.calls[-1] == "task doctor"
    assert "missing: mmdebstrap" in done.stderr


def test_package_lists_that_are_missing_are_fetched(machine: Machine) -> None:
    """./dev calls apt-get update if a source has no lists, though no package is missing."""
    uris = "'http://mirror.example/InRelease' no_such_list_InRelease 0"
    machine.stub("apt-get", f'case "$1" in --print-uris) echo "{uris}" ;; esac')

    machine.run("-y", "doctor")

    assert any(line.startswith("apt-get update") for line in machine.calls)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("check",), True),
        (("-C", "somewhere", "check"), True),
        (("kernel-build", "--target", "macos"), True),
        (("kernel-test",), False),
        (("kernel-test", "-k", "check"), False),
        (("kernel-build",), False),
    ],
)
def test_dev_installs_spin_for_task_check_and_for_kernel_build_for_macos_but_not_for_others(
    machine: Machine,
    words: tuple[str, ...],
    wanted: bool,  # noqa: FBT001
) -> None:
    """If only spin is missing, ./dev installs it before `check` or a build for macOS, else not."""
    machine.stub("dpkg-query", 'case "$*" in *spin) ;; *) echo installed ;; esac')

    machine.run("-y", *words)

    assert any("spin" in line for line in machine.calls if "install" in line) == wanted


def test_if_apt_fails_dev_exits_with_2_shows_the_end_of_its_log_and_runs_no_task(
    machine: Machine,
) -> None:
    """When apt fails, ./dev shows the last lines of its log and ends in exit code 2."""
    machine.stub("dpkg-query")
    machine.stub("apt-get", "echo no such mirror; exit 100")

    done = machine.run("doctor")

    assert done.returncode == 2
    assert "no such mirror" in done.stderr
    assert not any(line.startswith("task") for line in machine.calls)


def test_dev_on_a_system_without_dpkg_exits_with_2_and_lists_packages_with_their_purpose(
    machine: Machine,
) -> None:
    """Without dpkg, ./dev lists Debian's packages with their purpose and exits with 2."""
    (machine.bin / "dpkg-query").unlink()

    done = machine.run("kernel-test")

    assert done.returncode == 2
    assert "this is no Debian" in done.stderr
    assert re.search("^mmdebstrap +makes guest images$", done.stderr, re.MULTILINE)


def test_if_making_the_venv_for_a_changed_lock_file_fails_dev_exits_with_2_and_leaves_no_stamp(
    machine: Machine,
) -> None:
    """If a changed lock file cannot be installed, ./dev exits with 2; .venv/.complete is gone."""
    (machine.project / "requirements.lock").write_text("other\n")
    machine.stub("python3", "exit 1")

    done = machine.run("doctor")

    assert done.returncode == 2
    assert not (machine.project / ".venv" / ".complete").exists()
