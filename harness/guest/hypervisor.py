# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Connect to libvirt: to the private daemon of a run, or to a URI that the user gives.

`domain` handles single domains, and `libvirtd` runs the private daemon.
"""

import functools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from harness import hints
from harness.errors import HypervisorError
from harness.guest import libvirtd

_LOG = logging.getLogger(__name__)
_EVIDENCE_LINES = 15
_NO_RIGHT = "this user may not use that daemon (add it to group libvirt), or leave out --uri"
_NO_QEMU = f"install QEMU (package qemu-system-x86), or run {hints.command('setup')}"

# A hint applies if libvirt's message contains all of its words, in lower case. The first match
# wins.
_HINTS = (
    (("authentication",), _NO_RIGHT),
    (("permission denied", "libvirt-sock"), _NO_RIGHT),
    (("permission denied",), "the user that QEMU runs as must reach every file of the run"),
    (
        ("failed to connect socket",),
        "is a libvirt daemon running there? Without --uri the harness starts its own",
    ),
    (("no emulator",), _NO_QEMU),
    (("cannot find suitable emulator",), _NO_QEMU),
    (("no connection driver",), "install the package libvirt-daemon-driver-qemu"),
    (
        ("does not match source",),
        "the snapshot is from another machine; --fresh boots a guest instead of restoring it",
    ),
)
# Six questions, ten seconds apart: a lost remote host is noticed after a minute.
_KEEPALIVE_S = 10
_KEEPALIVE_COUNT = 6


@dataclass(frozen=True, kw_only=True)
class Hypervisor:
    """An open connection to libvirt, and the versions of libvirt and QEMU at its other end.

    `private` means that the daemon belongs to the run. `versions` are version numbers by the
    names "libvirt" and "qemu"; {} when libvirt does not report them.
    """

    conn: Any = field(repr=False)
    uri: str
    private: bool
    daemon_pid: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    daemon: libvirtd.Daemon | None = field(default=None, repr=False)

    def detach(self) -> None:
        """Let the private libvirt daemon and its guest run on when this process ends (`--keep`).

        The URI stays valid for later processes; `stop_daemon` with the same runtime folder ends
        both. Without a private daemon nothing happens.
        Raises: HypervisorError when the daemon's parent process does not release it.
        """
        if self.daemon is not None:
            self.daemon.detach()

    def kill_guests(self) -> None:
        """Kill the guests of the private libvirt daemon at once, none at a URI of the user's.

        libvirt's own destroy first asks QEMU to end, which takes 1 to 2 s.
        """
        if self.daemon is not None:
            libvirtd.kill_guests(self.daemon.runtime)

    def evidence(self) -> tuple[str, ...]:
        """Return the last lines of the private libvirt daemon's log and of its guests' QEMU logs.

        The result is () for a URI that the user gave.
        """
        if self.daemon is None:
            return ()
        logs = libvirtd.log_paths(self.daemon.runtime)
        return tuple(line for log in logs for line in libvirtd.tail(log, _EVIDENCE_LINES))

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn a libvirt error in the block into a HypervisorError about the action `what`.

        `what` says what failed, such as 'the domain cannot be created', and begins the error's
        text.
        """
        try:
            yield
        except libvirt.libvirtError as error:
            raise _translate(error, what, evidence=self.evidence()) from error


@contextmanager
def connect(
    uri: str | None, *, runtime: Path, cache: Path, mask_kvm: bool
) -> Iterator[Hypervisor]:
    """Connect to libvirt at a URI, or, without a URI, to a new private daemon for one run.

    The daemon's files are in the folder `runtime`. At the end of the block the private daemon and
    its guests are stopped, unless `detach` was called.
    Raises: HypervisorError with libvirt's message, a hint and the daemon's log.
    """
    _start_event_loop()
    if uri is not None:
        with _open(uri) as conn:
            _keep_alive(conn)
            yield Hypervisor(conn=conn, uri=uri, private=False, versions=_versions(conn))
        return
    daemon = libvirtd.start(runtime, cache=cache, mask_kvm=mask_kvm)
    try:
        own = f"qemu+unix:///session?socket={daemon.socket}"
        with _open(own, log=runtime / "libvirtd.log") as conn:
            yield Hypervisor(
                conn=conn,
                uri=own,
                private=True,
                daemon_pid=daemon.pid,
                versions=_versions(conn),
                daemon=daemon,
            )
    finally:
        daemon.close()


def stop_daemon(runtime: Path) -> bool:
    """Kill the libvirt daemon and the guests of a dead run; return whether any of them ran."""
    return libvirtd.stop(runtime)


def guest_alive(runtime: Path, *, private: bool) -> bool:
    """Return whether a run's guest still runs; always True for a guest at a URI of the user's."""
    return not private or bool(libvirtd.guest_pids(runtime))


@contextmanager
def _open(uri: str, *, log: Path | None = None) -> Iterator[Any]:
    try:
        conn = libvirt.open(uri)
    except libvirt.libvirtError as error:
        evidence = libvirtd.tail(log, _EVIDENCE_LINES) if log else ()
        raise _translate(error, f"cannot connect to {uri}", evidence=evidence) from error
    try:
        yield conn
    finally:
        try:
            conn.close()
        except libvirt.libvirtError as error:
            _LOG.info("closing %s: %s", uri, error)


def _keep_alive(conn: Any) -> None:
    """Let libvirt detect within a minute that a remote host is gone.

    Nothing happens for a connection that does not support this.
    """
    try:
        conn.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
        _LOG.debug("no keepalive: %s", error)


def _translate(error: Any, what: str, *, evidence: tuple[str, ...]) -> HypervisorError:
    words = error.get_error_message() or str(error)
    return HypervisorError(f"{what}: {words}", hint=_hint(words), evidence=evidence)


def _hint(words: str) -> str:
    """Return a hint for an error message of libvirt, or "" if none is known."""
    lower = words.lower()
    return next((hint for needles, hint in _HINTS if all(n in lower for n in needles)), "")


def _versions(conn: Any) -> dict[str, str]:
    try:
        numbers = {"libvirt": conn.getLibVersion(), str(conn.getType()): conn.getVersion()}
    except libvirt.libvirtError as error:
        _LOG.info("versions: %s", error)
        return {}
    return {
        # libvirt encodes version 9.0.1 as 9000001.
        name.lower(): f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
        for name, number in numbers.items()
    }


@functools.cache
def _start_event_loop() -> None:
    """Run libvirt's event loop in a thread; libvirt requires it before the first connection."""
    # libvirt prints each error on standard error unless a handler takes it.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def turn() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=turn, name="libvirt-events", daemon=True).start()
