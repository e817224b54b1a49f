# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of on_target: each kind of target is debugged in its own way, and KDP gets its values."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.debugger import kdp_attach as kdp
from harness.debugger import on_target
from harness.debugger.on_target import DebugRequest
from harness.errors import TargetNotReady, UsageError
from harness.model.settings import System
from harness.protocols.kdp.packets import KDP_PORT
from harness.targets.target_file import Kind, LibvirtSpec, RemoteSpec


@pytest.fixture
def target(tmp_path: Path) -> RemoteSpec:
    """Return a Mac as a target, with a Kernel Debug Kit."""
    folder = tmp_path / "KDK" / "System" / "Library" / "Kernels"
    folder.mkdir(parents=True)
    (folder / "kernel").write_bytes(b"")
    return RemoteSpec(
        name="mac", type=Kind.SSH, system=System.MACOS, host="10.0.0.7", kdk=tmp_path / "KDK"
    )


def test_debugging_a_mac_starts_the_kdp_bridge_with_its_host_and_kernel(
    target: RemoteSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge gets host, port and breakpoints, and the kernel of Apple's Kernel Debug Kit."""
    seen: list[kdp.KdpRequest] = []

    def attach(request: kdp.KdpRequest, _say: object) -> int:
        seen.append(request)
        return 7

    monkeypatch.setattr(kdp, "attach", attach)
    request = DebugRequest(target=target, folder=tmp_path, breakpoints=("osq_start",))

    status = on_target.attach(request, lambda _text: None)

    assert status == 7
    assert (seen[0].host, seen[0].port) == ("10.0.0.7", KDP_PORT)
    assert seen[0].kernel.name == "kernel"
    assert seen[0].breakpoints == ("osq_start",)


def test_the_development_kernel_in_a_kernel_debug_kit_is_preferred_to_the_release_kernel(
    target: RemoteSpec,
) -> None:
    """The debugger loads symbols of kernel.development from Apple's kit, if it has that file."""
    assert target.kdk is not None
    better = target.kdk / "System" / "Library" / "Kernels" / "kernel.development"
    better.write_bytes(b"")

    assert on_target.kernel_of(target) == better


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Kind.LIBVIRT,
            ("virsh -c qemu:///session", "harness-mac", "gdbserver tcp:127.0.0.1:1234"),
        ),
        (Kind.VMWARE, ('debugStub.listen.guest64 = "TRUE"', "127.0.0.1:8864")),
    ],
)
def test_attaching_to_a_libvirt_or_vmware_mac_is_refused_with_a_hint_how_to_open_its_stub(
    target: RemoteSpec, tmp_path: Path, kind: Kind, words: tuple[str, ...]
) -> None:
    """The error's hint has the commands with which the user opens the guest's stub."""
    guest = replace(target, type=kind, libvirt=LibvirtSpec())

    with pytest.raises(TargetNotReady) as caught:
        on_target.attach(DebugRequest(target=guest, folder=tmp_path), lambda _text: None)

    assert all(word in caught.value.hint for word in words)


@pytest.mark.parametrize("kdk", [None, Path("/nowhere")])
def test_a_missing_kernel_debug_kit_is_an_error(target: RemoteSpec, kdk: Path | None) -> None:
    """A target without the key kdk, or with a kit without a kernel, is a UsageError."""
    with pytest.raises(UsageError, match=r"kdk is not set|not a Kernel Debug Kit"):
        on_target.kernel_of(replace(target, kdk=kdk))


def test_attaching_to_a_linux_target_is_refused_with_a_hint_on_kgdb(
    target: RemoteSpec, tmp_path: Path
) -> None:
    """A Linux target is refused, and the hint has the command for KGDB."""
    linux = replace(target, system=System.LINUX)

    with pytest.raises(UsageError) as caught:
        on_target.attach(DebugRequest(target=linux, folder=tmp_path), lambda _text: None)

    assert "KGDB" in caught.value.hint
    assert "target remote" in caught.value.hint
