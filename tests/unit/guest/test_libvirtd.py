# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.libvirtd: only processes of the folder are killed; a bad folder is refused."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import libvirtd
from harness.host import programs


@contextmanager
def process(name: str, argument: str) -> Iterator[subprocess.Popen[bytes]]:
    """Give a waiting process with a chosen name and argument."""
    line = [name, "-c", "echo; read -r line", "sh", argument]
    with subprocess.Popen(
        line, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            yield running
        finally:
            running.kill()


def test_stop_kills_a_qemu_whose_command_line_names_the_given_folder_and_returns_true(
    tmp_path: Path,
) -> None:
    """The folder is that of a private libvirt daemon, whose guests `stop` ends."""
    with process("qemu-system-x86_64", f"-qmp=unix:{tmp_path}/qmp") as guest:
        assert libvirtd.guest_pids(tmp_path) == (guest.pid,)
        assert libvirtd.stop(tmp_path)
        assert guest.wait(5) == -9


@pytest.mark.parametrize(
    ("name", "place"),
    [("qemu-system-x86_64", "{}-other/qmp"), ("vi", "{}/qmp"), ("qemu-system-x86_64", "/x")],
)
def test_stop_kills_no_guest_of_another_folder_and_no_other_program(
    tmp_path: Path, name: str, place: str
) -> None:
    """The folder is a private libvirt daemon's; a program that runs in it is not QEMU."""
    with process(name, place.format(tmp_path)) as other:
        assert not libvirtd.stop(tmp_path)
        assert other.poll() is None


def test_guest_pids_omits_a_killed_qemu_process_that_its_parent_has_not_reaped_yet(
    tmp_path: Path,
) -> None:
    """A zombie QEMU does not count as a running guest."""
    with process("qemu-system-x86_64", f"{tmp_path}/qmp") as guest:
        guest.kill()
        os.waitid(os.P_PID, guest.pid, os.WEXITED | os.WNOWAIT)

        assert libvirtd.guest_pids(tmp_path) == ()


def test_starting_libvirtd_in_a_folder_whose_path_is_too_long_for_a_socket_is_refused(
    tmp_path: Path,
) -> None:
    """The HypervisorError's hint names --run-id and the limit of 58 bytes for the path."""
    if not libvirtd_installed():
        pytest.skip("libvirtd is not installed")

    with pytest.raises(HypervisorError, match="too long") as caught:
        libvirtd.start(tmp_path / ("x" * 100), cache=tmp_path, mask_kvm=False)

    assert "--run-id: the path may have 58 bytes" in caught.value.hint


def libvirtd_installed() -> bool:
    """Return whether libvirtd is installed."""
    return programs.located("libvirtd") is not None
