# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of a macOS guest's machine without macOS: valid for libvirt, run by QEMU, saved, restored.

The firmware is a file of zeros, so nothing boots: the tests cover the machine, not the system.
"""

import os
import plistlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.errors import HypervisorError, UsageError
from harness.guest import hypervisor, libvirtd
from harness.guest.hypervisor import Hypervisor
from harness.host import accelerator
from harness.model.settings import Accel, System
from harness.targets import mac_domain_xml, opencore, opencore_disk, power, workflow
from harness.targets.target_file import Kind, LibvirtSpec, RemoteSpec
from tests.unit.targets.test_opencore_disk import CONFIG, make_disk

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_NEEDED = ("libvirtd", "virsh", "virt-xml-validate", "xmllint", "qemu-system-x86_64", "qemu-img")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(name, path=_PATH) for name in _NEEDED),
    reason=f"one of {', '.join(_NEEDED)} is not installed",
)
# Not Apple's key, but 64 characters with those that XML and QEMU treat specially.
OSK = "not a key, but <64> characters & a comma, as a test needs them: "
SPEC = mac_domain_xml.MacDomain(
    name="mac-test",
    firmware=Path("/var/lib/f.fd"),
    variables=Path("/var/lib/v.fd"),
    opencore=Path("/var/lib/oc.qcow2"),
    disk=Path("/var/lib/mac.raw"),
    osk=OSK,
    ssh_port=2222,
    memory_mib=256,
    vcpus=1,
)
_FIRMWARE_BYTES = 1 << 20


@pytest.mark.parametrize("release", [10, 12, 15])
@pytest.mark.parametrize("accel", [Accel.KVM, Accel.TCG])
def test_virt_xml_validate_accepts_the_virtual_macs_domain_xml(
    tmp_path: Path, release: int, accel: Accel
) -> None:
    """The XML of a virtual Mac fits libvirt's schema; with a wrong element it does not."""
    file = tmp_path / "domain.xml"
    text = mac_domain_xml.render(replace(SPEC, release=release, accel=accel))
    file.write_text(text)
    good = subprocess.run(["virt-xml-validate", file, "domain"], check=False, capture_output=True)
    file.write_text(text.replace("<devices>", "<devices><smc/>"))
    bad = subprocess.run(["virt-xml-validate", file, "domain"], check=False, capture_output=True)

    assert good.returncode == 0, good.stderr
    assert bad.returncode != 0


def test_virtual_mac_has_penryn_and_vmxnet3_for_macos_10_but_haswell_and_virtio_net_for_13() -> (
    None
):
    """The rendered domain XML has this processor and network card for each macOS.

    A Mac with macOS 13 reaches no network, and only the port of SSH is forwarded to it.
    """
    old, new = (mac_domain_xml.render(replace(SPEC, release=release)) for release in (10, 13))

    assert "Penryn" in old
    assert "vmxnet3,netdev=ssh" in old
    assert "Haswell-noTSX" in new
    assert "virtio-net-pci,netdev=ssh" in new
    assert "restrict=on,hostfwd=tcp:127.0.0.1:2222-:22" in new


def test_special_characters_of_the_smc_key_are_escaped_for_both_xml_and_qemu() -> None:
    """In a virtual Mac's domain XML the SMC key is escaped, with its commas doubled for QEMU."""
    root = ET.fromstring(mac_domain_xml.render(SPEC))  # noqa: S314
    values = [one.get("value", "") for one in root.iter() if one.tag.endswith("}arg")]

    assert f"isa-applesmc,osk={OSK.replace(',', ',,')}" in values


@pytest.mark.parametrize("osk", ["", OSK[:-1], OSK + "x", OSK[:-1] + "\n"])
def test_an_smc_key_of_wrong_length_or_with_a_line_break_is_refused(osk: str) -> None:
    """Rendering the Mac's domain XML raises UsageError, which does not show the secret key."""
    with pytest.raises(UsageError, match="the SMC's key has") as caught:
        mac_domain_xml.render(replace(SPEC, osk=osk))

    assert osk == "" or osk not in str(caught.value)


@pytest.fixture
def hv(tmp_path: Path) -> Iterator[Hypervisor]:
    """Give a connection to a private libvirt daemon."""
    with (
        tempfile.TemporaryDirectory(prefix="osq-t-") as folder,
        hypervisor.connect(None, runtime=Path(folder), cache=tmp_path, mask_kvm=True) as private,
    ):
        yield private
        libvirtd.stop(Path(folder))


@pytest.fixture
def target(hv: Hypervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteSpec:
    """Make a target whose files are empty."""
    why = "the daemon's view of KVM is masked"
    monkeypatch.setattr(accelerator, "usable_accel", lambda: (Accel.TCG, why))
    for name in ("code.fd", "vars.fd"):
        (tmp_path / name).write_bytes(bytes(_FIRMWARE_BYTES))
    for name in ("oc.qcow2", "mac.qcow2"):
        command = ["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / name), "64M"]
        subprocess.run(command, check=True)
    (tmp_path / "osk.txt").write_text(OSK.strip().ljust(64, "x") + "\n")
    return RemoteSpec(
        name="mac",
        type=Kind.LIBVIRT,
        system=System.MACOS,
        port=22022,
        libvirt=LibvirtSpec(
            uri=hv.uri,
            firmware=tmp_path / "code.fd",
            variables=tmp_path / "vars.fd",
            opencore=tmp_path / "oc.qcow2",
            disk=tmp_path / "mac.qcow2",
            osk_file=tmp_path / "osk.txt",
            memory_mib=256,
            vcpus=1,
        ),
    )


def test_a_snapshot_needs_the_mac_off_and_reverting_restores_firmware_variables(
    target: RemoteSpec,
) -> None:
    """A snapshot of a virtual Mac that is on is refused; off, revert restores its variables."""
    mac = power.of(target)
    variables = target.libvirt.variables

    assert not mac.is_on()
    mac.start()
    assert mac.is_on()
    assert mac.address() == "127.0.0.1"
    with pytest.raises(UsageError, match="is on: a snapshot needs it off"):
        mac.snapshot("clean")
    mac.stop()
    assert not mac.is_on()
    variables.write_bytes(b"clean" + bytes(_FIRMWARE_BYTES - 5))
    mac.snapshot("clean")
    variables.write_bytes(b"dirty" + bytes(_FIRMWARE_BYTES - 5))
    mac.revert("clean")

    assert mac.snapshots() == ("clean",)
    assert variables.read_bytes()[:5] == b"clean"
    with pytest.raises(UsageError, match="no snapshot 'other'; there are: clean"):
        mac.revert("other")


def test_a_snapshot_that_fails_half_way_leaves_none_and_a_taken_name_is_refused(
    target: RemoteSpec,
) -> None:
    """After a failed snapshot of a virtual Mac no disk has it; after a good one it is taken."""
    mac = power.of(target)
    moved = target.libvirt.variables.with_suffix(".moved")
    target.libvirt.variables.rename(moved)
    with pytest.raises(FileNotFoundError):
        mac.snapshot("clean")
    listed = subprocess.run(
        ["qemu-img", "snapshot", "-l", str(target.libvirt.opencore)],
        check=True,
        capture_output=True,
        text=True,
    )
    moved.rename(target.libvirt.variables)

    assert "clean" not in listed.stdout
    assert mac.snapshots() == ()
    mac.snapshot("clean")
    for name in ("clean", "", "a/b"):
        with pytest.raises(UsageError, match="no snapshot can be called"):
            mac.snapshot(name)


def test_the_opencore_disk_is_edited_only_while_the_guest_is_off(
    target: RemoteSpec, tmp_path: Path
) -> None:
    """kernel-deps --apply edits boot arguments on a virtual Mac's disk, unless the Mac runs."""
    config = plistlib.dumps(CONFIG)
    disk = make_disk(tmp_path, form="qcow2", partitioned=True, config=config)
    disk.replace(target.libvirt.opencore)
    notes: list[str] = []
    power.of(target).start()
    with pytest.raises(UsageError, match="edited while it is off"):
        workflow.allow(target, notes.append)
    power.of(target).stop()

    workflow.allow(target, notes.append)
    edited = opencore_disk.settings(target.libvirt.opencore)
    workflow.disallow(target, notes.append)

    assert edited.csr & opencore.KEXT_FLAGS == opencore.KEXT_FLAGS
    assert "debug=0x144" in edited.boot_args
    assert opencore_disk.settings(target.libvirt.opencore) == opencore.read(config)
    assert any("lowers the target's security" in line for line in notes)


def test_the_error_for_missing_files_of_a_libvirt_target_names_their_settings(
    target: RemoteSpec,
) -> None:
    """Starting a virtual Mac whose files are gone raises UsageError with libvirt.firmware etc."""
    target.libvirt.firmware.unlink()
    target.libvirt.osk_file.unlink()

    with pytest.raises(UsageError, match=r"libvirt\.firmware, libvirt\.osk_file: no such file"):
        power.of(target).start()


def test_a_missing_daemon_does_not_count_as_a_guest_that_is_off(target: RemoteSpec) -> None:
    """is_on() of a virtual Mac raises HypervisorError when libvirt cannot be reached."""
    gone = replace(target.libvirt, uri="qemu+unix:///session?socket=/nowhere/sock")

    with pytest.raises(HypervisorError, match="virsh domstate failed"):
        power.of(replace(target, libvirt=gone)).is_on()
