# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The failures that the harness raises on purpose, and the exit code of each.

    HarnessError                 4  something outside the tests went wrong
    ├── UsageError               2  the request cannot be carried out as it is
    │   ├── ConfigError          2  a configuration file is wrong: file, key, what was expected
    │   └── TargetNotReady       2  a person must change the target first: approve, allow
    │       └── RestartNeeded    2  the target must be restarted first
    ├── BuildError               1  the module does not compile
    ├── TestsBroken              1  the tests cannot be run: a file does not import
    ├── RuleBroken               1  the emulated kext broke a rule of the kernel
    ├── ModuleError              1  the guest's kernel refused to load or unload the module
    ├── TestOverdue              1  a test did not end, and the guest's kernel works
    ├── KernelComplained         1  the kernel reported a fault and continues to run
    ├── GuestCrashed             3  the guest's kernel died
    │   ├── GuestHung            3  the guest's kernel runs but does not answer
    │   └── GuestGone            3  the guest switched itself off or restarted itself
    └── Lost                     4  no verdict is possible, and the module is not to blame
        ├── ImageError           4  a guest image cannot be made or read
        ├── KernelError          4  a kernel package cannot be fetched or unpacked
        ├── CacheBusy            4  another process holds what is needed
        ├── HypervisorError      4  libvirt or QEMU refused or went away
        │   └── HypervisorDied   4  QEMU ended by itself, or was killed
        ├── DebugError           4  a stub, a debugger or the wire between them fails
        ├── GuestLost            4  the guest cannot be reached, and nothing says that it crashed
        │   └── CommandOverdue   4  a command in the guest did not end within its deadline
        ├── NoTests              4  no test ran, so none passed
        └── ScannerBlind         4  the kernel log would not show a fault

`panic-explain` has one more: 5 (NOT_UNDERSTOOD), a log with words of a crash and no report.

Ctrl-C and SIGTERM end a command with 130 (INTERRUPTED); RunInterrupted is their exception in a run
of tests. A command whose output nobody reads any more ends with 141 (PIPE_CLOSED).

An error carries its evidence: `hint` says what to do next, and `evidence` holds the last lines of
what was observed (a console, a compiler, a daemon's log).
"""

from collections.abc import Sequence
from pathlib import Path

NOT_UNDERSTOOD = 5
INTERRUPTED = 130
# The status that a shell reports for a process that a closed pipe ended: 128 + SIGPIPE.
PIPE_CLOSED = 141
# What the exit codes without an exception mean, for the page of exit codes.
OTHER_EXIT_CODES = {
    0: "The command succeeded: the tests passed, or the log has no report of a crash.",
    NOT_UNDERSTOOD: "`panic-explain` found words of a crash and no report.",
    INTERRUPTED: "Ctrl-C or SIGTERM ended the command.",
    PIPE_CLOSED: "The program that read the output has ended, `head` for example.",
}


class HarnessError(Exception):
    """A failure with its `exit_code`, a `hint` on what to do, and the last lines as `evidence`."""

    exit_code: int = 4

    def __init__(self, message: str, *, hint: str = "", evidence: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = tuple(evidence)


class UsageError(HarnessError):
    """Raised when the arguments or the host's state make the request impossible."""

    exit_code = 2


class ConfigError(UsageError):
    """Raised for a wrong key, type or path in a configuration file.

    The argument `key` is the key as in pyproject.toml. For a modlab.toml, whose keys have no
    prefix `tool.harness.`, the error shows the key without this prefix.
    """

    def __init__(self, file: Path, key: str, expected: str, *, hint: str = "") -> None:
        if file.name == "modlab.toml":
            key = key.removeprefix("tool.harness.")
        super().__init__(f"{file}: {key}: {expected}", hint=hint)
        self.file = file
        self.key = key
        self.expected = expected


class TargetNotReady(UsageError):
    """Raised when a person must first change the target, for example approve a kext on it."""


class RestartNeeded(TargetNotReady):
    """Raised when the target must be restarted before the request can take effect."""


class BuildError(HarnessError):
    """Raised when the module under test does not build; evidence is the compiler's output."""

    exit_code = 1


class TestsBroken(HarnessError):
    """Raised when the tests themselves cannot run; evidence is what their tool printed."""

    # pytest would take a class whose name begins with Test for a class of tests.
    __test__ = False
    exit_code = 1


class RuleBroken(HarnessError):
    """Raised when a kext breaks a rule of the kernel while it runs in the emulator."""

    exit_code = 1


class ModuleError(HarnessError):
    """Raised when the kernel refuses to load or unload the module; evidence is its log."""

    exit_code = 1


class TestOverdue(HarnessError):
    """Raised when a test passes its deadline while the guest's kernel still works."""

    __test__ = False
    exit_code = 1


class KernelComplained(HarnessError):
    """Raised when the kernel reported a fault and continued; the guest is not used further."""

    exit_code = 1


class GuestCrashed(HarnessError):
    """Raised when the guest's kernel died; evidence is the end of the console."""

    exit_code = 3


class GuestHung(GuestCrashed):
    """Raised when the guest runs according to the hypervisor, but its kernel does not answer."""


class GuestGone(GuestCrashed):
    """Raised when the guest powered off or reset itself; its memory is lost."""


class Lost(HarnessError):
    """Raised when no verdict is possible and the module under test is not to blame."""


class ImageError(Lost):
    """Raised when a guest image or build root cannot be made, verified or copied."""


class KernelError(Lost):
    """Raised when a kernel, its packages or its symbols cannot be fetched, unpacked or built."""


class CacheBusy(Lost):
    """Raised when another process keeps a lock for longer than the caller can wait."""


class HypervisorError(Lost):
    """Raised when libvirt or QEMU refuses a request or goes away."""


class HypervisorDied(HypervisorError):
    """Raised when the guest's QEMU process has ended; the guest cannot say why."""


class DebugError(Lost):
    """Raised when a debug stub, a debugger or the connection between them fails."""


class GuestLost(Lost):
    """Raised when a guest does not answer in time; evidence is the end of its console."""


class CommandOverdue(GuestLost):
    """Raised when a command in the guest passes its deadline; evidence is its last output."""


class NoTests(Lost):
    """Raised when no test ran: an empty run has no verdict."""


class ScannerBlind(Lost):
    """Raised when the console lacks a line of the harness that every healthy run shows there.

    Such lines are the heartbeat, the line planted as a fault to test the reading of the kernel's
    log, and the result of the final log check.
    """


class RunInterrupted(KeyboardInterrupt):
    """Raised for Ctrl-C or SIGTERM in a run of tests, after its report was written.

    `summary` holds the lines of the report that the user is shown.
    """

    def __init__(self, summary: Sequence[str]) -> None:
        super().__init__()
        self.summary = tuple(summary)
