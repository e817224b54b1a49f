# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a libvirt daemon that belongs to one run, and end it with the run.

All its files are in the run's runtime folder, so that neither a system daemon nor the user's own
session daemon is touched. It is always a *session* daemon. libvirt has no session mode for root,
so for root the daemon runs in a user namespace in which root has another number. A session daemon
needs no /etc/libvirt, no /run/libvirt, no cgroup and no firewall. `hypervisor` makes the calls to
libvirt.

The daemon's parent process is `libvirtd_parent`, which reads a pipe from this process. When this
process ends, the parent ends the guest and the daemon, unless `detach` was called.
"""

import logging
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HypervisorError
from harness.host import programs
from harness.model import socket_paths

_LOG = logging.getLogger(__name__)

_START_DEADLINE_S = 15.0
_STOP_DEADLINE_S = 5.0
# The user id for the daemon when root runs the harness. It exists on every Debian and is never
# root's; session mode needs a user name.
_NAMESPACE_ID = 1

_PARENT = Path(__file__).with_name("libvirtd_parent.py")

# $1 is an empty file to mount over /dev/kvm; the rest is the command to run. The mount is
# read-only, because libvirt tests for read *and* write access. Without the mount each start of a
# domain takes about 38 s longer on a host whose /dev/kvm does not work.
_MASK = (
    'mount --bind "$1" /dev/kvm && mount -o remount,bind,ro /dev/kvm || exit 1; shift; exec "$@"'
)

# A private daemon has no virtlogd for the output of QEMU, and needs no security driver.
_QEMU_CONF = """\
stdio_handler = "file"
security_driver = "none"
"""


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A run's own libvirt daemon, and the pipe to its parent; the daemon ends when it closes."""

    parent: subprocess.Popen[bytes]
    runtime: Path
    pid: int

    @property
    def socket(self) -> Path:
        """The socket on which the libvirt daemon listens."""
        return socket_path(self.runtime)

    def detach(self) -> None:
        """Let the libvirt daemon and its guest outlive this process; `stop` ends them later.

        Raises: HypervisorError when the daemon's parent process does not answer in time.
        """
        pipe = self.parent.stdin
        if pipe is None or pipe.closed:
            return
        try:
            pipe.write(b"keep\n")
            pipe.close()
            self.parent.wait(_STOP_DEADLINE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HypervisorError(
                f"the parent of the libvirt daemon did not release it: {error}"
            ) from error

    def close(self) -> None:
        """End the libvirt daemon and its guest unless they were detached."""
        pipe = self.parent.stdin
        if pipe is None or pipe.closed:
            return
        pipe.close()
        try:
            self.parent.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            _LOG.warning(
                "the parent of the libvirt daemon of %s did not end and was killed", self.runtime
            )
            self.parent.kill()
            self.parent.wait()
        stop(self.runtime)


def socket_path(runtime: Path) -> Path:
    """Return the socket of the libvirt daemon whose files are in a run's runtime folder."""
    return runtime / "libvirt" / "libvirt-sock"


def log_paths(runtime: Path) -> tuple[Path, ...]:
    """Return the existing log files of a run's libvirt daemon and of its guests."""
    qemu = sorted((runtime / "cache/libvirt/qemu/log").glob("*.log"))
    return tuple(path for path in (runtime / "libvirtd.log", *qemu) if path.is_file())


def start(runtime: Path, *, cache: Path, mask_kvm: bool) -> Daemon:
    """Start a libvirt daemon for one run, and return it once its socket accepts connections.

    The daemon's files are in `runtime`. libvirt collects a list of QEMU's abilities, which takes 4
    s. The list is kept in `cache` for later runs. With `mask_kvm`, /dev/kvm is hidden from the
    daemon and its guests.
    Raises: HypervisorError when a program is missing or the folder is unusable, and with the end
        of the daemon's log when the daemon does not start.
    """
    program = programs.find("libvirtd", error=HypervisorError)
    _prepare(runtime, cache)
    pid_file = runtime / "libvirtd.pid"
    command = [*_namespace(runtime, mask_kvm=mask_kvm), program, f"--pid-file={pid_file}"]
    with (runtime / "libvirtd.log").open("ab") as log:
        parent = subprocess.Popen(
            # -I: the script uses only the standard library, so no variable of the environment may
            # change what it imports.
            [sys.executable, "-I", "-S", str(_PARENT), str(runtime), *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_environment(runtime),
            cwd="/",
            # Ctrl-C in the terminal must not end the daemon before the guest is cleaned up.
            start_new_session=True,
        )
    daemon = Daemon(parent=parent, runtime=runtime, pid=0)
    try:
        pid = _await_socket(daemon, pid_file, shlex.join(command))
    except BaseException:
        daemon.close()
        raise
    return Daemon(parent=parent, runtime=runtime, pid=pid)


def stop(runtime: Path) -> bool:
    """Kill a run's libvirt daemon, its parent process and its guests; return whether any ran.

    A process is killed only while its command line names the run's runtime folder, and through a
    pidfd, which cannot refer to another process later.
    """
    killed = [pid for pid in list(_own_pids(runtime)) if _kill(pid, runtime)]
    end = time.monotonic() + _STOP_DEADLINE_S
    while any(_runs(pid, runtime) for pid in killed) and time.monotonic() < end:
        time.sleep(0.01)
    return bool(killed)


def kill_guests(runtime: Path) -> None:
    """Kill the QEMUs of a run's libvirt daemon at once; libvirt notices that they have ended."""
    for pid in guest_pids(runtime):
        _kill(pid, runtime)


def guest_pids(runtime: Path) -> tuple[int, ...]:
    """Return the process ids of the QEMUs of the libvirt daemon with this runtime folder."""
    return tuple(pid for pid in _own_pids(runtime) if "qemu" in _program_of(pid))


def _prepare(runtime: Path, cache: Path) -> None:
    if not socket_paths.has_room(runtime):
        # config.environment leaves room for every name of a run that the harness makes.
        raise HypervisorError(
            f"the runtime folder's path is too long for a socket: {runtime}",
            hint="give the run a shorter name with --run-id: "
            f"the path may have {socket_paths.RUN_FOLDER_MAX_BYTES} bytes",
        )
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        (runtime / "libvirt").mkdir(exist_ok=True)
        (runtime / "libvirt/qemu.conf").write_text(_QEMU_CONF)
        (runtime / "mask").touch()
        capabilities = cache / "capabilities"
        capabilities.mkdir(parents=True, exist_ok=True)
        link = runtime / "cache/libvirt/qemu/cache/capabilities"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(capabilities.absolute())
    except OSError as error:
        raise HypervisorError(
            f"the libvirt daemon has no usable folder: {error}", hint=f"make {runtime} writable"
        ) from error


def _environment(runtime: Path) -> dict[str, str]:
    folder = str(runtime)
    return {
        "PATH": f"{os.defpath}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin",
        "HOME": folder,
        # `hypervisor` looks for hints in libvirt's English messages.
        "LC_ALL": "C",
        "XDG_RUNTIME_DIR": folder,
        "XDG_CONFIG_HOME": folder,
        "XDG_CACHE_HOME": str(runtime / "cache"),
    }


def _namespace(runtime: Path, *, mask_kvm: bool) -> list[str]:
    """Return the command prefix that starts a libvirt daemon in namespaces, [] if none are needed.

    For root, the prefix makes a user namespace in which root has another number. With `mask_kvm`,
    the prefix also hides /dev/kvm from the daemon and its guests.
    """
    uid = os.getuid()
    mask = mask_kvm and os.access("/dev/kvm", os.R_OK | os.W_OK)
    if uid != 0 and not mask:
        return []
    unshare = programs.find("unshare", error=HypervisorError)
    inner = uid or _NAMESPACE_ID
    command = [unshare, "--user", f"--map-user={inner}", f"--map-group={os.getgid() or inner}"]
    if not mask:
        return command
    # Only root may mount, and the daemon must not be root: so the mount is made first, outside of
    # the daemon's namespace.
    outer = [unshare, "--mount"] if uid == 0 else [unshare, "--map-root-user", "--mount"]
    return [*outer, "sh", "-c", _MASK, "mask", str(runtime / "mask"), *command]


def _await_socket(daemon: Daemon, pid_file: Path, command: str) -> int:
    """Wait until a private libvirt daemon accepts connections, and return its process id.

    Raises: HypervisorError with the end of its log when it does not start in time.
    """
    end = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < end:
        if _listens(daemon.socket) and (pid := _read_pid(pid_file)):
            return pid
        if daemon.parent.poll() is not None:
            break
        time.sleep(0.02)
    raise HypervisorError(
        "the private libvirt daemon did not start",
        hint=f"start it by hand to see why: {command}"
        + ("; for root it needs user and mount namespaces" if os.getuid() == 0 else ""),
        evidence=tail(daemon.runtime / "libvirtd.log", 20),
    )


def _listens(path: Path) -> bool:
    """Return whether a socket accepts connections; its file exists a moment before it does."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def tail(path: Path, count: int) -> tuple[str, ...]:
    """Return the last lines of a text file, or nothing when it cannot be read."""
    try:
        return tuple(path.read_text(errors="backslashreplace").splitlines()[-count:])
    except OSError:
        return ()


def _read_pid(path: Path) -> int:
    try:
        return int(path.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0


def _own_pids(runtime: Path) -> Iterator[int]:
    """Yield the process ids of a runtime folder's libvirt daemon, its parent and its guests."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _runs(int(entry.name), runtime):
            yield int(entry.name)


def _runs(pid: int, runtime: Path) -> bool:
    """Return whether a process is the libvirt daemon of a runtime folder, its parent or its guest.

    The process's command line decides this, by its program and by the folder in it.
    """
    arguments = _arguments(pid)
    if not any(argument == str(runtime) or f"{runtime}/" in argument for argument in arguments):
        return False
    name = Path(arguments[0]).name
    expected = name in {"libvirtd", "unshare"} or name.startswith("qemu-system-")
    return expected or str(_PARENT) in arguments


def _program_of(pid: int) -> str:
    arguments = _arguments(pid)
    return Path(arguments[0]).name if arguments else ""


def _arguments(pid: int) -> list[str]:
    """Return a process's arguments; [] when it is gone, a zombie, or another user's."""
    folder = Path("/proc") / str(pid)
    try:
        if stat.S_ISDIR(folder.stat().st_mode) and folder.stat().st_uid != os.getuid():
            return []
        return (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _kill(pid: int, runtime: Path) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _runs(pid, runtime):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    _LOG.info("killed process %d of %s", pid, runtime)
    return True
