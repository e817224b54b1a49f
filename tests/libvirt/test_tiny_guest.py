# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the libvirt adapter with real QEMU and a guest of 80 bytes: no image, no network.

The guest is a Linux "kernel" only by its header. Its real-mode code prints `hello` on the serial
line and then echoes what is typed, with two exceptions: for `r` it resets the machine, and for `p`
it writes to the pvpanic port as a dying kernel does.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import domain, hypervisor, libvirtd
from harness.guest.console import Console
from harness.guest.domain import Domain, DomainState
from harness.guest.domain_xml import render
from harness.guest.hypervisor import Hypervisor
from harness.model.domain import DomainSpec
from harness.model.settings import Accel

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
pytestmark = pytest.mark.skipif(
    not all(
        shutil.which(name, path=_PATH) for name in ("libvirtd", "qemu-system-x86_64", "qemu-img")
    ),
    reason="libvirtd, qemu-system-x86_64 or qemu-img is not installed",
)

_WAIT_S = 20.0
_TEXT_AT = 0x00D0  # from 0x200, where the code segment begins
_CODE = bytes.fromhex(
    "0e1f"  # push cs; pop ds
    "baf803 bed000 fc"  # dx = serial port, si = text
    "ac 84c0 7403 ee ebf8"  # print up to the zero
    "bafd03 ec a801 74f8"  # wait for a typed byte
    "baf803 ec"  # read it
    "3c72 7407"  # r: reset
    "3c70 7408"  # p: panic
    "ee ebe9"  # echo, next
    "b0fe e664 f4"  # reset through the keyboard controller
    "ba0505 b001 ee f4"  # pvpanic's port: the guest panicked
)


def tiny_kernel() -> bytes:
    """Return a bzImage of boot protocol 2.02 for QEMU (Documentation/x86/boot)."""
    image = bytearray(2048)
    image[0x1F1] = 1  # setup sectors after the first
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\x6e"  # jump to 0x270
    image[0x202:0x208] = b"HdrS\x02\x02"
    image[0x211] = 1  # loaded high
    image[0x270 : 0x270 + len(_CODE)] = _CODE
    text = b"hello\n\0"
    image[0x200 + _TEXT_AT : 0x200 + _TEXT_AT + len(text)] = text
    return bytes(image)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Give a folder with a short path; end all its processes afterwards."""
    with tempfile.TemporaryDirectory(prefix="osq-t-") as folder:
        yield Path(folder)
        libvirtd.stop(Path(folder))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which the tests share libvirt's list of QEMU's abilities."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def hv(runtime: Path, cache: Path) -> Iterator[Hypervisor]:
    """Give a connection to a private libvirt daemon."""
    with hypervisor.connect(None, runtime=runtime, cache=cache, mask_kvm=True) as conn:
        yield conn


@pytest.fixture
def spec(runtime: Path, tmp_path: Path) -> DomainSpec:
    """Give the machine of the tiny guest, with its files."""
    (tmp_path / "kernel").write_bytes(tiny_kernel())
    (tmp_path / "initrd").write_bytes(b"none")
    (tmp_path / "modules").write_bytes(bytes(1 << 20))
    return DomainSpec(
        name="harness",
        uuid="6f1c2f5e-0d5e-4b8e-9d53-0a3b8a5d8f10",
        run_id="one",
        accel=Accel.TCG,
        arch="x86_64",
        memory_mib=32,
        vcpus=1,
        vmlinuz=tmp_path / "kernel",
        initrd=tmp_path / "initrd",
        cmdline="",
        overlay=overlay(tmp_path / "one.qcow2"),
        modules_disk=tmp_path / "modules",
        qmp_socket=runtime / "qmp,1",
        console_log=tmp_path / "qemu-one.log",
    )


def overlay(path: Path) -> Path:
    """Make an empty disk for the tiny guest."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    return path


def test_a_console_attached_to_a_paused_guest_has_after_resume_every_byte_of_qemus_log(
    hv: Hypervisor, spec: DomainSpec, tmp_path: Path
) -> None:
    """An 80-byte guest in real QEMU says hello and echoes; Console and QEMU's log are equal."""
    with (
        Domain.create(hv, render(spec)) as running,
        Console(running.open_console(), file=tmp_path / "log") as console,
    ):
        assert running.state() is DomainState.PAUSED
        running.resume()
        console.wait_for("^hello$", deadline_s=_WAIT_S)
        console.write(b"echo\n")
        console.wait_for("^echo$", deadline_s=_WAIT_S)
        # QEMU sends a byte before it logs the byte. If QEMU is killed in between, the log lacks
        # it.
        end = time.monotonic() + _WAIT_S
        while not (tmp_path / "qemu-one.log").read_bytes().endswith(b"echo\n"):
            assert time.monotonic() < end, "QEMU's log does not end as the console does"
            time.sleep(0.01)

    assert (tmp_path / "log").read_bytes().endswith(b"hello\necho\n")
    assert (tmp_path / "qemu-one.log").read_bytes() == (tmp_path / "log").read_bytes()


def test_writes_to_a_console_with_a_waiting_reader_are_not_lost(
    hv: Hypervisor, spec: DomainSpec, tmp_path: Path
) -> None:
    """Each of 1,000 writes to the tiny guest's console is echoed, while a thread reads.

    Two threads in calls to one connection lost about one of a hundred writes, or hung at the next.
    """
    with (
        Domain.create(hv, render(spec)) as running,
        Console(running.open_console(), file=tmp_path / "log") as console,
    ):
        running.resume()
        console.wait_for("^hello$", deadline_s=_WAIT_S)
        for number in range(1, 1001):
            console.write(b"on\n")
            assert console.wait_for("", deadline_s=_WAIT_S, since=number).text == "on"


def test_a_closed_console_leaves_no_descriptor_open(
    hv: Hypervisor, spec: DomainSpec, tmp_path: Path
) -> None:
    """After close, a console reads b"", refuses a write, and can be closed again."""
    with Domain.create(hv, render(spec)) as running:
        before = len(os.listdir("/proc/self/fd"))
        for number in range(5):
            source = running.open_console()
            with Console(source, file=tmp_path / f"log{number}"):
                assert len(os.listdir("/proc/self/fd")) > before
        source.close()

        assert source.read(1) == b""
        with pytest.raises(HypervisorError, match="closed"):
            source.write(b"x")
        # The event loop's thread closes the last descriptor of a connection.
        end = time.monotonic() + _WAIT_S
        while len(os.listdir("/proc/self/fd")) > before:
            assert time.monotonic() < end, "descriptors of closed consoles stay open"
            time.sleep(0.05)


def test_a_guest_restored_with_another_disk_overlay_monitor_socket_and_log_file_runs_on(
    hv: Hypervisor, spec: DomainSpec, runtime: Path, tmp_path: Path
) -> None:
    """The tiny guest is saved in one run, restored in another with its own files, and echoes."""
    other = replace(
        spec,
        run_id="two",
        overlay=overlay(tmp_path / "two.qcow2"),
        qmp_socket=runtime / "qmp2",
        console_log=tmp_path / "qemu-two.log",
    )
    with (
        Domain.create(hv, render(spec)) as running,
        Console(running.open_console(), file=tmp_path / "log") as console,
    ):
        running.resume()
        console.wait_for("^hello$", deadline_s=_WAIT_S)
        running.save(tmp_path / "saved")
        assert running.state() is DomainState.GONE

    with (
        Domain.restore(hv, tmp_path / "saved", render(other)) as restored,
        Console(restored.open_console(), file=tmp_path / "log2") as console,
    ):
        assert restored.state() is DomainState.PAUSED
        assert (runtime / "qmp2").exists()
        restored.resume()
        console.write(b"on\n")
        assert console.wait_for("", deadline_s=_WAIT_S).text == "on"


def test_a_restore_under_another_name_is_refused(
    hv: Hypervisor, spec: DomainSpec, tmp_path: Path
) -> None:
    """Domain.restore with another domain name raises HypervisorError; its hint names --fresh."""
    with Domain.create(hv, render(spec)) as running:
        running.save(tmp_path / "saved")

    with pytest.raises(HypervisorError, match="does not match") as caught:
        Domain.restore(hv, tmp_path / "saved", render(replace(spec, name="another")))

    assert "--fresh" in caught.value.hint


def test_a_truncated_snapshot_is_refused_and_a_new_guest_can_be_started(
    hv: Hypervisor, spec: DomainSpec, tmp_path: Path
) -> None:
    """Half a saved guest raises HypervisorError, and Domain.create then works."""
    with Domain.create(hv, render(spec)) as running:
        running.save(tmp_path / "saved")
    whole = (tmp_path / "saved").read_bytes()
    (tmp_path / "saved").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(HypervisorError, match="cannot be restored"):
        Domain.restore(hv, tmp_path / "saved", render(spec)).destroy()

    with Domain.create(hv, render(spec)) as again:
        assert again.state() is DomainState.PAUSED


@pytest.mark.parametrize(
    ("key", "kind", "states"),
    [
        (b"p", "crashed", {DomainState.CRASHED}),
        (b"r", "shutdown", {DomainState.SHUTOFF, DomainState.GONE}),
    ],
)
def test_a_guest_that_panics_becomes_crashed_and_another_that_resets_itself_is_shut_down(
    hv: Hypervisor,
    spec: DomainSpec,
    tmp_path: Path,
    key: bytes,
    kind: str,
    states: set[DomainState],
) -> None:
    """For each, the 80-byte guest causes an event of libvirt and a state of the domain."""
    with (
        Domain.create(hv, render(spec)) as running,
        Console(running.open_console(), file=tmp_path / "log") as console,
    ):
        running.resume()
        console.wait_for("^hello$", deadline_s=_WAIT_S)
        console.write(key)

        assert running.wait_for_event(kind, deadline_s=_WAIT_S).kind == kind
        assert running.state() in states


def test_a_forwarded_port_accepts_a_connection_on_loopback_and_cannot_be_forwarded_twice(
    hv: Hypervisor, spec: DomainSpec
) -> None:
    """Domain.forward_ssh has QEMU listen on 127.0.0.1; QEMU refuses the same port again."""
    with Domain.create(hv, render(spec)) as running:
        port = running.forward_ssh(attempts=3)

        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        assert "Could not set up" in running.hmp(f"hostfwd_add ssh tcp:127.0.0.1:{port}-:22")


def test_a_paused_guest_stays_alive_after_keep_and_detach_until_its_daemon_is_stopped(
    spec: DomainSpec, runtime: Path, cache: Path
) -> None:
    """The tiny guest and its libvirt daemon outlive their blocks, and stop_daemon ends both.

    They can be joined by URI, and they end together.
    """
    with hypervisor.connect(None, runtime=runtime, cache=cache, mask_kvm=True) as hv:
        with Domain.create(hv, render(spec)) as running:
            running.keep()
        hv.detach()

    assert hypervisor.guest_alive(runtime, private=True)
    with (
        hypervisor.connect(hv.uri, runtime=runtime, cache=cache, mask_kvm=True) as again,
        domain.attach(again, "harness") as joined,
    ):
        assert joined.state() is DomainState.PAUSED
    assert hypervisor.stop_daemon(runtime)
    assert not hypervisor.guest_alive(runtime, private=True)


def test_starting_a_guest_without_its_disk_file_fails_with_the_disks_name_and_evidence(
    hv: Hypervisor, spec: DomainSpec
) -> None:
    """Domain.create raises HypervisorError that names gone.qcow2, with QEMU's lines."""
    with pytest.raises(HypervisorError, match=r"gone\.qcow2") as caught:
        Domain.create(hv, render(replace(spec, overlay=Path("/nowhere/gone.qcow2"))))

    assert caught.value.evidence
