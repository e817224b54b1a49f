# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every command of osqtail in the pages and in its manual page runs in the guest."""

import shlex

import pytest

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.unit.project.documented import PROJECT, documented, lines_not_printed, shown_output

STEP_S = 30.0
# What stands for any path in a page.
PATH = "/etc"
# osqtail reads until it is ended, so each command gets an end.
END = ("--idle-exit-ms", "200", "--count", "100")
# These two read no device: tests/core/test_manual.py runs them.
COMMANDS = [
    [PATH if word == "PATH" else word for word in command.words]
    for command in documented({"osqtail"})
    if command.program == "osqtail" and not {"--help", "--version"} & set(command.words)
]


def test_the_pages_and_the_manual_page_have_commands_of_osqtail() -> None:
    """More than ten are found, one with --watch, so that the test below runs something."""
    assert len(COMMANDS) > 10
    assert ["--watch", PATH] in COMMANDS


@pytest.mark.usefixtures("driver")
def test_the_command_of_the_readme_prints_in_a_guest_what_the_readme_shows(guest: Guest) -> None:
    """The README's reader prints both records and ends; the line `ready` is equal to the shown."""
    (command,) = (
        one.words[-1]
        for one in documented(set())
        if one.place.startswith("README") and "--command" in one.words
    )
    shown = shown_output(PROJECT / "README.md", "guest-ssh --command")

    printed = guest.run(command, deadline_s=STEP_S).stdout

    assert shown[0] in printed.splitlines()
    assert len(shown) == 5
    assert lines_not_printed(shown, printed) == [], printed


@pytest.mark.usefixtures("driver")
def test_each_documented_command_of_osqtail_subscribes_and_ends_without_an_error(
    guest: Guest,
) -> None:
    """In a guest, each osqtail command of docs and man page prints "ready" and exits with 0."""
    for words in COMMANDS:
        done = guest.run(shlex.join(["osqtail", *words, *END]), deadline_s=STEP_S, check=False)

        assert done.status == 0, (words, done.stderr)
        assert '"type":"ready"' in done.stdout.splitlines()[0], words


def test_osqtail_refuses_a_misspelt_option(guest: Guest, driver: Driver) -> None:
    """It exits with 2, so a documented command with a wrong option would fail the test above."""
    assert driver.is_loaded()

    done = guest.run("osqtail --procesess", deadline_s=STEP_S, check=False)

    assert done.status == 2
