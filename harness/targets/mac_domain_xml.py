# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Render a macOS guest for libvirt and QEMU: OpenCore on the user's disk, OVMF, a SATA disk. Pure.

Images, keys and firmware come from the user: this project contains nothing of Apple's, and Apple's
licence allows macOS as a guest on Apple hardware only. Sources: libvirt's formatdomain.html,
QEMU's hw/misc/applesmc.c, the published set-ups of OSX-KVM and quickemu. Not verified on hardware.
"""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.errors import UsageError
from harness.model.settings import LOOPBACK, Accel

_QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
# The SMC's key has this length; QEMU's hw/misc/applesmc.c refuses any other.
_OSK_CHARACTERS = 64
# QEMU's first MAC address. macOS treats a card on the root bus as built in.
_MAC = "52:54:00:12:34:56"
_NET_SLOT = "0x10"
# 10.x is the last series of releases without a driver for virtio's network card.
_VIRTIO_SINCE = 11
# macOS needs AVX2 from this release on, which a Penryn does not have.
_AVX2_SINCE = 13


@dataclass(frozen=True, kw_only=True)
class MacDomain:
    """A macOS guest of QEMU: the files that its user has given, and the machine's size.

    `osk` is the key that macOS asks the machine's SMC for. `ssh_port` is the port of the host that
    leads to the guest's SSH server. `release` is the major version (10 for any release before 11);
    it decides processor and devices.
    """

    name: str
    firmware: Path
    variables: Path
    opencore: Path
    disk: Path
    osk: str
    ssh_port: int
    release: int = 15
    memory_mib: int = 8192
    vcpus: int = 4
    accel: Accel = Accel.KVM


def render(spec: MacDomain) -> str:
    """Return the domain XML; the XML library escapes every value.

    Raises: UsageError for a key that cannot be valid.
    """
    if len(spec.osk) != _OSK_CHARACTERS or not spec.osk.isprintable():
        raise UsageError(
            f"the SMC's key has {len(spec.osk)} characters instead of {_OSK_CHARACTERS}",
            hint="it is read from your own Mac; the file named by osk_file holds it and no more",
        )
    ET.register_namespace("qemu", _QEMU_NAMESPACE)
    root = ET.Element("domain", type="kvm" if spec.accel is Accel.KVM else "qemu")
    _text(root, "name", spec.name)
    _text(root, "memory", str(spec.memory_mib), unit="MiB")
    _text(root, "vcpu", str(spec.vcpus))
    _boot(root, spec)
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    _processor(root, spec)
    clock = ET.SubElement(root, "clock", offset="utc")
    ET.SubElement(clock, "timer", name="hpet", present="no")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    # A guest that has crashed is kept, so that its memory can be read.
    _text(root, "on_crash", "preserve")
    _devices(root, spec)
    _qemu_arguments(root, spec)
    return ET.tostring(root, encoding="unicode")


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _boot(root: ET.Element, spec: MacDomain) -> None:
    boot = ET.SubElement(root, "os")
    _text(boot, "type", "hvm", arch="x86_64", machine="q35")
    _text(boot, "loader", str(spec.firmware), readonly="yes", type="pflash")
    _text(boot, "nvram", str(spec.variables))


def _processor(root: ET.Element, spec: MacDomain) -> None:
    model = "Haswell-noTSX" if spec.release >= _AVX2_SINCE else "Penryn"
    cpu = ET.SubElement(root, "cpu", mode="custom", match="exact", check="none")
    _text(cpu, "model", model, fallback="forbid")
    _text(cpu, "vendor", "Intel")
    # TCG has no invariant TSC.
    if spec.accel is Accel.KVM:
        ET.SubElement(cpu, "feature", policy="require", name="invtsc")


def _devices(root: ET.Element, spec: MacDomain) -> None:
    devices = ET.SubElement(root, "devices")
    _disk(devices, spec.opencore, "sda", boot=1)
    _disk(devices, spec.disk, "sdb", boot=2)
    ET.SubElement(devices, "controller", type="usb", model="qemu-xhci")
    ET.SubElement(devices, "input", type="keyboard", bus="usb")
    ET.SubElement(devices, "input", type="tablet", bus="usb")
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "target", port="0")
    ET.SubElement(devices, "graphics", type="vnc", autoport="yes", listen=LOOPBACK)
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="vga")
    # Without this element libvirt adds a balloon device.
    ET.SubElement(devices, "memballoon", model="none")


def _disk(devices: ET.Element, path: Path, name: str, *, boot: int) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2" if path.suffix == ".qcow2" else "raw")
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev=name, bus="sata")
    ET.SubElement(disk, "boot", order=str(boot))


def _qemu_arguments(root: ET.Element, spec: MacDomain) -> None:
    """Add QEMU options for which libvirt has no element: SMC, board, network with SSH's port."""
    card = "virtio-net-pci" if spec.release >= _VIRTIO_SINCE else "vmxnet3"
    forward = f"hostfwd=tcp:{LOOPBACK}:{spec.ssh_port}-:22"
    line = ET.SubElement(root, f"{{{_QEMU_NAMESPACE}}}commandline")
    # QEMU reads ",," as a comma within a value. restrict=on keeps the guest off the host's
    # networks, but not the forwarded port. An empty romfile= leaves out the card's boot ROM.
    for argument in (
        *("-device", f"isa-applesmc,osk={spec.osk.replace(',', ',,')}"),
        *("-smbios", "type=2"),
        *("-netdev", f"user,id=ssh,restrict=on,{forward}"),
        *("-device", f"{card},netdev=ssh,mac={_MAC},bus=pcie.0,addr={_NET_SLOT},romfile="),
    ):
        ET.SubElement(line, f"{{{_QEMU_NAMESPACE}}}arg", value=argument)
