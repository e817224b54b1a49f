# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of hang_dump.interrogate: a hanging guest is asked in three ways, the mildest first."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from harness.crash.hang_dump import Answer, ask_for_all_tasks, interrogate
from harness.errors import GuestLost, HypervisorError


@dataclass(frozen=True)
class Line:
    """A console line that contains only its text."""

    text: str


@dataclass
class FakeGuest:
    """A fake guest whose console answers only to some ways of asking; it records each request."""

    answers: frozenset[str]
    asked: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=lambda: [Line("before")])
    last_byte_at: float = 0.0

    def run_script(self, command: str, *, deadline_s: float) -> None:
        """Receive sysrq letters, as over SSH; print an answer if the guest answers over SSH."""
        self.asked.append("ssh")
        if "ssh" not in self.answers:
            raise GuestLost(f"no end in {deadline_s} of: {command}")
        self.lines.append(Line("[    1.000000] sysrq: Show Blocked State"))

    def hmp(self, command: str) -> None:
        """Receive a monitor command, which sends a break on the serial line."""
        self.asked.append(command)

    def write(self, data: bytes) -> None:
        """Receive a letter on the serial line after a break."""
        self.asked.append(data.decode())
        if "serial" in self.answers:
            self.lines.append(Line("[    1.000000] sysrq: Show Blocked State"))

    def inject_nmi(self) -> None:
        """Receive a non-maskable interrupt."""
        self.asked.append("nmi")
        if "nmi" not in self.answers:
            raise HypervisorError("no NMI")
        self.lines.append(Line("[    1.000000] Kernel panic - not syncing: NMI: Not continuing"))

    def lines_since(self, index: int) -> tuple[Line, ...]:
        """Return the console's lines from an index on."""
        return tuple(self.lines[index:])

    def wait_for(self, fits: Any, *, deadline_s: float, since: int) -> None:
        """Raise GuestLost unless a line from `since` on matches; no line is added later."""
        if not any(fits(line.text) for line in self.lines[since:]):
            raise GuestLost(f"nothing in {deadline_s}")

    def deadline(self, seconds: float) -> float:
        """Return the time limit unchanged."""
        return seconds

    @property
    def guest(self) -> "FakeGuest":
        """The fake guest itself, which also stands for its SSH connection."""
        return self

    domain = console = guest


def asked(*answers: str, spins: bool = False) -> tuple[str, list[str], FakeGuest]:
    """Return how a guest answered, the requests that it received, and the guest."""
    fake = FakeGuest(frozenset(answers))
    found = interrogate(cast("Any", fake), spins=spins)
    assert all(line != "before" for line in found.lines)
    return found.way, fake.asked, fake


def test_a_guest_that_answers_over_ssh_gets_no_serial_request_and_no_nmi() -> None:
    """A hung fake guest that prints its tasks when asked over SSH is asked in no other way."""
    way, steps, _ = asked("ssh", "serial", "nmi")

    assert way == "ssh"
    assert steps == ["ssh"]


def test_without_an_ssh_answer_each_request_goes_over_the_serial_line() -> None:
    """A fake guest silent on SSH gets each SysRq letter, w and l, after its own serial break."""
    way, steps, _ = asked("serial", "nmi")

    assert way == "serial"
    assert steps == [
        "ssh",
        "chardev-send-break charserial0",
        "w",
        "chardev-send-break charserial0",
        "l",
    ]


def test_a_guest_silent_on_ssh_and_serial_line_gets_an_nmi() -> None:
    """A hung fake guest gets an NMI only after requests over SSH and the serial line failed."""
    way, steps, _ = asked("nmi")

    assert way == "nmi"
    assert steps[0] == "ssh"
    assert steps[-1] == "nmi"


def test_a_guest_that_answers_nothing_gives_an_empty_answer_and_no_error() -> None:
    """A hung fake guest that prints nothing after SSH, serial and NMI gives an empty answer."""
    way, steps, fake = asked()

    assert way == ""
    assert steps[-1] == "nmi"
    assert len(fake.lines) == 1


def test_a_hanging_guest_with_a_spinning_cpu_is_asked_for_its_state_only_by_serial_line() -> None:
    """After a report of a spinning CPU only the serial line is used."""
    way, steps, _ = asked("ssh", "serial", "nmi", spins=True)
    silent, tried, _ = asked("ssh", "nmi", spins=True)

    assert (way, steps[0]) == ("serial", "chardev-send-break charserial0")
    assert silent == ""
    assert tried == ["chardev-send-break charserial0", "w"]


def test_after_an_answer_over_the_serial_line_the_list_of_all_tasks_is_requested_over_it_too() -> (
    None
):
    """The list is SysRq letter t, sent to a fake guest after another break on its serial line."""
    fake = FakeGuest(frozenset({"serial"}))
    first = interrogate(cast("Any", fake))
    fake.asked.clear()

    found = ask_for_all_tasks(cast("Any", fake), first)

    assert fake.asked == ["chardev-send-break charserial0", "t"]
    assert found.way == "serial"
    assert len(found.lines) == len(first.lines) + 1


@pytest.mark.parametrize("way", ["nmi", ""])
def test_the_list_of_all_tasks_is_never_requested_after_an_nmi_or_when_nothing_answered(
    way: str,
) -> None:
    """A hung guest that answered by NMI or not at all is not asked for SysRq t."""
    fake = FakeGuest(frozenset({"nmi"}))
    first = Answer(way=way, lines=())

    assert ask_for_all_tasks(cast("Any", fake), first) is first
    assert fake.asked == []
