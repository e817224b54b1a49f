# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""hypervisor: KVM is believed only with proof, and a refusal says what to do."""

from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import hypervisor
from harness.host import accelerator
from harness.model.settings import Accel

FLAGS = "flags\t\t: fpu vme {} sse2\n"


@pytest.mark.parametrize("flag", ["vmx", "svm"])
def test_flags_and_an_open_node_are_kvm(tmp_path: Path, flag: str) -> None:
    """A CPU with virtualization and a node that opens for reading and writing can do KVM."""
    node, cpuinfo = tmp_path / "kvm", tmp_path / "cpuinfo"
    node.touch()
    cpuinfo.write_text(FLAGS.format(flag))

    accel, reason = accelerator.usable_accel(kvm=node, cpuinfo=cpuinfo)

    assert accel is Accel.KVM
    assert str(node) in reason


def test_an_open_node_alone_is_no_kvm(tmp_path: Path) -> None:
    """A node on a host whose CPU has no virtualization misleads; so does a longer word."""
    node, cpuinfo = tmp_path / "kvm", tmp_path / "cpuinfo"
    node.touch()
    cpuinfo.write_text(FLAGS.format("vmxless"))

    accel, reason = accelerator.usable_accel(kvm=node, cpuinfo=cpuinfo)

    assert accel is Accel.TCG
    assert "CPU" in reason


def test_flags_without_a_node_are_no_kvm(tmp_path: Path) -> None:
    """A CPU that could, without the node, is TCG, and the reason names the node."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(FLAGS.format("svm"))

    accel, reason = accelerator.usable_accel(kvm=tmp_path / "none", cpuinfo=cpuinfo)

    assert accel is Accel.TCG
    assert "none" in reason


def test_a_missing_socket_is_our_error_with_a_hint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libvirt's words and a next step, and nothing of libvirt's own on stderr."""
    uri = f"qemu+unix:///session?socket={tmp_path / 'none'}"

    with (
        pytest.raises(HypervisorError, match="none") as caught,
        hypervisor.connect(uri, runtime=tmp_path, cache=tmp_path, mask_kvm=False),
    ):
        pass

    assert "without --uri" in caught.value.hint.lower()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("authentication unavailable: no polkit agent", "group libvirt"),
        ("Cannot access storage file '/x': Permission denied", "every file"),
        ("invalid argument: no emulator found for arch", "qemu-system-x86"),
        ("Target domain name 'a' does not match source 'b'", "--fresh"),
        ("something nobody foresaw", ""),
    ],
)
def test_hints_fit_the_message(words: str, expected: str) -> None:
    """A known message leads to its cure, an unknown one to no guess."""
    hint = hypervisor._hint(words)

    assert expected in hint
    assert bool(expected) == bool(hint)
