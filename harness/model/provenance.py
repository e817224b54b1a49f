# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The commit, tests and kernel of a run, for repeating the run or opening its memory dumps.

Facts that only people read about a run are in its report's `facts`.
"""

from dataclasses import dataclass, field

from harness.model.machines import MachineChange


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The commit, the tests and the kernel of one run; "" stands for an unknown value.

    `tree_changed` means that files which git tracks differed from `commit`. `expression` is
    pytest's -k expression, `tests` are the names that were chosen; when both are empty, every test
    of the `groups` ran. If `command` is given, it ran instead of these tests. `machine` is what
    the command line changed of the target's machine. `kernel` is the kernel's name in the
    configuration, `kernel_version` the version of its package.
    """

    commit: str = ""
    tree_changed: bool = False
    expression: str = ""
    tests: tuple[str, ...] = ()
    command: str = ""
    machine: MachineChange = field(default_factory=MachineChange)
    groups: tuple[str, ...] = ("",)
    kernel: str = ""
    kernel_release: str = ""
    kernel_version: str = ""

    def described(self) -> dict[str, str]:
        """Return the known values as text for the user, by headings such as "commit"."""
        rows = {
            "kernel": self.kernel_release,
            "kernel name": self.kernel,
            "kernel package version": self.kernel_version,
            "tests": self._tests(),
            "machine": self.machine.described(),
            "groups": ", ".join(group for group in self.groups if group),
            "commit": self.commit,
            "tree": "changed since that commit" if self.tree_changed else "",
        }
        return {name: text for name, text in rows.items() if text}

    def _tests(self) -> str:
        parts = (self.command, self.expression, *self.tests)
        return " and ".join(part for part in parts if part) or "all"
