# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A request to run tests: the options of the command line and the configuration, as values."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.model import build_folder
from harness.model.environment import Environment
from harness.model.machines import MachineChange
from harness.model.settings import Accel, Judge, Settings, System, TestSpec

# The longest that a command of the command line may take, in seconds with KVM.
_COMMAND_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which tests run: pytest's -k expression, long forms of tests or not, groups of suites.

    `tests` are names of tests, of files and of suites, () for every test. With `control`, the
    tests run without the module, which shows failures that have other causes. With `if_there`,
    names that select no test are left out; when no name remains, all tests run.
    """

    expression: str = ""
    tests: tuple[str, ...] = ()
    long: bool = False
    groups: tuple[str, ...] = ("",)
    control: bool = False
    if_there: bool = False


@dataclass(frozen=True, kw_only=True)
class KernelTestRequest:
    """The request for one run of the tests, or of a part of them.

    The run ends after `most_crashes` crashes in a row with one signature; 0 means no limit. A None
    in `target_name` and `kernel_name` stands for the configured default. `vmcore` keeps a memory
    dump of each crash. `debug_on_crash` is the debugger that gets the terminal when the kernel
    dies, "" for none. `modules` is a folder with built modules, which are used instead of a new
    build when a run is repeated. `command` is a shell command that runs in the guest instead of
    the configured suites. `machine` is what the command line changes of the target's machine.
    """

    settings: Settings
    environment: Environment
    target_name: str | None
    kernel_name: str | None = None
    selection: Selection = field(default_factory=Selection)
    accel: Accel | None = None
    uri: str | None = None
    fresh: bool = False
    keep: bool = False
    share: Path | None = None
    writable: bool = False
    run_id: str | None = None
    variant: str | None = None
    most_crashes: int = 3
    vmcore: bool = True
    debug_on_crash: str = ""
    modules: Path | None = None
    command: str = ""
    machine: MachineChange = field(default_factory=MachineChange)

    @property
    def runs(self) -> Path:
        """The folder that holds one folder for each run."""
        return build_folder.runs(self.settings.root)

    @property
    def suites(self) -> tuple[TestSpec, ...]:
        """The suites that the request runs on Linux: its own command, or those of its groups."""
        if self.command:
            return (
                TestSpec(
                    name="command",
                    command=self.command,
                    judge=Judge.EXIT_CODE,
                    deadline_s=_COMMAND_S,
                ),
            )
        return self.suites_for(System.LINUX)

    @property
    def build(self) -> Path:
        """The project's folder `build`, below which suites with a Makefile are built."""
        return build_folder.within(self.settings.root)

    def suites_for(self, system: System) -> tuple[TestSpec, ...]:
        """Return the configured suites of the requested groups for one operating system."""
        wanted = self.selection.groups
        return tuple(
            spec for spec in self.settings.tests if spec.group in wanted and spec.system is system
        )


def for_long_run(settings: Settings) -> Settings:
    """Return the settings with the deadlines of tests and suites multiplied by `long_factor`."""
    limits = settings.timeouts
    return replace(
        settings,
        timeouts=replace(limits, test_s=limits.test_s * limits.long_factor),
        tests=tuple(
            replace(spec, deadline_s=spec.deadline_s * limits.long_factor)
            for spec in settings.tests
        ),
    )
