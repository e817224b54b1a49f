# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of systems.ssh against a real SSH server on a loopback port, in a separate process."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.errors import CommandOverdue, GuestCrashed, GuestLost, Lost
from harness.model.settings import Endpoint, PushSpec
from harness.systems.shell import CommandFailed
from harness.systems.ssh import Guest
from tests.libvirt.ssh_server import Moment

# Far above the deadlines of a second, and far below the 30 s or more that a call without a
# deadline takes. So a busy machine is not mistaken for a missing deadline.
_SOON_S = 15


def no_news() -> None:
    """Report that the guest is alive; this stands for the harness's health check."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server, and the keys to log in."""

    endpoint: Endpoint
    process: subprocess.Popen[bytes]


def make_key(file: Path) -> str:
    """Make a key pair and return the public half as a line of known_hosts."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)]
    subprocess.run(command, check=True)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """Run a server with its own keys in a folder; `options` are a moment and a signal."""
    host_key = make_key(folder / "host")
    (folder / "authorized").write_text(make_key(folder / "client") + "\n")
    program = Path(__file__).with_name("ssh_server.py")
    process = subprocess.Popen(
        [
            *(sys.executable, str(program)),
            *(str(folder / "host"), str(folder / "authorized"), *options),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    endpoint = Endpoint(
        host="127.0.0.1",
        port=int(process.stdout.readline()),
        user="anybody",
        key_file=folder / "client",
        host_key=host_key,
    )
    try:
        yield Server(endpoint=endpoint, process=process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server for the tests of this file."""
    with serving(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def guest(server: Server) -> Iterator[Guest]:
    """Give an SSH connection to the server."""
    with Guest.connect(server.endpoint, deadline_s=10, alive=no_news) as connected:
        yield connected


def test_a_commands_output_errors_and_status_are_returned_separately(guest: Guest) -> None:
    """Guest.run over a real SSH server returns stdout, stderr and status; words are quoted."""
    done = guest.run("echo out; echo err >&2; exit 3", deadline_s=10, check=False)
    quoted = guest.run(["printf", "%s|", "a b", "$HOME", "ü"], deadline_s=10)

    assert (done.stdout, done.stderr, done.status) == ("out\n", "err\n", 3)
    assert quoted.stdout == "a b|$HOME|ü|"


def test_the_error_of_a_failed_command_has_its_output(guest: Guest) -> None:
    """Guest.run raises CommandFailed for status 5, with the output as evidence."""
    with pytest.raises(CommandFailed, match="status 5") as caught:
        guest.run("echo because; exit 5", deadline_s=10)

    assert caught.value.evidence == ("because",)
    assert caught.value.completed.status == 5


def test_eight_mib_of_input_and_output_pass_without_blocking(guest: Guest) -> None:
    """Guest.run sends 8 MiB in and gets them back on stderr, bytes that are not UTF-8 included."""
    data = b"\xff" + bytes(range(128)) * 65536

    done = guest.run("tee /dev/stderr | wc -c", deadline_s=30, input=data)

    assert done.stdout.strip() == str(len(data))
    assert done.stderr.startswith("\\xff")


def test_a_command_that_does_not_end_raises_command_overdue_with_its_output_at_its_deadline(
    guest: Guest,
) -> None:
    """`sleep 60` with a deadline of 0.5 s ends so, and the same SSH connection stays usable."""
    begun = time.monotonic()

    with pytest.raises(CommandOverdue, match=r"within 0\.5 s: echo") as caught:
        guest.run("echo last words; sleep 60", deadline_s=0.5)

    assert time.monotonic() - begun < _SOON_S
    assert caught.value.evidence == ("last words",)
    assert guest.run("echo on", deadline_s=10).stdout == "on\n"


def test_deadlines_are_multiplied_on_the_connection_of_a_slow_guest(guest: Guest) -> None:
    """For a guest that is 3 times as slow, a deadline of 0.2 s ends after 0.6 s."""
    slow = guest.stretched(3)

    with pytest.raises(CommandOverdue, match=r"within 0\.6 s: sleep 60"):
        slow.run("sleep 60", deadline_s=0.2)

    with slow.popen("sleep 60") as process, pytest.raises(CommandOverdue, match=r"within 0\.6 s"):
        process.wait(deadline_s=0.2)


def test_output_lines_are_returned_while_the_command_runs(guest: Guest) -> None:
    """lines() of Guest.popen yields each line at once, and None for a pause without one."""
    with guest.popen("echo one; sleep 0.6; printf two") as process:
        seen = list(process.lines(poll_s=0.1))
        status = process.wait(deadline_s=5)

    assert [line for line in seen if line is not None] == ["one", "two"]
    assert seen.count(None) >= 3
    assert status == 0


def test_pushed_files_get_content_and_mode_replacing_an_old_file_and_fetch_returns_the_content(
    guest: Guest, tmp_path: Path
) -> None:
    """Over a local sshd, push makes a new file: who has the old one open keeps its content."""
    source, back, target = (tmp_path / name for name in ("source", "back", "in side"))
    source.write_bytes(os.urandom(100_000))
    target.write_text("old")
    other = tmp_path / "other"
    files = (
        PushSpec(source=source, target=str(target), mode=0o640),
        PushSpec(source=source, target=str(other), mode=0o755),
    )

    with target.open() as before:
        guest.push(files, deadline_s=10)
        assert before.read() == "old"
    guest.fetch(str(target), back, deadline_s=10)

    assert back.read_bytes() == other.read_bytes() == source.read_bytes()
    assert [file.stat().st_mode & 0o777 for file in (target, other)] == [0o640, 0o755]
    assert len(list(tmp_path.iterdir())) == 4


def test_copying_to_an_unwritable_guest_path_fails_with_the_guests_message(
    guest: Guest, tmp_path: Path
) -> None:
    """Guest.push raises CommandFailed with the guest's own message as evidence."""
    (tmp_path / "file").write_text("no folder")
    spec = PushSpec(source=tmp_path / "file", target=str(tmp_path / "file" / "below"))

    with pytest.raises(CommandFailed) as caught:
        guest.push((spec,), deadline_s=10)

    assert any("below" in line for line in caught.value.evidence)


def test_a_refused_key_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    """Guest.connect does not try a refused key again until its deadline: waiting cannot help."""
    make_key(tmp_path / "stranger")
    endpoint = replace(server.endpoint, key_file=tmp_path / "stranger")
    begun = time.monotonic()

    with (
        pytest.raises(Lost, match="refuses the key"),
        Guest.connect(endpoint, deadline_s=30, alive=no_news),
    ):
        pass

    assert time.monotonic() - begun < _SOON_S


def test_a_server_with_another_host_key_is_an_error_that_says_so(
    server: Server, tmp_path: Path
) -> None:
    """Guest.connect raises Lost "host key differs": another machine answers at the port."""
    endpoint = replace(server.endpoint, host_key=make_key(tmp_path / "other"))

    with (
        pytest.raises(Lost, match="host key differs"),
        Guest.connect(endpoint, deadline_s=30, alive=no_news),
    ):
        pass


def test_a_port_where_nothing_listens_is_tried_until_the_deadline_and_then_fails(
    server: Server,
) -> None:
    """Guest.connect checks the guest's health at each try, and raises GuestLost after 1 s."""
    checks = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = replace(server.endpoint, port=closed.getsockname()[1])

        with (
            pytest.raises(GuestLost, match="no SSH after 1 s"),
            Guest.connect(endpoint, deadline_s=1, alive=lambda: checks.append(1)),
        ):
            pass

    assert len(checks) >= 3


def test_connecting_by_ssh_ends_with_guest_crashed_if_the_health_check_raises_it(
    server: Server,
) -> None:
    """Guest.connect stops trying when its argument `alive` reports that the guest is dead."""

    def dead() -> None:
        raise GuestCrashed("it died")

    with pytest.raises(GuestCrashed), Guest.connect(server.endpoint, deadline_s=30, alive=dead):
        pass


def test_a_connection_that_ends_after_the_banner_is_retried(server: Server) -> None:
    """A server that sends its SSH banner and hangs up is not ready yet: connect tries again."""
    accepted: list[socket.socket] = []

    def answer(liar: socket.socket) -> None:
        # The accept fails once the test has shut the listening socket down.
        with contextlib.suppress(OSError):
            while True:
                peer, _ = liar.accept()
                accepted.append(peer)
                with peer:
                    peer.sendall(b"SSH-2.0-liar\r\n")

    with socket.create_server(("127.0.0.1", 0)) as liar:
        endpoint = replace(server.endpoint, port=liar.getsockname()[1])
        thread = threading.Thread(target=answer, args=(liar,))
        thread.start()
        try:
            with (
                pytest.raises(GuestLost, match=r"no SSH after 2 s and \d+ tries"),
                Guest.connect(endpoint, deadline_s=2, alive=no_news),
            ):
                pass
        finally:
            liar.shutdown(socket.SHUT_RDWR)
            thread.join(_SOON_S)

    assert len(accepted) >= 2


@pytest.mark.parametrize("moment", [one for one in Moment if one != Moment.KEY])
def test_a_command_raises_guest_lost_at_its_deadline_if_the_ssh_server_gets_sigstop_meanwhile(
    tmp_path: Path, moment: Moment
) -> None:
    """The server is stopped before, within or after a command; the call ends all the same."""
    with (
        serving(tmp_path, moment, "SIGSTOP") as own,
        Guest.connect(own.endpoint, deadline_s=30, alive=no_news) as frozen,
    ):
        data = bytes(1 << 26) if moment == Moment.INPUT else b""
        begun = time.monotonic()

        with pytest.raises(GuestLost):
            frozen.run("echo here; cat", deadline_s=1, input=data)

        assert 1 <= time.monotonic() - begun < _SOON_S


@pytest.mark.parametrize("moment", [Moment.OPEN, Moment.EXEC])
def test_an_answer_after_a_commands_deadline_is_not_taken_for_the_next_commands(
    tmp_path: Path, moment: Moment
) -> None:
    """When a stopped SSH server goes on, its late answer is dropped; the next one is right."""
    with (
        serving(tmp_path, moment, "SIGSTOP") as own,
        Guest.connect(own.endpoint, deadline_s=30, alive=no_news) as thawed,
    ):
        with pytest.raises(GuestLost):
            thawed.run("true", deadline_s=0.5)

        own.process.send_signal(signal.SIGCONT)

        assert thawed.run("echo on", deadline_s=30).stdout == "on\n"


def test_a_command_with_endless_output_raises_command_overdue_and_ssh_stays_usable(
    guest: Guest,
) -> None:
    """Guest.run leaves the output of `yes` at its deadline of 1 s."""
    begun = time.monotonic()

    with pytest.raises(CommandOverdue, match="within 1 s: yes"):
        guest.run("yes; true", deadline_s=1)

    assert time.monotonic() - begun < _SOON_S
    assert guest.run("echo on", deadline_s=30).stdout == "on\n"


def test_a_connection_that_ends_before_the_key_is_answered_is_tried_again(tmp_path: Path) -> None:
    """If the SSH server dies then, connect takes the guest for not ready, not for refusing."""
    with (
        serving(tmp_path, Moment.KEY, "SIGKILL") as own,
        pytest.raises(GuestLost, match="no SSH after 2 s"),
        Guest.connect(own.endpoint, deadline_s=2, alive=no_news),
    ):
        pass


def test_when_ssh_breaks_a_commands_lines_end_and_the_next_command_raises_guest_lost(
    tmp_path: Path,
) -> None:
    """When the SSH server is killed, lines() of a running command ends without an error."""
    with (
        serving(tmp_path) as own,
        Guest.connect(own.endpoint, deadline_s=10, alive=no_news) as cut,
    ):
        process = cut.popen("echo here; exec sleep 5")
        lines = process.lines(poll_s=0.1)
        assert next(line for line in lines if line) == "here"
        own.process.kill()

        assert [line for line in lines if line] == []
        with pytest.raises(GuestLost):
            cut.run("true", deadline_s=2)
