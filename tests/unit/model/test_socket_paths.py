# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of model.socket_paths: every socket of every run has a path that the kernel accepts."""

import os
import socket
from pathlib import Path

import pytest

from harness.guest import libvirtd, registry
from harness.guest.registry import GuestEntry
from harness.host import config
from harness.model import socket_paths
from harness.protocols.rsp_socket import PATH_MAX_BYTES
from harness.runs import control_run

UIDS = (0, 1000, 65534, 4294967294)


def folder_of(size_bytes: int) -> str:
    """Return a path of this size."""
    return "/" + "x" * (size_bytes - 1)


def sockets(run_folder: Path) -> list[Path]:
    """Return the sockets of a run: libvirt's two, QEMU's second monitor, and the debugger's."""
    entry = GuestEntry(
        run_id="", folder=run_folder, disk=Path(), run=Path(), pid=0, target="", domain="harness"
    )
    return [
        run_folder / f"libvirt/qemu/lib/domain-100-{entry.domain}/monitor.sock",
        libvirtd.socket_path(run_folder),
        entry.qmp_socket,
        run_folder / "dbg" / "stub",
    ]


@pytest.mark.parametrize("uid", UIDS)
def test_the_sockets_of_runs_and_control_runs_fit_whatever_the_length_of_the_runtime_folder(
    uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime folder is chosen in which no socket's path exceeds 107 bytes, Linux's limit."""
    monkeypatch.setattr(os, "getuid", lambda: uid)
    run_id = registry.new_run_id()

    for size_bytes in range(2, 60):
        runtime = config.environment({"XDG_RUNTIME_DIR": folder_of(size_bytes)}).runtime

        for name in (run_id, control_run.control_id(run_id, 9)):
            paths = sockets(runtime / name)
            assert max(len(os.fsencode(path)) for path in paths) <= PATH_MAX_BYTES, size_bytes


@pytest.mark.parametrize("uid", UIDS)
def test_the_users_runtime_folder_is_used_up_to_the_length_that_leaves_room(
    uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An XDG_RUNTIME_DIR one byte too long for sockets is replaced by a folder in /tmp."""
    monkeypatch.setattr(os, "getuid", lambda: uid)
    run_id = control_run.control_id(registry.new_run_id(), 9)

    def runtime(size_bytes: int) -> Path:
        return config.environment({"XDG_RUNTIME_DIR": folder_of(size_bytes)}).runtime

    longest = max(n for n in range(2, 60) if not runtime(n).is_relative_to("/tmp"))

    assert max(len(os.fsencode(path)) for path in sockets(runtime(longest) / run_id)) == 107
    assert runtime(longest + 1) == Path(f"/tmp/modlab-{uid}")


def test_the_usual_runtime_folder_of_a_user_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_RUNTIME_DIR=/run/user/1000 of user 1000 gives the folder /run/user/1000/modlab-1000."""
    monkeypatch.setattr(os, "getuid", lambda: 1000)

    found = config.environment({"XDG_RUNTIME_DIR": "/run/user/1000"}).runtime

    assert found == Path("/run/user/1000/modlab-1000")


def test_the_size_of_a_path_is_counted_in_bytes() -> None:
    """The longest path of letters x has room; one of as many é, of two bytes each, has none."""
    most = socket_paths.RUN_FOLDER_MAX_BYTES

    assert socket_paths.has_room(Path("/" + "x" * (most - 1)))
    assert not socket_paths.has_room(Path("/" + "é" * (most - 1)))


def test_a_socket_with_the_longest_path_can_be_bound_and_no_longer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel binds a socket to a path of 107 bytes and refuses one of 108."""
    monkeypatch.chdir(tmp_path)

    with socket.socket(socket.AF_UNIX) as one:
        one.bind("x" * PATH_MAX_BYTES)
    with socket.socket(socket.AF_UNIX) as one, pytest.raises(OSError, match="too long"):
        one.bind("x" * (PATH_MAX_BYTES + 1))
