# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The connection to libvirt: to a private daemon of this run, or to the URI that was given.

It knows nothing of single domains (`domain` does) and
nothing of how the private daemon is run (`libvirtd` does).
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
from harness.errors import HypervisorError
from harness.guest import libvirtd

_LOG = logging.getLogger(__name__)
_EVIDENCE_LINES = 15
_NO_RIGHT = "the user may not use that daemon (group libvirt); without --uri none is needed"
_NO_QEMU = "install QEMU (package qemu-system-x86), or run ./dev, which does"

# What all has to be in a message of libvirt's, in lower case, for the hint to fit; first match.
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
        "the snapshot was made of another machine; --fresh boots instead of restoring it",
    ),
)
_KEEPALIVE_S = 10
_KEEPALIVE_COUNT = 6


@dataclass(frozen=True, kw_only=True)
class Hypervisor:
    """An open connection to libvirt and what is known of the other side."""

    conn: Any = field(repr=False)
    uri: str
    private: bool
    daemon_pid: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    daemon: libvirtd.Daemon | None = field(default=None, repr=False)

    def detach(self) -> None:
        """Let the private daemon and its guest outlive this process (`--keep`).

        The URI stays good for later processes; `stop_daemon` with the same folder ends both.
        """
        if self.daemon is not None:
            self.daemon.detach()

    def kill_guests(self) -> None:
        """Kill the guests of the private daemon; at a URI that was given, do nothing.

        libvirt's own destroy is polite to QEMU first, and that takes 1 to 2 s.
        """
        if self.daemon is not None:
            libvirtd.kill_guests(self.daemon.runtime)

    def evidence(self) -> tuple[str, ...]:
        """Return the end of the private daemon's log and of its guests' QEMU logs."""
        if self.daemon is None:
            return ()
        logs = libvirtd.log_paths(self.daemon.runtime)
        return tuple(line for log in logs for line in libvirtd.tail(log, _EVIDENCE_LINES))

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Turn libvirt's error inside the block into ours; `what` says what was tried."""
        try:
            yield
        except libvirt.libvirtError as error:
            raise _as_ours(error, what, evidence=self.evidence()) from error


@contextmanager
def connect(
    uri: str | None, *, runtime: Path, cache: Path, mask_kvm: bool
) -> Iterator[Hypervisor]:
    """Give a connection to the URI as it is, or, without one, to a private daemon in `runtime`.

    At the end the private daemon is stopped, its guests with it, unless `detach` was called.
    Raises: HypervisorError with libvirt's words, a hint and the daemon's log.
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
    """Kill the daemon and the guests that a dead run left in its folder; tell if any was there."""
    return libvirtd.stop(runtime)


def guest_alive(runtime: Path, *, private: bool) -> bool:
    """Return whether a run's guest still runs; one at an explicit URI is taken to be alive."""
    return not private or bool(libvirtd.guest_pids(runtime))


@contextmanager
def _open(uri: str, *, log: Path | None = None) -> Iterator[Any]:
    try:
        conn = libvirt.open(uri)
    except libvirt.libvirtError as error:
        evidence = libvirtd.tail(log, _EVIDENCE_LINES) if log else ()
        raise _as_ours(error, f"no connection to {uri}", evidence=evidence) from error
    try:
        yield conn
    finally:
        try:
            conn.close()
        except libvirt.libvirtError as error:
            _LOG.info("closing %s: %s", uri, error)


def _keep_alive(conn: Any) -> None:
    """Have a connection to another host noticed as dead within a minute, where it can be."""
    try:
        conn.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
        _LOG.debug("no keepalive: %s", error)


def _as_ours(error: Any, what: str, *, evidence: tuple[str, ...]) -> HypervisorError:
    words = error.get_error_message() or str(error)
    return HypervisorError(f"{what}: {words}", hint=_hint(words), evidence=evidence)


def _hint(words: str) -> str:
    """Return what to do about a message of libvirt's, or ""."""
    lower = words.lower()
    return next((hint for needles, hint in _HINTS if all(n in lower for n in needles)), "")


def _versions(conn: Any) -> dict[str, str]:
    try:
        numbers = {"libvirt": conn.getLibVersion(), str(conn.getType()): conn.getVersion()}
    except libvirt.libvirtError as error:
        _LOG.info("versions: %s", error)
        return {}
    return {
        name.lower(): f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
        for name, number in numbers.items()
    }


@functools.cache
def _start_event_loop() -> None:
    """Run libvirt's event loop in one thread of this process; it must precede connections."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()

    def turn() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    threading.Thread(target=turn, name="libvirt-events", daemon=True).start()
