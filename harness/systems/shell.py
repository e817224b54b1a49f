# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The interface for running commands, on a guest over SSH or on this host.

Some commands need root: a user over SSH is root or has sudo without a password.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.errors import HarnessError, UsageError


class CommandFailed(HarnessError):
    """Raised when a command in a guest or on this host ends with a status other than 0."""

    exit_code = 1

    def __init__(self, command: str, completed: "Completed") -> None:
        tail = (completed.stdout + completed.stderr).splitlines()[-20:]
        super().__init__(f"status {completed.status} in the guest: {command}", evidence=tail)
        self.completed = completed


@dataclass(frozen=True, kw_only=True)
class Completed:
    """The status and output of a command; a status below 0 means that it has no exit status.

    On this host a status below 0 is the negated number of the signal that ended the command. Over
    SSH it is always -1: a signal ended the command, or the connection was lost.
    """

    stdout: str
    stderr: str
    status: int
    duration_s: float


class Shell(Protocol):
    """The interface for running commands, which `Guest` and `ThisHost` implement."""

    def run(
        self,
        command: str | Sequence[str],
        *,
        deadline_s: float,
        input: bytes = b"",  # noqa: A002
        check: bool = True,
    ) -> Completed:
        """Run a command, and return its status and output.

        A string is a line for the shell; the words of a sequence are quoted. `input` is the
        command's standard input.
        Raises: GuestLost at the deadline; CommandFailed for a status other than 0, unless `check`
            is off.
        """
        ...


def as_root(
    shell: Shell,
    words: Sequence[str],
    *,
    deadline_s: float,
    data: bytes = b"",
    check: bool = True,
) -> Completed:
    """Run a command as root, through sudo, and return its status and output.

    Raises: UsageError when sudo asks for a password; CommandFailed for a status other than 0,
        unless `check` is off; GuestLost.
    """
    done = shell.run(["sudo", "-n", *words], deadline_s=deadline_s, input=data, check=False)
    if "sudo: a password is required" in done.stderr:
        raise UsageError(
            "the user on the target needs sudo without a password",
            hint="on the target: visudo -f /etc/sudoers.d/harness, 'NAME ALL=(ALL) NOPASSWD: ALL'",
            evidence=done.stderr.splitlines(),
        )
    if check and done.status != 0:
        raise CommandFailed(" ".join(words), done)
    return done


def words_of(shell: Shell, command: Sequence[str], *, deadline_s: float) -> str:
    """Return what a command wrote to both streams, whatever its status.

    A command that does not exist has no output, or the message of the shell about it.
    """
    done = shell.run(command, deadline_s=deadline_s, check=False)
    return done.stdout + done.stderr
