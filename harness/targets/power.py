# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Power and snapshots of a target that the user boots: by virsh and qemu-img, or by vmrun.

A target has power control only if its type offers it; a target of type ssh is refused with a
reason. libvirt has a driver for VMware, too, but without addresses and snapshots. The user's own
.vmx file is never written to.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.errors import HypervisorError, UsageError
from harness.host import accelerator, tool
from harness.model.settings import LOOPBACK
from harness.targets import mac_domain_xml
from harness.targets.mac_domain_xml import MacDomain
from harness.targets.target_file import Kind, LibvirtSpec, RemoteSpec

_STEP_S = 120.0
_ADDRESS_S = 300.0


class Power(Protocol):
    """The interface for switching a target's machine on and off, and for its snapshots."""

    def start(self) -> None:
        """Switch the machine on; one that is already on is left as it is."""

    def stop(self) -> None:
        """Switch the machine off at once, without shutting the system down."""

    def is_on(self) -> bool:
        """Return whether the machine is on."""

    def address(self) -> str:
        """Return the address of the machine's SSH server."""

    def snapshot(self, name: str) -> None:
        """Save the machine's state under a name."""

    def revert(self, name: str) -> None:
        """Restore the machine's state that has this name."""

    def snapshots(self) -> tuple[str, ...]:
        """Return the names of the machine's saved states."""


def of(spec: RemoteSpec) -> Power:
    """Return the object that controls the power of a target's machine: Virsh or Vmrun.

    Raises: UsageError for a target of type ssh, whose power only its user controls, and for a
        VMware guest whose .vmx does not exist.
    """
    if spec.type is Kind.LIBVIRT:
        return Virsh(spec)
    if spec.type is Kind.VMWARE:
        return Vmrun(spec)
    raise UsageError(
        f"target {spec.name} is reached by SSH alone",
        hint="switch it on yourself; type = libvirt or vmware gives the harness that power",
    )


def locate(spec: RemoteSpec) -> RemoteSpec:
    """Return a target with its address; if the user has not given one, ask its machine.

    A target of type ssh is returned unchanged, and so is a VMware guest that is off: it has no
    address.
    Raises: HypervisorError when the guest's tools report no address; UsageError when a program or
        the .vmx is missing.
    """
    if spec.host or spec.type is Kind.SSH:
        return spec
    machine = of(spec)
    if spec.type is Kind.VMWARE and not machine.is_on():
        return spec
    return replace(spec, host=machine.address())


def domain_of(spec: RemoteSpec) -> MacDomain:
    """Return what is needed to define a libvirt target as a macOS guest, from its description.

    Raises: UsageError that names the files which the user has not given.
    """
    own = spec.libvirt
    files = ("firmware", "variables", "opencore", "disk", "osk_file")
    missing = [name for name in files if not getattr(own, name).is_file()]
    if missing:
        raise UsageError(
            f"target {spec.name}: libvirt.{', libvirt.'.join(missing)}: no such file",
            hint="docs/macos.md, 'A guest of QEMU', says what you have to bring",
        )
    return MacDomain(
        name=_domain_name(spec),
        firmware=own.firmware,
        variables=own.variables,
        opencore=own.opencore,
        disk=own.disk,
        osk=own.osk_file.read_text().strip(),
        ssh_port=spec.port,
        release=own.release,
        memory_mib=own.memory_mib,
        vcpus=own.vcpus,
        accel=accelerator.usable_accel()[0],
    )


class Virsh:
    """A guest of libvirt and QEMU, defined under the user's own URI."""

    def __init__(self, spec: RemoteSpec) -> None:
        self._spec = spec
        self._own: LibvirtSpec = spec.libvirt
        self._name = _domain_name(spec)

    def start(self) -> None:
        """Switch the guest on, unless it is on already; a guest that is on is left as it is.

        Before it is switched on, it is defined, and libvirt checks that by its own schema.
        Raises: UsageError for a missing file; HypervisorError with virsh's message.
        """
        if self.is_on():
            return
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            file = Path(folder) / "domain.xml"
            file.write_text(mac_domain_xml.render(domain_of(self._spec)))
            self._virsh("define", "--validate", str(file))
        self._virsh("start", self._name)

    def stop(self) -> None:
        """Switch the guest off."""
        if self.is_on():
            self._virsh("destroy", self._name)

    def is_on(self) -> bool:
        """Return whether the guest is on: defined, and neither shut off nor crashed."""
        try:
            return self._virsh("domstate", self._name).strip() not in {"shut off", "crashed"}
        except HypervisorError as error:
            if any("failed to get domain" in line for line in error.evidence):
                return False
            raise

    def address(self) -> str:
        """Return this host's loopback address, of which QEMU forwards a port to the guest."""
        return LOOPBACK

    def snapshot(self, name: str) -> None:
        """Save both disks and the firmware's variables; the guest must be off.

        libvirt takes no snapshot of a guest with such firmware, so qemu-img does it.
        If a step fails, the disks keep no snapshot of this name.
        Raises: UsageError when the guest is on, a disk is not qcow2, or the name is none or taken;
            HypervisorError.
        """
        self._off("snapshot")
        if not name or "/" in name or name in self.snapshots():
            raise UsageError(f"no snapshot can be called {name!r}: it is no name, or it is taken")
        saved: list[Path] = []
        try:
            for disk in self._disks():
                _run("qemu-img", "snapshot", "-c", name, str(disk))
                saved.append(disk)
            shutil.copy2(self._own.variables, self._variables(name))
        except BaseException:
            # qemu-img allows a second snapshot of the same name, and restores the first.
            for disk in saved:
                _run("qemu-img", "snapshot", "-d", name, str(disk))
            raise

    def revert(self, name: str) -> None:
        """Restore both disks and the firmware's variables; the guest must be off.

        Raises: UsageError when the guest is on, or has no snapshot of this name; HypervisorError.
        """
        self._off("revert")
        if name not in self.snapshots():
            raise UsageError(
                f"no snapshot '{name}'; there are: {', '.join(self.snapshots()) or 'none'}"
            )
        for disk in self._disks():
            _run("qemu-img", "snapshot", "-a", name, str(disk))
        shutil.copy2(self._variables(name), self._own.variables)

    def snapshots(self) -> tuple[str, ...]:
        """Return the names of the guest's saved states."""
        kept = self._variables("")
        return tuple(
            sorted(path.name.removeprefix(kept.name) for path in kept.parent.glob(f"{kept.name}*"))
        )

    def _variables(self, name: str) -> Path:
        own = self._own.variables
        return own.with_name(f"{own.name}.snapshot-{name}")

    def _disks(self) -> tuple[Path, ...]:
        found = (self._own.opencore, self._own.disk)
        raw = [disk.name for disk in found if disk.suffix != ".qcow2"]
        if raw:
            raise UsageError(
                f"a raw disk keeps no snapshot: {', '.join(raw)}",
                hint="qemu-img convert -O qcow2 DISK DISK.qcow2",
            )
        return found

    def _off(self, what: str) -> None:
        if self.is_on():
            raise UsageError(
                f"{self._name} is on: a {what} needs it off", hint="shut it down first"
            )

    def _virsh(self, *words: str) -> str:
        return _run("virsh", "-q", "-c", self._own.uri, *words)


class Vmrun:
    """A VMware guest, controlled by the vmrun program."""

    def __init__(self, spec: RemoteSpec) -> None:
        self._own = spec.vmware
        self._vmx = str(spec.vmware.vmx)
        if not spec.vmware.vmx.is_file():
            raise UsageError(
                f"target {spec.name}: vmware.vmx: no such file: {self._vmx}",
                hint="the .vmx of a guest that you have set up in VMware",
            )

    def start(self) -> None:
        """Switch the guest on, without a window."""
        if not self.is_on():
            self._vmrun("start", self._vmx, "nogui")

    def stop(self) -> None:
        """Switch the guest off."""
        if self.is_on():
            self._vmrun("stop", self._vmx, "hard")

    def is_on(self) -> bool:
        """Return whether vmrun lists the guest as running."""
        # The first line is the number of running guests.
        return self._vmx in self._vmrun("list").splitlines()[1:]

    def address(self) -> str:
        """Wait for the address that the guest's tools report, and return it.

        Raises: HypervisorError when they report none in time.
        """
        return self._vmrun("getGuestIPAddress", self._vmx, "-wait", limit_s=_ADDRESS_S).strip()

    def snapshot(self, name: str) -> None:
        """Save the guest's state, whether it is on or off."""
        self._vmrun("snapshot", self._vmx, name)

    def revert(self, name: str) -> None:
        """Restore a state; the guest is off afterwards unless it was saved while running."""
        self._vmrun("revertToSnapshot", self._vmx, name)

    def snapshots(self) -> tuple[str, ...]:
        """Return the names of the guest's saved states, as vmrun lists them."""
        return tuple(self._vmrun("listSnapshots", self._vmx).splitlines()[1:])

    def _vmrun(self, *words: str, limit_s: float = _STEP_S) -> str:
        return _run(self._own.vmrun, "-T", self._own.host_type, *words, limit_s=limit_s)


def _domain_name(spec: RemoteSpec) -> str:
    return spec.libvirt.domain or f"harness-{spec.name}"


def _run(*command: str, limit_s: float = _STEP_S) -> str:
    """Run a command and return its output.

    Raises: HypervisorError when the command fails, with its output, or does not end in time;
        UsageError when the program is missing.
    """
    shown = " ".join(command[:1] + _verb(command[1:]))
    done = tool.run(command, deadline_s=limit_s, error=UsageError, check=False)
    if done.status is None:
        raise HypervisorError(f"{shown} has not returned for {limit_s:.0f} s")
    if done.status != 0:
        # vmrun writes its error messages to standard output.
        raise HypervisorError(f"{shown} failed", evidence=done.lines[-10:])
    return done.text


def _verb(words: Sequence[str]) -> tuple[str, ...]:
    """Return the subcommand in a command line of virsh or vmrun, as a tuple; () if it has none.

    It is the first word that is neither an option nor an option's value.
    """
    found = [
        word
        for before, word in zip(("", *words), words, strict=False)
        if not word.startswith("-") and before not in {"-c", "-T"}
    ]
    return tuple(found[:1])
