# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.accelerator and guest.hypervisor: KVM only where it works; errors have hints."""

from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import hypervisor
from harness.host import accelerator
from harness.model.settings import Accel

FLAGS = "flags\t\t: fpu vme {} sse2\n"


@pytest.mark.parametrize("flag", ["vmx", "svm"])
def test_kvm_is_chosen_if_the_cpu_has_vmx_or_svm_and_dev_kvm_opens(
    tmp_path: Path, flag: str
) -> None:
    """A CPU with virtualization and a /dev/kvm that opens for writing can use KVM."""
    node, cpuinfo = tmp_path / "kvm", tmp_path / "cpuinfo"
    node.touch()
    cpuinfo.write_text(FLAGS.format(flag))

    accel, reason = accelerator.usable_accel(kvm=node, cpuinfo=cpuinfo)

    assert accel is Accel.KVM
    assert str(node) in reason


def test_tcg_is_chosen_if_dev_kvm_opens_and_the_cpu_lacks_vmx_and_svm(tmp_path: Path) -> None:
    """Without the CPU's flag, a /dev/kvm that opens is not used, and TCG is chosen.

    A longer word that contains the flag's name does not count.
    """
    node, cpuinfo = tmp_path / "kvm", tmp_path / "cpuinfo"
    node.touch()
    cpuinfo.write_text(FLAGS.format("vmxless"))

    accel, reason = accelerator.usable_accel(kvm=node, cpuinfo=cpuinfo)

    assert accel is Accel.TCG
    assert "CPU" in reason


def test_tcg_is_chosen_if_the_cpu_has_svm_and_dev_kvm_is_missing(tmp_path: Path) -> None:
    """Without /dev/kvm, TCG is chosen even on a CPU with virtualization; the reason says so."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(FLAGS.format("svm"))

    accel, reason = accelerator.usable_accel(kvm=tmp_path / "none", cpuinfo=cpuinfo)

    assert accel is Accel.TCG
    assert "none" in reason


def test_a_missing_socket_is_a_hypervisor_error_with_a_hint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error for a missing libvirt socket has libvirt's message and names the option --uri.

    libvirt prints nothing to stderr itself.
    """
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
def test_a_known_message_of_libvirt_has_its_hint_and_others_have_none(
    words: str, expected: str
) -> None:
    """The hint of libvirt's error comes from a table of known messages."""
    hint = hypervisor._hint(words)

    assert expected in hint
    assert bool(expected) == bool(hint)
