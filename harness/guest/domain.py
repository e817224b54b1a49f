# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""One libvirt domain: create or restore it paused, receive its events, save and destroy it.

The domain is transient: libvirt forgets it when it ends. This module does not read the console
(`console` does) and is independent of the system in the guest.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree as ET

import libvirt_qemu

import libvirt
from harness.errors import HypervisorError
from harness.guest.console_stream import ConsoleStream
from harness.guest.domain_xml import NETDEV_ID
from harness.guest.hypervisor import Hypervisor
from harness.model.settings import LOOPBACK

_LOG = logging.getLogger(__name__)
_SSH_PORT = 22


class EndDetail(Enum):
    """How a domain has ended, according to libvirt; FAILED also stands for any other reason."""

    POWERED_OFF = "powered off"
    DESTROYED = "destroyed"
    CRASHED = "crashed"
    FAILED = "failed"


class DomainState(Enum):
    """The state of a domain according to libvirt; GONE when libvirt no longer knows it."""

    RUNNING = "running"
    PAUSED = "paused"
    CRASHED = "crashed"
    SHUTOFF = "shut off"
    GONE = "gone"


_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_CRASHED: DomainState.CRASHED,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainState.SHUTOFF,
    libvirt.VIR_DOMAIN_SHUTOFF: DomainState.SHUTOFF,
}
_EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}


_ENDS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: EndDetail.POWERED_OFF,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: EndDetail.DESTROYED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: EndDetail.CRASHED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: EndDetail.FAILED,
}


@dataclass(frozen=True, kw_only=True)
class DomainEvent:
    """One event in a domain's life, at the time `at` (seconds on the monotonic clock).

    `kind` is started, suspended, resumed, stopped, shutdown or crashed, or "event-N" for the event
    to which libvirt gives another number N. `detail` is libvirt's number for the reason.
    """

    at: float
    kind: str
    detail: int

    @property
    def description(self) -> str:
        """A description of the domain event in words."""
        end = _ENDS.get(self.detail) if self.kind == "stopped" else None
        return f"the guest {self.kind}" + (f" ({end.value})" if end else "")


class Domain:
    """A transient libvirt domain, destroyed at the end of the `with` block unless kept by `keep`.

    Every method that calls libvirt raises HypervisorError with libvirt's message if the call
    fails.
    """

    def __init__(self, hv: Hypervisor, handle: Any) -> None:
        self._hv = hv
        self._handle = handle
        self._news = threading.Condition()
        self._events: list[DomainEvent] = []
        self._kept = False
        self.name: str = handle.name()
        with hv.translated(f"the events of domain {self.name} cannot be received"):
            self._callback: int | None = hv.conn.domainEventRegisterAny(
                handle, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_event, None
            )

    @classmethod
    def create(cls, hv: Hypervisor, xml: str, *, paused: bool = True) -> Self:
        """Create a domain and return it; unless `paused` is False, its CPUs wait for `resume`.

        The console of a paused domain can be attached before the guest prints anything.
        """
        with hv.translated("the domain cannot be created"):
            flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
            return cls(hv, hv.conn.createXML(xml, flags))

    @classmethod
    def restore(cls, hv: Hypervisor, save_file: Path, xml: str) -> Self:
        """Restore a domain from a file with a saved guest, and return it paused.

        The XML must keep the saved domain's name, uuid and devices. Paths of disks, sockets and
        logs, and the metadata, may differ.
        """
        with hv.translated(f"{save_file} cannot be restored"):
            hv.conn.restoreFlags(str(save_file), xml, libvirt.VIR_DOMAIN_SAVE_PAUSED)
        # The call returns no domain, unlike createXML.
        name, uuid = _identity(xml)
        with hv.translated(f"domain {name} is gone after its restore"):
            return cls(
                hv, hv.conn.lookupByUUIDString(uuid) if uuid else hv.conn.lookupByName(name)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kept:
            self._forget_events()
        else:
            self.destroy()

    @property
    def events(self) -> tuple[DomainEvent, ...]:
        """Every event of the domain that this object has received, oldest first."""
        with self._news:
            return tuple(self._events)

    @property
    def end_detail(self) -> EndDetail | None:
        """How the domain ended; None until libvirt's event has arrived."""
        with self._news:
            ends = [event.detail for event in self._events if event.kind == "stopped"]
        return _ENDS.get(ends[0], EndDetail.FAILED) if ends else None

    def evidence(self) -> tuple[str, ...]:
        """Return the last lines of the libvirt daemon's log and of QEMU's, as evidence of errors.

        The result is () at a URI that the user gave.
        """
        return self._hv.evidence()

    def wait_for_event(self, *kinds: str, deadline_s: float) -> DomainEvent:
        """Return the first event of one of these kinds, waiting for it until the deadline.

        libvirt's `state` may change a moment before the event arrives.
        Units: deadline_s is seconds from now on the monotonic clock.
        Raises: HypervisorError at the deadline, with the events that did arrive.
        """
        end = time.monotonic() + deadline_s
        with self._news:
            while True:
                for event in self._events:
                    if event.kind in kinds:
                        return event
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._news.wait(left)
            seen = tuple(f"{event.at:.3f} {event.kind}" for event in self._events)
        raise HypervisorError(
            f"domain {self.name} sent no event {' or '.join(kinds)}", evidence=seen
        )

    def state(self) -> DomainState:
        """Return the state of the domain now.

        SHUTOFF also stands for a state that libvirt does not name.
        """
        try:
            number = self._handle.state()[0]
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return DomainState.GONE
            with self._hv.translated(f"the state of domain {self.name} cannot be read"):
                raise
        return _STATES.get(number, DomainState.SHUTOFF)

    def resume(self) -> None:
        """Let the domain's CPUs run."""
        with self._hv.translated(f"domain {self.name} cannot be resumed"):
            self._handle.resume()

    def suspend(self) -> None:
        """Stop the guest's CPUs."""
        with self._hv.translated(f"domain {self.name} cannot be suspended"):
            self._handle.suspend()

    def save(self, path: Path) -> None:
        """Write the guest's memory and devices to a file; the domain ends, its disk is kept."""
        with self._hv.translated(f"domain {self.name} cannot be saved"):
            self._handle.save(str(path))

    def keep(self) -> None:
        """Let the domain continue to run after the `with` block."""
        self._kept = True

    def destroy(self) -> None:
        """End the domain; nothing happens when it has already ended."""
        # Set this first, because an end that the harness causes is no evidence against the guest.
        self._forget_events()
        self._hv.kill_guests()
        _destroy(self._hv, self._handle)

    def open_console(self) -> ConsoleStream:
        """Return the serial line; if opened while the domain is paused, it misses no byte."""
        with self._hv.translated(f"the console of domain {self.name} cannot be opened"):
            return ConsoleStream(self._hv.uri, self.name)

    def hmp(self, command: str) -> str:
        """Return the answer of QEMU's human monitor to a command."""
        with self._hv.translated(f"the monitor refused '{command}'"):
            flags = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
            answer: str = libvirt_qemu.qemuMonitorCommand(self._handle, command, flags)
        return answer.strip()

    def forward_ssh(self, *, attempts: int = 5) -> int:
        """Forward a loopback port of the host to the guest's port 22, and return the port.

        Another process may take the port before QEMU binds it; then another free port is tried.
        Raises: HypervisorError with QEMU's message after the last attempt.
        """
        answer = ""
        for attempt in range(attempts):
            port = _free_port()
            rule = f"hostfwd_add {NETDEV_ID} tcp:{LOOPBACK}:{port}-:{_SSH_PORT}"
            answer = self.hmp(rule)
            # The monitor prints nothing when the port was forwarded.
            if not answer:
                return port
            _LOG.info("port %d, attempt %d: %s", port, attempt + 1, answer)
        raise HypervisorError(f"the guest's SSH port cannot be forwarded: {answer}")

    def inject_nmi(self) -> None:
        """Send a non-maskable interrupt to the guest."""
        with self._hv.translated(f"domain {self.name} cannot be sent an NMI"):
            self._handle.injectNMI()

    def core_dump(self, path: Path) -> None:
        """Write the guest's memory as an ELF core; the domain's state does not change."""
        with self._hv.translated(f"the memory of domain {self.name} cannot be dumped"):
            # drgn 0.3 does not open the compressed formats that QEMU 7.2 writes.
            self._handle.coreDumpWithFormat(
                str(path), libvirt.VIR_DOMAIN_CORE_DUMP_FORMAT_RAW, libvirt.VIR_DUMP_MEMORY_ONLY
            )

    def _on_event(self, *arguments: Any) -> None:
        """Record one event; libvirt calls this with (conn, domain, event, detail, opaque)."""
        kind = _EVENTS.get(arguments[2], f"event-{arguments[2]}")
        with self._news:
            self._events.append(DomainEvent(at=time.monotonic(), kind=kind, detail=arguments[3]))
            self._news.notify_all()

    def _forget_events(self) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        try:
            self._hv.conn.domainEventDeregisterAny(callback)
        except libvirt.libvirtError as error:
            _LOG.debug("events of %s: %s", self.name, error)


def find(hv: Hypervisor, prefix: str) -> list[str]:
    """Return the names of libvirt's domains that begin with a prefix, sorted."""
    with hv.translated("the domains cannot be listed"):
        names = [handle.name() for handle in hv.conn.listAllDomains(0)]
    return sorted(name for name in names if name.startswith(prefix))


def destroy_by_name(hv: Hypervisor, name: str) -> bool:
    """End the domain of this name; return False if there was none or it had already ended.

    Raises: HypervisorError when libvirt cannot look it up or end it.
    """
    try:
        handle = hv.conn.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        with hv.translated(f"domain {name} cannot be looked up"):
            raise
    return _destroy(hv, handle)


def _destroy(hv: Hypervisor, handle: Any) -> bool:
    try:
        handle.destroy()
    except libvirt.libvirtError as error:
        # Either code means that the domain has already ended.
        if error.get_error_code() in {
            libvirt.VIR_ERR_NO_DOMAIN,
            libvirt.VIR_ERR_OPERATION_INVALID,
        }:
            return False
        with hv.translated("the domain cannot be destroyed"):
            raise
    return True


def _identity(xml: str) -> tuple[str, str]:
    """Return the name and uuid in a domain's XML; the uuid may be missing."""
    root = ET.fromstring(xml)  # noqa: S314 - the text comes from domain_xml
    return root.findtext("name", ""), root.findtext("uuid", "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def attach(hv: Hypervisor, name: str) -> Iterator[Domain]:
    """Give access to a domain that another process started; the domain continues afterwards.

    Raises: HypervisorError when there is no such domain.
    """
    with hv.translated(f"there is no domain {name}"):
        domain = Domain(hv, hv.conn.lookupByName(name))
    domain.keep()
    with domain:
        yield domain
