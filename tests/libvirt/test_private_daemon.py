# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The private daemon, for real but without a guest: started, used, kept, stopped."""

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
    """Give a folder with a short path, and leave no process of it behind."""
    with tempfile.TemporaryDirectory(prefix="osq-t-") as folder:
        yield Path(folder)
        libvirtd.stop(Path(folder))


def test_the_daemon_lives_as_long_as_the_block(runtime: Path, tmp_path: Path) -> None:
    """It answers inside, has no domain of anybody's, and nothing of it is left outside."""
    with hypervisor.connect(None, runtime=runtime, cache=tmp_path, mask_kvm=True) as hv:
        assert hv.private
        assert domain.find(hv, "") == []
        pid = hv.daemon_pid

    assert pid is not None
    assert not (Path("/proc") / str(pid)).exists()
    assert not hypervisor.stop_daemon(runtime)


def test_a_detached_daemon_outlives_the_block_until_it_is_stopped(
    runtime: Path, tmp_path: Path
) -> None:
    """Its URI stays good, and stop_daemon ends it."""
    with hypervisor.connect(None, runtime=runtime, cache=tmp_path, mask_kvm=True) as hv:
        hv.detach()

    with hypervisor.connect(hv.uri, runtime=runtime, cache=tmp_path, mask_kvm=True) as again:
        assert domain.find(again, "") == []
    assert hypervisor.stop_daemon(runtime)
    assert not hypervisor.stop_daemon(runtime)


def test_a_daemon_whose_keeper_was_killed_is_still_found(runtime: Path, tmp_path: Path) -> None:
    """The sweep after the worst case: run and keeper killed at once."""
    daemon = libvirtd.start(runtime, cache=tmp_path, mask_kvm=True)
    os.kill(daemon.keeper.pid, signal.SIGKILL)
    daemon.keeper.wait()

    assert (Path("/proc") / str(daemon.pid)).exists()
    assert hypervisor.stop_daemon(runtime)
