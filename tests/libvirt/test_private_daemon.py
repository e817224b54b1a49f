# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the private daemon without a guest: it is started, used, kept and stopped."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest import domain, hypervisor, libvirtd

pytestmark = pytest.mark.skipif(
    shutil.which("libvirtd", path=f"{os.defpath}:/usr/sbin:/sbin") is None,
    reason="libvirtd is not installed (package libvirt-daemon)",
)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Give a folder with a short path; end all its processes afterwards."""
    with tempfile.TemporaryDirectory(prefix="osq-t-") as folder:
        yield Path(folder)
        libvirtd.stop(Path(folder))


def test_a_private_libvirt_daemon_answers_in_its_with_block_and_ends_after_it(
    runtime: Path, tmp_path: Path
) -> None:
    """A real libvirt daemon of the harness lists no domain, and leaves no process."""
    with hypervisor.connect(None, runtime=runtime, cache=tmp_path, mask_kvm=True) as hv:
        assert hv.private
        assert domain.find(hv, "") == []
        pid = hv.daemon_pid

    assert pid is not None
    assert not (Path("/proc") / str(pid)).exists()
    assert not hypervisor.stop_daemon(runtime)


def test_a_detached_libvirt_daemon_runs_after_its_with_block_until_stop_daemon(
    runtime: Path, tmp_path: Path
) -> None:
    """After hv.detach() a second connection by its URI works; stop_daemon then returns True."""
    with hypervisor.connect(None, runtime=runtime, cache=tmp_path, mask_kvm=True) as hv:
        hv.detach()

    with hypervisor.connect(hv.uri, runtime=runtime, cache=tmp_path, mask_kvm=True) as again:
        assert domain.find(again, "") == []
    assert hypervisor.stop_daemon(runtime)
    assert not hypervisor.stop_daemon(runtime)


def test_stop_daemon_returns_true_for_a_libvirt_daemon_whose_parent_process_was_killed(
    runtime: Path, tmp_path: Path
) -> None:
    """The daemon outlives its parent, a process of the harness, and stop_daemon ends it."""
    daemon = libvirtd.start(runtime, cache=tmp_path, mask_kvm=True)
    os.kill(daemon.parent.pid, signal.SIGKILL)
    daemon.parent.wait()

    assert (Path("/proc") / str(daemon.pid)).exists()
    assert hypervisor.stop_daemon(runtime)
    assert not hypervisor.stop_daemon(runtime)
