# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of model.machines: which machines are possible, and what the command line changes."""

import pytest

from harness.model.machines import MachineChange, TargetSpec, wrong_key

GOOD = TargetSpec(
    vcpus=4,
    memory_mib=1024,
    numa=2,
    cpu="Skylake-Client",
    disks_mib=(64, 1024),
    nics=("e1000e", "virtio-net-pci"),
    pci=("0000:03:00.0",),
    qemu=("-device", "edu"),
)


def test_the_default_machine_and_one_that_uses_every_key_are_accepted() -> None:
    """A target's machine (CPUs, memory, disks, cards) with good values has no wrong key."""
    assert wrong_key(TargetSpec()) is None
    assert wrong_key(GOOD) is None


@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        ({"vcpus": 0}, "vcpus", "0 is not from 1 to 64"),
        ({"memory_mib": 16}, "memory_mib", "16 is not from 256"),
        ({"numa": 3}, "numa", "3 nodes need as many vcpus"),
        ({"disks_mib": (64, 0)}, "disks_mib", "0 is not from 1"),
        ({"disks_mib": (1,) * 17}, "disks_mib", "at most 16"),
        ({"nics": ("e1000e",) * 9}, "nics", "at most 8"),
        ({"nics": ("e1000e,id=x",)}, "nics", "is no name"),
        ({"cpu": "Sky lake"}, "cpu", "is no name"),
        ({"pci": ("3:0.0",)}, "pci", "is not of the form"),
        ({"qemu": ("edu",)}, "qemu", "begins with -"),
        ({"qemu": ("-m", "4G")}, "qemu", "the key memory_mib is there for -m"),
    ],
)
def test_the_key_of_an_impossible_machine_value_is_named_with_what_is_expected(
    fields: dict[str, object], key: str, expected: str
) -> None:
    """For a target's machine with a bad value, wrong_key returns its key and what is expected."""
    found = wrong_key(TargetSpec(**fields))  # type: ignore[arg-type]

    assert found is not None
    assert found[0] == key
    assert expected in found[1]


@pytest.mark.parametrize("fields", [{"pci": ("0000:03:00.0",)}, {"qemu": ("-device", "edu")}])
def test_a_guest_with_host_devices_or_own_qemu_arguments_cannot_be_saved(
    fields: dict[str, tuple[str, ...]],
) -> None:
    """With a host's PCI device or QEMU arguments can_be_saved is false; own cards do no harm."""
    assert TargetSpec(nics=("e1000e",), disks_mib=(64,)).can_be_saved
    assert not TargetSpec(**fields).can_be_saved  # type: ignore[arg-type]


def test_command_line_options_change_only_their_own_values_of_a_target() -> None:
    """The options --cpus and --append replace a number and add kernel arguments."""
    target = TargetSpec(vcpus=2, memory_mib=768, cmdline="quiet")
    change = MachineChange(vcpus=4, append="slub_debug=FZ")

    assert MachineChange().applied(target) == target
    assert change.applied(target) == TargetSpec(
        vcpus=4, memory_mib=768, cmdline="quiet slub_debug=FZ"
    )
    assert change.described() == "--cpus=4 --append=slub_debug=FZ"
