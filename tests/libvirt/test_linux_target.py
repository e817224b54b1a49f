# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of a Linux target over SSH, with real commands on this host's kernel."""

from pathlib import Path

import pytest

from harness.errors import GuestLost, UsageError
from harness.model.settings import ModuleSpec, System
from harness.systems.linux import setup
from harness.systems.local_shell import ThisHost
from harness.targets import workflow
from harness.targets.target_file import Kind, RemoteSpec
from harness.targets.workflow import Loading
from tests.libvirt.test_guest_ssh import serving


def target_at(folder: Path, port: int, host_key: str) -> RemoteSpec:
    """Return a target whose keys are in a folder."""
    return RemoteSpec(
        name="lab",
        type=Kind.SSH,
        system=System.LINUX,
        host="127.0.0.1",
        port=port,
        user="anybody",
        key_file=folder / "client",
        host_key=host_key,
        restart_s=1.0,
    )


def test_requirements_read_over_ssh_from_this_host_equal_those_read_locally(
    tmp_path: Path,
) -> None:
    """For a user's Linux target that is this host itself, kernel-deps finds the same over SSH."""
    with serving(tmp_path) as server:
        lab = target_at(tmp_path, server.endpoint.port, server.endpoint.host_key)

        requirements = workflow.requirements(lab)

    assert requirements == workflow.requirements_of(ThisHost(), System.LINUX, signed=False)
    assert any(setup.examine(ThisHost()).release in one.what for one in requirements)


def test_waiting_for_a_restart_raises_guest_lost_if_the_boot_id_is_unchanged_at_the_deadline(
    tmp_path: Path,
) -> None:
    """A target with the same boot id after 1 s never went down, and the error says so."""
    with serving(tmp_path) as server:
        lab = target_at(tmp_path, server.endpoint.port, server.endpoint.host_key)
        session = setup.boot_session(ThisHost())

        with pytest.raises(GuestLost, match="not back after 1 s: it never went down"):
            workflow.wait_for_another_session(lab, session)


def test_a_linux_target_described_as_a_mac_is_a_usage_error(tmp_path: Path) -> None:
    """requirements() of a Linux target whose file says macOS finds no version of macOS there."""
    with serving(tmp_path) as server:
        lab = target_at(tmp_path, server.endpoint.port, server.endpoint.host_key)
        wrong = RemoteSpec(**{**vars(lab), "system": System.MACOS})

        with pytest.raises(UsageError, match="which macOS it runs"):
            workflow.requirements(wrong)


def test_loading_a_module_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    """Loading none.ko onto a target raises UsageError before a connection is made."""
    lab = target_at(tmp_path, 1, "ssh-ed25519 AAAA")
    request = Loading(
        target=lab, spec=ModuleSpec(name="m", source=tmp_path), file=tmp_path / "none.ko"
    )

    with pytest.raises(UsageError, match="no such module"):
        workflow.load(request, lambda _line: None)
