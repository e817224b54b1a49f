# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A target's hardware is in its guest, and a guest with other hardware is not restored there."""

import pytest

from tests.system.whole_run import Project, Run

HARDWARE = """
vcpus = 2
numa = 2
cpu = "Skylake-Client"
disks_mib = [64]
nics = ["e1000e", "e1000e"]
"""
# Each line is one claim about the machine.
LOOK = """set -x
nproc; grep MemTotal /proc/meminfo; grep -m1 'model name' /proc/cpuinfo
ls -d /sys/devices/system/node/node1; cat /proc/cmdline
cat /sys/block/$(basename $(readlink /dev/disk/by-id/virtio-disk0))/size
grep -l 0x10d3 /sys/bus/pci/devices/*/device | wc -l | sed 's/^/cards /'
grep -l 0x11e8 /sys/bus/pci/devices/*/device | wc -l | sed 's/^/edu /'"""


def looked(project: Project, *options: str) -> Run:
    """Run the look in a guest of the project, and return the run."""
    run = project.run(f"--command={LOOK}", *options, deadline_s=900)
    assert run.code == 0, run.output
    return run


@pytest.mark.long
def test_the_guests_kernel_sees_the_cpus_memory_disk_and_network_cards_configured_for_its_target(
    project: Project,
) -> None:
    """A real guest's /proc and /sys show what pyproject.toml and the options ask for.

    With an argument of QEMU's the guest boots; without, it has a saved guest of its own.
    """
    project.replace("pyproject.toml", 'image = "debian-12"\n', f'image = "debian-12"\n{HARDWARE}')

    saved = looked(
        project, "--target=debian-12", "--cpus=3", "--memory=512", "--append=modlab.word=1"
    )
    project.replace("pyproject.toml", "numa = 2", 'numa = 2\nqemu = ["-device", "edu"]')
    booted = looked(project)

    for said in (
        "   3\n",
        "Skylake",
        "node/node1",
        "modlab.word=1",
        "   131072\n",
        "cards 2\n",
        "edu 0\n",
        "guest restored",
    ):
        assert said in saved.output
    assert 400_000 < int(saved.output.partition("MemTotal:")[2].split()[0]) < 512 * 1024
    for said in ("   2\n", "cards 2\n", "edu 1\n", "guest booted"):
        assert said in booted.output
    assert "modlab.word" not in booted.output
