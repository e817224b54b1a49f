# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.snapshot: every other machine has a saved guest of its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import snapshot
from harness.host import accelerator
from harness.model.domain import DomainSpec
from harness.model.settings import Accel
from tests.unit.guest.test_domain_xml import SPEC


def key(spec: DomainSpec, *keys: str) -> str:
    """Return the key of the saved guest of a machine."""
    return snapshot.place(spec, ("image", "kernel", *keys), {"qemu": "7.2"}, root=Path("/c")).key


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, vcpus=3),
        replace(SPEC, memory_mib=1024),
        replace(SPEC, cmdline="console=ttyS0 quiet"),
        replace(SPEC, cpu="Skylake-Client"),
        replace(SPEC, numa=2),
        replace(SPEC, disks=(Path("/r/disk0.raw"),)),
        replace(SPEC, nics=("e1000e",)),
    ],
)
def test_a_guest_with_other_hardware_or_kernel_command_line_has_another_snapshot_key(
    other: DomainSpec,
) -> None:
    """A guest is never restored from the snapshot of a booted guest that differs from it."""
    assert key(other) != key(SPEC)


def test_the_snapshot_key_of_the_same_guest_differs_from_that_of_snapshot_format_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Snapshots of format 1 are not used: in a copied cache they read the first one's image."""
    now = key(SPEC)
    monkeypatch.setattr(snapshot, "_FORMAT", "1")

    assert key(SPEC) != now


def test_the_snapshot_key_depends_on_disk_sizes_and_not_on_paths_or_run_ids() -> None:
    """A later run with equal disks uses the snapshot of a booted guest again."""
    first = replace(SPEC, disks=(Path("/runs/1/disk0.raw"),))
    second = replace(SPEC, disks=(Path("/runs/2/disk0.raw"),), run_id="2", name="other")

    assert key(first, "disk=64") == key(second, "disk=64")
    assert key(first, "disk=64") != key(second, "disk=65")


@pytest.mark.parametrize("accel", [Accel.KVM, Accel.TCG])
def test_the_snapshot_key_depends_on_the_hosts_processor_under_kvm_alone(
    accel: Accel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that moves to a host with another processor must not restore its guests there."""
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(accelerator, "_CPUINFO", cpuinfo)
    spec = replace(SPEC, accel=accel)
    keys = []
    for flags, mhz in (("svm avx2", 1), ("svm avx2", 2), ("svm", 2)):
        block = f"processor\t: 0\nmodel name\t: One\ncpu MHz\t\t: {mhz}\nflags\t\t: {flags}\n\n"
        cpuinfo.write_text(block * 2)
        keys.append(key(spec))

    assert keys[0] == keys[1]
    assert (keys[1] != keys[2]) == (accel is Accel.KVM)


@pytest.mark.parametrize("accel", [Accel.KVM, Accel.TCG])
def test_the_snapshot_key_depends_on_the_hosts_kernel_under_kvm_alone(
    accel: Accel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another kernel of the host may show a guest other features of the same processor."""
    spec = replace(SPEC, accel=accel)
    first = key(spec)
    monkeypatch.setattr("platform.release", lambda: "9.9")

    assert (key(spec) != first) == (accel is Accel.KVM)
