# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Render a DomainSpec as libvirt's domain XML: a small machine that boots a kernel directly.

This module reads and writes no files and does not call libvirt.
Source: https://libvirt.org/formatdomain.html.
"""

from collections.abc import Iterator
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
# The first five bytes of the addresses of further cards.
_CARD_MAC = "52:54:00:12:35"
_CARD_SLOT = 0x11
# QEMU gives the lowest free slot to a device of `qemu` that names none, and it does so before it
# makes the ports that libvirt placed in the lowest slots. So the ports are moved to these.
_PORT_SLOT = 0x19
_FUNCTIONS = 8
# Disks of root, modules and share, a shared folder, the source of random numbers; two are spare.
_PORTS = 7
# The letter of the first further disk; those before are the root, the modules and the share.
_FIRST_DISK = "d"

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
    _processors(root, spec)
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


def _processors(root: ET.Element, spec: DomainSpec) -> None:
    """Add the model of the processors to a domain's XML, and the NUMA nodes.

    Each node has its share of processors and memory.
    """
    if spec.cpu:
        cpu = ET.SubElement(root, "cpu", mode="custom", match="exact", check="none")
        _text(cpu, "model", spec.cpu, fallback="forbid")
    else:
        mode = "host-passthrough" if spec.accel is Accel.KVM else "maximum"
        cpu = ET.SubElement(root, "cpu", mode=mode)
    if spec.numa == 1:
        return
    nodes = ET.SubElement(cpu, "numa")
    for node in range(spec.numa):
        first, end = (spec.vcpus * number // spec.numa for number in (node, node + 1))
        start_mib, end_mib = (spec.memory_mib * number // spec.numa for number in (node, node + 1))
        ET.SubElement(
            nodes,
            "cell",
            id=str(node),
            cpus=f"{first}-{end - 1}",
            memory=str(end_mib - start_mib),
            unit="MiB",
        )


def _devices(root: ET.Element, spec: DomainSpec) -> None:
    devices = ET.SubElement(root, "devices")
    if spec.emulator is not None:
        _text(devices, "emulator", str(spec.emulator))
    # libvirt adds this controller and the memory balloon below unless the XML says none.
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
    for number, file in enumerate(spec.disks):
        name = f"vd{chr(ord(_FIRST_DISK) + number)}"
        disk = _disk(devices, file, name, form="raw", cache="unsafe")
        # The guest's udev makes /dev/disk/by-id/virtio-diskN of it.
        _text(disk, "serial", f"disk{number}")
    for address in spec.pci:
        _host_device(devices, address)
    if spec.qemu:
        _ports(devices, _PORTS + len(spec.disks) + len(spec.pci))


def _ports(devices: ET.Element, count: int) -> None:
    """Add PCIe ports for `count` devices of the domain, in high slots of the root bus."""
    for number in range(count):
        slot, function = divmod(number, _FUNCTIONS)
        port = ET.SubElement(
            devices, "controller", type="pci", index=str(number + 1), model="pcie-root-port"
        )
        place = {"bus": "0", "slot": str(_PORT_SLOT + slot), "function": str(function)}
        place |= {} if function else {"multifunction": "on"}
        ET.SubElement(port, "address", {"type": "pci", "domain": "0", **place})


def _host_device(devices: ET.Element, address: str) -> None:
    """Add a PCI device of the host to the domain; libvirt takes it from the host's driver."""
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    device = ET.SubElement(devices, "hostdev", mode="subsystem", type="pci", managed="yes")
    place = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    source = ET.SubElement(device, "source")
    ET.SubElement(source, "address", {name: f"0x{value}" for name, value in place.items()})


def _disk(
    devices: ET.Element, path: Path, name: str, *, form: str, cache: str, readonly: bool = False
) -> ET.Element:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type=form, cache=cache)
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev=name, bus="virtio")
    if readonly:
        ET.SubElement(disk, "readonly")
    return disk


def _qemu_arguments(root: ET.Element, spec: DomainSpec) -> None:
    """Add QEMU options for which libvirt 9 has no element: user network, second monitor, hub.

    The target's own arguments come last.
    The network lets no connection out (restrict=on). A host port is forwarded to the guest's SSH
    port only later, while the guest runs, because no free port is known yet.
    """
    line = ET.SubElement(root, f"{{{_QEMU_NAMESPACE}}}commandline")
    for argument in (
        *("-netdev", f"user,id={NETDEV_ID},restrict=on"),
        # The kernel is booted directly, so no card needs a boot ROM.
        *("-device", f"virtio-net-pci,netdev={NETDEV_ID},mac={_MAC},addr={_NET_SLOT},romfile="),
        *("-qmp", f"unix:{_option(spec.qmp_socket)},server=on,wait=off"),
        *_network_cards(spec),
        *spec.qemu,
    ):
        ET.SubElement(line, f"{{{_QEMU_NAMESPACE}}}arg", value=argument)


def _network_cards(spec: DomainSpec) -> Iterator[str]:
    """Yield QEMU's arguments for further network cards, all of them on one hub inside of QEMU."""
    for number, model in enumerate(spec.nics):
        yield from ("-netdev", f"hubport,id=card{number},hubid=1")
        mac = f"{_CARD_MAC}:{number:02x}"
        slot = f"{_CARD_SLOT + number:#x}"
        yield from ("-device", f"{model},netdev=card{number},mac={mac},addr={slot},romfile=")


def _option(path: Path) -> str:
    """Return a path as the value of a QEMU option, which needs its commas doubled."""
    return str(path).replace(",", ",,")
