# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.domain_xml: the XML has every value of the spec, and escapes markup in it."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.guest.domain_xml import RUN_NAMESPACE, render
from harness.model.domain import DomainSpec
from harness.model.settings import Accel

QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
SPEC = DomainSpec(
    name="harness",
    uuid="6f1c2f5e-0d5e-4b8e-9d53-0a3b8a5d8f10",
    run_id="20260101-000000-abcd",
    accel=Accel.TCG,
    arch="x86_64",
    memory_mib=768,
    vcpus=2,
    vmlinuz=Path("/k/vmlinuz"),
    initrd=Path("/k/initrd"),
    cmdline="console=ttyS0",
    overlay=Path("/r/overlay.qcow2"),
    modules_disk=Path("/k/modules.ext4"),
    qmp_socket=Path("/r/qmp"),
)


def parsed(spec: DomainSpec) -> ET.Element:
    """Return the rendered spec as an element tree."""
    return ET.fromstring(render(spec))  # noqa: S314 - our own text


def arguments(root: ET.Element) -> list[str]:
    """Return the arguments that are passed to QEMU directly."""
    return [arg.attrib["value"] for arg in root.iter(f"{QEMU}arg")]


@pytest.mark.parametrize(
    ("accel", "kind", "cpu"),
    [(Accel.TCG, "qemu", "maximum"), (Accel.KVM, "kvm", "host-passthrough")],
)
def test_the_accelerator_chooses_domain_type_and_cpu(accel: Accel, kind: str, cpu: str) -> None:
    """The XML has type qemu and every CPU feature for TCG, and the host's CPU for KVM."""
    root = parsed(replace(SPEC, accel=accel))

    assert root.attrib["type"] == kind
    assert root.find("cpu[@mode]") is not None
    assert root.findall("cpu")[0].attrib["mode"] == cpu


def test_the_domain_stays_after_a_panic_and_ends_after_a_reset() -> None:
    """A crashed guest stays so that its memory can be read; a guest that resets is ended."""
    root = parsed(SPEC)

    assert root.findtext("on_crash") == "preserve"
    assert root.findtext("on_reboot") == "destroy"
    assert root.find("devices/panic[@model='isa']") is not None
    assert root.find("features/vmcoreinfo[@state='on']") is not None


def test_the_root_disk_is_writable_and_the_disk_of_modules_read_only() -> None:
    """In the XML the root disk is vda, and the disk with the kernel's modules is vdb."""
    disks = {disk.findall("target")[0].attrib["dev"]: disk for disk in parsed(SPEC).iter("disk")}

    assert disks["vda"].findall("source")[0].attrib["file"] == "/r/overlay.qcow2"
    assert disks["vda"].find("readonly") is None
    assert disks["vdb"].findall("source")[0].attrib["file"] == "/k/modules.ext4"
    assert disks["vdb"].find("readonly") is not None


def test_a_shared_folder_is_a_file_system_that_the_guest_may_write_to() -> None:
    """The XML passes a shared folder of the host under its tag; without one there is none."""
    shared = parsed(replace(SPEC, shared_folder=Path("/home/me/a & b"))).find("devices/filesystem")

    assert shared is not None
    assert shared.attrib["accessmode"] == "squash"
    assert [one.attrib for one in shared] == [{"dir": "/home/me/a & b"}, {"dir": "harness-share"}]
    assert parsed(SPEC).find("devices/filesystem") is None


def test_the_guest_reaches_no_network_and_no_port_is_forwarded() -> None:
    """The guest reaches no network, and the XML forwards no port."""
    netdev = arguments(parsed(SPEC))[1]

    assert "restrict=on" in netdev
    assert "hostfwd" not in netdev


def test_the_domains_metadata_contains_the_run_id() -> None:
    """The domain's metadata names the run that it belongs to."""
    run = parsed(SPEC).find(f"metadata/{{{RUN_NAMESPACE}}}run")

    assert run is not None
    assert run.attrib["id"] == "20260101-000000-abcd"


def test_markup_and_commas_in_values_are_escaped_in_the_domains_xml() -> None:
    """Markup in a value stays text, and a comma in a path does not start a QEMU option."""
    nasty = "</cmdline><on_crash>destroy</on_crash> & \"'"
    root = parsed(replace(SPEC, cmdline=nasty, qmp_socket=Path("/r/a,server=off")))

    assert root.findtext("os/cmdline") == nasty
    assert [crash.text for crash in root.iter("on_crash")] == ["preserve"]
    assert "unix:/r/a,,server=off,server=on,wait=off" in arguments(root)


def test_shared_disk_and_console_log_are_in_the_xml_only_if_requested() -> None:
    """The shared disk and QEMU's console log are in the XML only if the spec has their path."""
    bare = parsed(SPEC)
    full = parsed(replace(SPEC, share=Path("/src"), console_log=Path("/r/console")))

    assert bare.find("devices/disk/target[@dev='vdc']") is None
    assert bare.find("devices/serial/log") is None
    assert full.find("devices/disk/source[@file='/src']") is not None
    assert len(full.findall("devices/disk/readonly")) == 2
    assert full.find("devices/serial/log[@file='/r/console']") is not None


def test_a_cpu_model_and_numa_nodes_become_elements_of_the_domains_cpu_element() -> None:
    """The guest gets exactly the named CPU; CPUs and memory are spread over the NUMA nodes."""
    root = parsed(replace(SPEC, cpu="Skylake-Client", numa=2, vcpus=5, memory_mib=1001))

    cpu = root.findall("cpu")[0]
    assert (cpu.attrib["mode"], cpu.findtext("model")) == ("custom", "Skylake-Client")
    assert cpu.attrib["match"] == "exact"
    cells = [(one.attrib["cpus"], one.attrib["memory"]) for one in cpu.iter("cell")]
    assert cells == [("0-1", "500"), ("2-4", "501")]


def test_further_disks_have_names_and_serial_numbers() -> None:
    """A guest's further empty disks have serial numbers, by which the guest finds each one."""
    disks = list(parsed(replace(SPEC, disks=(Path("/r/0"), Path("/r/1")))).iter("disk"))[2:]

    names = [disk.findall("target")[0].attrib["dev"] for disk in disks]
    assert names == ["vdd", "vde"]
    assert [disk.findtext("serial") for disk in disks] == ["disk0", "disk1"]


def test_additional_network_cards_are_connected_to_one_qemu_hub() -> None:
    """A guest's further network cards reach each other, but not the host or its network."""
    words = arguments(parsed(replace(SPEC, nics=("e1000e", "virtio-net-pci"))))

    assert words[-8:] == [
        "-netdev",
        "hubport,id=card0,hubid=1",
        "-device",
        "e1000e,netdev=card0,mac=52:54:00:12:35:00,addr=0x11,romfile=",
        "-netdev",
        "hubport,id=card1,hubid=1",
        "-device",
        "virtio-net-pci,netdev=card1,mac=52:54:00:12:35:01,addr=0x12,romfile=",
    ]


def test_a_pci_device_becomes_a_hostdev_element_and_the_users_qemu_arguments_come_last() -> None:
    """A PCI device of the host is libvirt's hostdev; further arguments come last."""
    root = parsed(replace(SPEC, pci=("0000:03:00.1",), qemu=("-device", "edu")))

    address = root.findall("devices/hostdev/source/address")[0]
    assert address.attrib == {
        "domain": "0x0000",
        "bus": "0x03",
        "slot": "0x00",
        "function": "0x1",
    }
    assert arguments(root)[-2:] == ["-device", "edu"]


def test_the_xml_has_pci_ports_in_high_slots_only_if_the_guest_has_own_qemu_arguments() -> None:
    """Ports in slots 25 and up leave the low PCI slots to devices of the user's arguments."""
    root = parsed(replace(SPEC, qemu=("-device", "edu"), disks=(Path("/r/0"),) * 3))

    places = [
        (one.attrib["slot"], one.attrib["function"])
        for one in root.findall("devices/controller[@model='pcie-root-port']/address")
    ]
    assert places == [*(("25", str(number)) for number in range(8)), ("26", "0"), ("26", "1")]
    assert parsed(SPEC).find("devices/controller[@model='pcie-root-port']") is None
