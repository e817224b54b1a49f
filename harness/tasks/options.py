# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which options apply to each mode of a task: a table for each task, and one check.

A mode is a way to use a task, such as `kernel-test --list`. An option that would be ignored is an
error that gives the reason. A mode names every option of its task, so a new option has to be
placed in each mode; a test checks that.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from harness.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One mode of a task: which of the task's options apply in it, and why the others do not.

    `when` completes "--option does not apply ..."; `takes` names the options that apply, in one
    string; `refuses` maps a reason to the options that do not; `needs` maps an option to another
    one without which it has no effect; `excludes` maps two options that do not go together to the
    reason. Options are written as on the command line, without dashes.
    """

    when: str
    takes: str = ""
    refuses: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    excludes: Mapping[str, str] = field(default_factory=dict)

    @property
    def refused(self) -> dict[str, str]:
        """The options that do not apply in this mode, each with the reason."""
        return {name: reason for reason, names in self.refuses.items() for name in names.split()}

    @property
    def known(self) -> Iterator[str]:
        """Every option that the mode lists, whether it applies or not."""
        yield from self.takes.split()
        yield from self.refused


def check_options(mode: Mode, given: Collection[str]) -> None:
    """Raise UsageError for the first given option that does not apply to the mode, and say why.

    Shape: `given` are the names of parameters, as in `TaskContext.given`.
    Raises: UsageError, too, for an option without another one that it needs, and for two options
        that exclude each other.
    """
    names = [option_name(parameter) for parameter in given]
    for name in names:
        if (reason := mode.refused.get(name)) is not None:
            raise UsageError(f"--{name} does not apply {mode.when}", hint=reason)
        needed = mode.needs.get(name)
        if needed is not None and needed not in names:
            raise UsageError(f"--{name} has no effect without --{needed}")
    for pair, reason in mode.excludes.items():
        first, second = pair.split()
        if first in names and second in names:
            raise UsageError(f"--{first} and --{second} do not go together", hint=reason)


def option_name(parameter: str) -> str:
    """Return a parameter's name as it is written on the command line, without dashes."""
    return parameter.strip("_").replace("_", "-")


_NO_GUEST = "the harness starts no guest there: you boot the target"
_OWN_KERNEL = "a target that you boot runs a kernel of its own"
_NOT_WATCHED = "the harness has no console and no memory of a target that you boot"
_REPLAYED = "a recorded crash is looked into afterwards: replay-debug goes back in it"
_BUILT = "a guest gets the module that is built from the configured source"
_NOT_RESTORED = "a target that you boot is not restored between two runs"
_OWN_FOLDER = "each of the runs has a guest and a folder of its own"
_AGAIN = "watch repeat until-fail"
_MACHINE = "cpus memory append"
_LISTED = "the tests are listed instead"
_ALONE = {
    "watch repeat": "--watch runs at each change, as often as you save",
    "watch keep": _OWN_FOLDER,
    "watch run-id": _OWN_FOLDER,
    "repeat keep": _OWN_FOLDER,
    "repeat run-id": _OWN_FOLDER,
}

TEST_IN_GUEST = Mode(
    when="in a guest that the harness boots",
    takes=f"k test target kernel build {_MACHINE} accel uri fresh keep share writable long "
    f"{_AGAIN} last-failed crash-tests maxcrash no-vmcore control debug-on-crash debugger "
    "run-id verbose",
    refuses={
        _BUILT: "file",
        "the test is recorded instead": "record",
        _LISTED: "list",
        "the command runs instead": "command",
    },
    needs={"debugger": "debug-on-crash", "until-fail": "repeat", "writable": "share"},
    excludes={
        **_ALONE,
        "last-failed test": "--last-failed names the tests itself",
    },
)
TEST_LISTED = Mode(
    when="with --list",
    takes="list k test target long crash-tests",
    refuses={
        "nothing is started": f"kernel build {_MACHINE} accel uri fresh keep share writable "
        "maxcrash no-vmcore control debug-on-crash debugger record run-id verbose file command "
        f"last-failed {_AGAIN}"
    },
)
TEST_COMMAND = Mode(
    when="to a command",
    takes=f"command target kernel build {_MACHINE} accel uri fresh keep share writable no-vmcore "
    f"debug-on-crash debugger run-id verbose {_AGAIN}",
    refuses={
        _BUILT: "file",
        "the command runs instead of tests": "k test long crash-tests maxcrash control record "
        "last-failed",
        _LISTED: "list",
    },
    needs={"debugger": "debug-on-crash", "until-fail": "repeat", "writable": "share"},
    excludes=_ALONE,
)
TEST_ON_TARGET = Mode(
    when="on a target that you boot",
    takes="k test target long crash-tests run-id verbose file last-failed",
    refuses={
        _LISTED: "list",
        _NO_GUEST: f"{_MACHINE} accel uri fresh keep share writable record command",
        _NOT_RESTORED: _AGAIN,
        _OWN_KERNEL: "kernel build",
        _NOT_WATCHED: "maxcrash no-vmcore control debug-on-crash debugger",
    },
)
TEST_RECORDED = Mode(
    when="with --record",
    takes="record target kernel build accel run-id verbose",
    refuses={
        "--record names its one test": "k test list command crash-tests long last-failed",
        "the recording of a run is one file, which replay-debug opens": _AGAIN,
        "a recorded guest has no network, no disk, and it ends": "uri fresh keep share writable",
        "a recorded guest has one processor and the memory of its target": _MACHINE,
        _REPLAYED: "maxcrash no-vmcore control debug-on-crash debugger",
        _BUILT: "file",
    },
)
LOAD_IN_GUEST = Mode(
    when="in a guest that the harness boots",
    takes=f"target kernel build {_MACHINE} accel uri fresh share writable",
    refuses={_BUILT: "file", "a guest needs no restart for a module": "reboot"},
    needs={"writable": "share"},
)
LOAD_ON_TARGET = Mode(
    when="on a target that you boot",
    takes="target file reboot",
    refuses={
        _NO_GUEST: f"{_MACHINE} accel uri fresh share writable run",
        _OWN_KERNEL: "kernel build",
    },
)
LOAD_AGAIN = Mode(
    when="with --run",
    takes="run",
    refuses={
        "the guest has its machine already": f"target kernel build {_MACHINE} accel uri fresh "
        "share writable",
        _BUILT: "file",
        "a guest needs no restart for a module": "reboot",
    },
)
_NO_RUN = "only a build for a kernel of [tool.harness.builds] leaves the folder of a run"
BUILD_FOR_GUEST = Mode(
    when="to a kernel that guests boot",
    takes="target kernel build variant",
    refuses={_NO_RUN: "run-id"},
)
BUILD_ALONE = Mode(
    when="to a kernel of [tool.harness.builds]",
    takes="kernel run-id",
    refuses={
        "no guest boots this kernel": "target",
        "the headers of this kernel come from a package": "build",
        "the module itself is built for this kernel": "variant",
    },
)
BUILD_ALL = Mode(
    when="with --all",
    takes="all",
    refuses={
        "--all builds the module itself, for every kernel": "target kernel build variant",
        _NO_RUN: "run-id",
    },
)
BUILD_KEXT = Mode(
    when="to the kext",
    takes="target",
    refuses={
        "a kext is built for every macOS that it claims": "kernel build",
        "the configuration of the kext has no variants": "variant",
        _NO_RUN: "run-id",
    },
)
UNLOAD_ON_TARGET = Mode(
    when="on a target that you boot",
    takes="target",
    refuses={"--target says which system it is": "run"},
)
_NIGHT_CHOICE = "short long cells since rerun-failed"
NIGHT_RUN = Mode(
    when="to a new night",
    takes=f"{_NIGHT_CHOICE} budget deadline cores",
    refuses={
        "the night is run, not planned": "plan",
        "a new night is not resumed": "resume",
        "the night is run": "import-runs",
    },
)
NIGHT_PLANNED = Mode(
    when="with --plan",
    takes=f"plan {_NIGHT_CHOICE} budget cores",
    refuses={"nothing is run": "resume deadline import-runs"},
)
NIGHT_RESUMED = Mode(
    when="with --resume",
    takes="resume budget deadline cores",
    refuses={
        "the night has its plan already": f"plan {_NIGHT_CHOICE}",
        "the night is run": "import-runs",
    },
)
NIGHT_IMPORTED = Mode(
    when="with --import-runs",
    takes="import-runs",
    refuses={"nothing is run": f"plan resume {_NIGHT_CHOICE} budget deadline cores"},
)
