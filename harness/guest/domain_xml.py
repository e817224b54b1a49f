# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Render a DomainSpec as libvirt's domain XML: a small machine that boots a kernel directly.

This module reads and writes no files and does not call libvirt.
Source: https://libvirt.org/formatdomain.html.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

from harness.model.domain import DomainSpec
from harness.model.settings import Accel

NETDEV_ID = "ssh"
RUN_NAMESPACE = "urn:modlab:run"
_QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
# libvirt assigns slots from 1 upwards, and with few devices never reaches this one.
_NET_SLOT = "0x10"
# QEMU's default address. It is fixed here, because a restored guest keeps the address with which
# it booted.
_MAC = "52:54:00:12:34:56"

# The name under which a guest mounts a host folder; also the label of a disk with a copy of one.
SHARE_TAG = "harness-share"


def render(spec: DomainSpec) -> str:
    """Return the domain XML for a spec; the XML library escapes every value.

    On a panic the domain is preserved, so that its memory can be read. On a reset the domain ends,
    so that a guest which restarted itself is not mistaken for one that still runs.
    """
    ET.register_namespace("qemu", _QEMU_NAMESPACE)
    ET.register_namespace("harness", RUN_NAMESPACE)
    root = ET.Element("domain", type="kvm" if spec.accel is Accel.KVM else "qemu")
    _text(root, "name", spec.name)
    _text(root, "uuid", spec.uuid)
    metadata = ET.SubElement(root, "metadata")
    ET.SubElement(metadata, f"{{{RUN_NAMESPACE}}}run", id=spec.run_id)
    _text(root, "memory", str(spec.memory_mib), unit="MiB")
    _text(root, "vcpu", str(spec.vcpus))
    _boot(root, spec)
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    # With this device a memory dump includes vmcoreinfo, the kernel's description of itself, which
    # drgn needs.
    ET.SubElement(features, "vmcoreinfo", state="on")
    mode = "host-passthrough" if spec.accel is Accel.KVM else "maximum"
    ET.SubElement(root, "cpu", mode=mode)
    ET.SubElement(root, "clock", offset="utc")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "destroy")
    _text(root, "on_crash", "preserve")
    _devices(root, spec)
    _qemu_arguments(root, spec)
    return ET.tostring(root, encoding="unicode")


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _boot(root: ET.Element, spec: DomainSpec) -> None:
    boot = ET.SubElement(root, "os")
    _text(boot, "type", "hvm", arch=spec.arch, machine="q35")
    _text(boot, "kernel", str(spec.vmlinuz))
    _text(boot, "initrd", str(spec.initrd))
    _text(boot, "cmdline", spec.cmdline)


def _devices(root: ET.Element, spec: DomainSpec) -> None:
    devices = ET.SubElement(root, "devices")
    if spec.emulator is not None:
        _text(devices, "emulator", str(spec.emulator))
    ET.SubElement(devices, "controller", type="usb", model="none")
    # The overlay is deleted with the run, so flushing it to the host's disk would only cost time.
    _disk(devices, spec.overlay, "vda", form="qcow2", cache="unsafe")
    _disk(devices, spec.modules_disk, "vdb", form="raw", cache="writeback", readonly=True)
    serial = ET.SubElement(devices, "serial", type="pty")
    if spec.console_log is not None:
        ET.SubElement(serial, "log", file=str(spec.console_log), append="on")
    ET.SubElement(serial, "target", port="0")
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    ET.SubElement(devices, "memballoon", model="none")
    # The device pvpanic, through which a kernel reports that it panicked.
    ET.SubElement(devices, "panic", model="isa")
    if spec.share is not None:
        _disk(devices, spec.share, "vdc", form="raw", cache="writeback", readonly=True)
    if spec.shared_folder is not None:
        # QEMU's user owns what the guest makes there, and may be unable to change an owner.
        shared = ET.SubElement(devices, "filesystem", type="mount", accessmode="squash")
        ET.SubElement(shared, "source", dir=str(spec.shared_folder))
        ET.SubElement(shared, "target", dir=SHARE_TAG)


def _disk(
    devices: ET.Element, path: Path, name: str, *, form: str, cache: str, readonly: bool = False
) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type=form, cache=cache)
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev=name, bus="virtio")
    if readonly:
        ET.SubElement(disk, "readonly")


def _qemu_arguments(root: ET.Element, spec: DomainSpec) -> None:
    """Add QEMU options for which libvirt 9 has no element: user network, second monitor.

    The network lets no connection out (restrict=on). A host port is forwarded to the guest's SSH
    port only later, while the guest runs, because no free port is known yet.
    """
    line = ET.SubElement(root, f"{{{_QEMU_NAMESPACE}}}commandline")
    for argument in (
        *("-netdev", f"user,id={NETDEV_ID},restrict=on"),
        *("-device", f"virtio-net-pci,netdev={NETDEV_ID},mac={_MAC},addr={_NET_SLOT},romfile="),
        *("-qmp", f"unix:{_option(spec.qmp_socket)},server=on,wait=off"),
    ):
        ET.SubElement(line, f"{{{_QEMU_NAMESPACE}}}arg", value=argument)


def _option(path: Path) -> str:
    """Return a path as the value of a QEMU option, which needs its commas doubled."""
    return str(path).replace(",", ",,")
