# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of targets.power: VMware guests are controlled by vmrun, which a script replaces here.

The real vmrun cannot be installed here. The script follows vmrun's published usage: it refuses
words in another order, and reports errors on its standard output.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HypervisorError, UsageError
from harness.model.settings import System
from harness.targets import power
from harness.targets.target_file import Kind, RemoteSpec, VmwareSpec

VMRUN = """#!/bin/sh
cd "$(dirname "$0")" || exit 9
touch kept
echo "$*" >> calls
[ "$1 $2" = "-T fusion" ] || { echo "Error: wrong host type"; exit 255; }
verb=$3 vmx=$4 word=$5
[ "$verb" = list ] || [ -e "$vmx" ] || { echo "Error: Cannot open VM: $vmx"; exit 255; }
case "$verb" in
list) echo "Total running VMs: $(cat on 2>/dev/null | wc -l)"; cat on 2>/dev/null || : ;;
start) [ "$word" = nogui ] || { echo "Error: no display"; exit 255; }; echo "$vmx" > on ;;
stop) [ "$word" = hard ] || exit 255; rm -f on ;;
getGuestIPAddress)
	[ "$word" = -wait ] || exit 255
	[ -e on ] || { echo "Error: The virtual machine is not powered on"; exit 255; }
	echo 192.168.77.10 ;;
snapshot) echo "$word" >> kept ;;
listSnapshots) echo "Total snapshots: $(wc -l < kept)"; cat kept ;;
revertToSnapshot)
	grep -qx "$word" kept || { echo "Error: Invalid snapshot name '$word'"; exit 255; }
	rm -f on ;;
*) echo "Error: unknown command $verb"; exit 255 ;;
esac
"""


@pytest.fixture
def target(tmp_path: Path) -> RemoteSpec:
    """Return a target that is a guest of VMware."""
    program, vmx = tmp_path / "vmrun", tmp_path / "mac os.vmx"
    program.write_text(VMRUN)
    program.chmod(0o755)
    vmx.write_text('guestOS = "darwin22-64"\n')
    return RemoteSpec(
        name="mac",
        type=Kind.VMWARE,
        system=System.MACOS,
        vmware=VmwareSpec(vmx=vmx, vmrun=str(program)),
    )


def test_vmrun_starts_a_vmware_guest_once_and_takes_snapshots(target: RemoteSpec) -> None:
    """With a fake vmrun the guest starts without a window, and its address is waited for."""
    mac = power.of(target)
    before = target.vmware.vmx.read_text()

    mac.start()
    mac.start()
    address = mac.address()
    mac.snapshot("clean")
    mac.revert("clean")

    assert address == "192.168.77.10"
    assert not mac.is_on()
    assert mac.snapshots() == ("clean",)
    assert target.vmware.vmx.read_text() == before
    calls = (target.vmware.vmx.parent / "calls").read_text().splitlines()
    assert sum(" start " in line for line in calls) == 1


def test_without_a_configured_host_a_running_guests_address_comes_from_vmrun(
    target: RemoteSpec,
) -> None:
    """A VMware target's address is asked for only while its guest is on."""
    assert power.locate(target).host == ""
    power.of(target).start()

    assert power.locate(target).host == "192.168.77.10"
    assert power.locate(replace(target, host="mine")).host == "mine"
    assert power.locate(replace(target, type=Kind.SSH)).host == ""
    assert power.locate(replace(target, type=Kind.LIBVIRT)).host == "127.0.0.1"


def test_the_error_for_a_failed_vmrun_command_has_its_output_as_evidence(
    target: RemoteSpec,
) -> None:
    """A fake vmrun reports its error on stdout, which the harness's error repeats."""
    with pytest.raises(HypervisorError, match="vmrun revertToSnapshot failed") as caught:
        power.of(target).revert("none")

    assert caught.value.evidence == ("Error: Invalid snapshot name 'none'",)


def test_the_error_for_a_missing_vmx_file_names_its_key_vmware_vmx(target: RemoteSpec) -> None:
    """The error for a missing .vmx file names the key vmware.vmx."""
    target.vmware.vmx.unlink()

    with pytest.raises(UsageError, match=r"vmware\.vmx: no such file"):
        power.of(target)


def test_an_ssh_target_cannot_be_switched_on() -> None:
    """The error for a target of type ssh names the types that can be, libvirt and vmware."""
    with pytest.raises(UsageError, match="SSH alone") as caught:
        power.of(RemoteSpec(name="mac", type=Kind.SSH, system=System.MACOS))

    assert "type = libvirt or vmware" in caught.value.hint


def test_a_missing_vmrun_is_a_usage_error(target: RemoteSpec, tmp_path: Path) -> None:
    """On a host without vmrun the error says that it is not installed."""
    (tmp_path / "vmrun").unlink()

    with pytest.raises(UsageError, match="is not installed"):
        power.of(target).start()
