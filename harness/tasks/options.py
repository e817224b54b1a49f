# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Which options apply to each mode of a task: a table for each task, and one check.

An option that would be ignored is an error that gives the reason. A mode names every option of
its task, so a new option has to be placed in each mode; a test holds that.
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
    Raises: UsageError that names the first option that does not apply, or two that exclude each
        other, and the reason.
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
