# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps of namespaces, control groups and other processes: what containers and debuggers use."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from . import children, facts, kernel_calls
from .children import PROCESSES, Start, in_child, start
from .log import Log, Row, Value
from .programs import SLEEP, TRUE

PTRACE, NAMESPACES, SIGNALS = "kptrace_events", "knamespace_events", "ksignal_events"
CONTAINER = "0123456789abcdef" * 4
_GROUPS = Path("/sys/fs/cgroup")


def _caller() -> dict[str, Value]:
    """Return what each row has of this process, as it makes a call."""
    own: Row = {"uid": os.getuid(), "euid": os.geteuid()}
    program = os.path.realpath("/proc/self/exe")
    return {**own, "path": program, **facts.audit(), **facts.family()}


def _unshare(log: Log, flag: int, changed: str) -> None:
    """Give this process a namespace of its own, and log that."""
    caller = _caller()
    kernel_calls.unshare(flag)
    kinds = ("mnt", "net", "uts", "ipc", "cgroup", "user")
    now = {f"{one}_ns": Path(f"/proc/self/ns/{one}").stat().st_ino for one in kinds}
    empty: Row = {"target": "", "source": "", "fs": "", "device": 0, "mount_flags": 0}
    values: Row = {**caller, **now, **empty, "changed": changed}
    log.expect_all(NAMESPACES, {"action": "switch", "pid": os.getpid()}, values)


def _in_new(log: Log, flag: int, changed: str) -> None:
    start(
        log,
        Start(
            program=TRUE,
            arguments=[f"own-{changed}"],
            prepare=lambda: _unshare(log, flag, changed),
        ),
    )


def a_mount_namespace(log: Log) -> None:
    """Run a program in a mount namespace of its own."""
    _in_new(log, kernel_calls.CLONE_NEWNS, "mnt")


def a_network_namespace(log: Log) -> None:
    """Run a program in a network namespace of its own."""
    _in_new(log, kernel_calls.CLONE_NEWNET, "net")


def a_host_name_namespace(log: Log) -> None:
    """Run a program in a UTS namespace of its own."""
    _in_new(log, kernel_calls.CLONE_NEWUTS, "uts")


def an_ipc_namespace(log: Log) -> None:
    """Run a program in an IPC namespace of its own."""
    _in_new(log, kernel_calls.CLONE_NEWIPC, "ipc")


def a_cgroup_namespace(log: Log) -> None:
    """Run a program in a cgroup namespace of its own, which hides the path of its group."""
    spot = facts.surroundings()["cgroup"]
    start(
        log,
        Start(
            program=TRUE,
            arguments=["cgroups"],
            prepare=lambda: _unshare(log, kernel_calls.CLONE_NEWCGROUP, "cgroup"),
            own={"cgroup": spot, **_ids_of_group(str(spot))},
        ),
    )


def _ids_of_group(path: str) -> dict[str, Value]:
    folder = _GROUPS / path.lstrip("/")
    if not folder.is_dir():
        return {}
    return dict.fromkeys(("cgroup_id", "cid"), folder.stat().st_ino)


def a_user_namespace(log: Log) -> None:
    """Run a program in a user namespace without a mapping: the rows have the outer ids."""
    ids = dict(facts.ids())
    before = Path("/proc/self/ns/user").stat().st_ino
    flag = kernel_calls.CLONE_NEWUSER
    stat = Path(TRUE).stat()
    own: Row = {**ids, "owner_uid": stat.st_uid, "owner_gid": stat.st_gid, **facts.audit()}
    what = Start(
        program=TRUE, arguments=["users"], prepare=lambda: kernel_calls.unshare(flag), own=own
    )
    pid = start(log, what)
    key: Row = {"pid": pid, "action": "call"}
    values: Row = {"changed LIKE '%user_ns%'": 1, "old_user_ns": before, "now_euid": ids["euid"]}
    log.expect_all("kcredential_events", key, {**values, f"now_user_ns <> {before}": 1})


def a_container(log: Log) -> None:
    """Run a program as process 1 of a container that unshare makes."""
    token = f"container-{os.getpid()}"
    words = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--mount-proc"]
    command = ["/usr/bin/printf", token]
    start(log, Start(program="/usr/bin/unshare", arguments=["unshare", *words, *command]))
    own = Path("/proc/self/ns/pid").stat().st_ino
    values: Row = {"ns_pid": 1, f"pid_ns <> {own}": 1, "path": os.path.realpath(command[0])}
    key: Row = {"event_type": "exec", "cmdline": " ".join(command)}
    log.expect_all(PROCESSES, key, {**values, "uid": 0, "flags": 0})


def another_root(log: Log) -> None:
    """Run a program in another root: its path is the one that it sees there."""
    root = log.work / "root"
    root.mkdir()

    def prepare() -> None:
        _unshare(log, kernel_calls.CLONE_NEWNS, "mnt")
        caller = _caller()
        kernel_calls.bind_privately(b"/", os.fsencode(root))
        dev = facts.device(root.stat().st_dev)
        os.chroot(root)
        flags = kernel_calls.BOUND
        expected: tuple[tuple[str, str, Row], ...] = (
            ("mount", "/", {"source": "", "mount_flags": kernel_calls.PRIVATE, "device": 0}),
            ("mount", str(root), {"source": "/", "mount_flags": flags, "device": 0}),
            ("chroot", str(root), {"mount_flags": 0, "device": dev}),
        )
        for action, where, own in expected:
            key: Row = {"action": action, "target": where, "pid": os.getpid()}
            log.expect_all(NAMESPACES, key, {"changed": "", **caller, **own})
        os.chdir("/")

    start(log, Start(program=TRUE, arguments=["in-root"], prepare=prepare))


def a_control_group(log: Log) -> None:
    """Run a program in a control group that is named as that of a container."""
    group = _GROUPS / f"docker-{CONTAINER}.scope"
    group.mkdir()

    def prepare() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    own: Row = {"container_id": CONTAINER}
    start(log, Start(program=TRUE, arguments=["in-container"], prepare=prepare, own=own))
    group.rmdir()


def _sleeper(log: Log) -> int:
    """Start a program that sleeps until it is killed; return its pid once it runs."""
    what = Start(program=SLEEP, arguments=["sleep", "300"])
    pid = in_child(lambda: children.become(log, what))
    deadline = time.monotonic() + 60
    while os.path.realpath(f"/proc/{pid}/exe") != os.path.realpath(SLEEP):
        if time.monotonic() > deadline:
            raise TimeoutError("the program does not run")
        time.sleep(0.01)
    return pid


def memory_of_another(log: Log) -> None:
    """Open the memory of another process, and end that."""
    pid = _sleeper(log)
    dev, ino = facts.program_of(pid)
    began = facts.start_of(pid)
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
    caller = _caller()
    os.kill(pid, 9)
    children.wait_for_end(log, pid, -9)
    target: Row = {
        "target_device": dev,
        "target_inode": ino,
        "target_uid": 0,
        "target_tid": pid,
        "target_start_ntime / 10000000": began,
    }
    values: Row = {"pid": os.getpid(), **caller, **target}
    log.expect_all(PTRACE, {"action": "access", "target_pid": pid}, values)
    log.expect_all(SIGNALS, {"target_pid": pid}, {"signal": 9, **values})


def traced_by_the_parent(log: Log) -> None:
    """Let a child ask its parent to trace it."""
    pid = in_child(kernel_calls.traceme)
    children.wait_for_end(log, pid)
    values: Row = {"target_pid": os.getpid(), "parent": os.getpid(), "uid": os.getuid()}
    log.expect(PTRACE, {"action": "traceme", "pid": pid}, **values)


STEPS: tuple[Callable[[Log], None], ...] = (
    *(a_mount_namespace, a_network_namespace, a_host_name_namespace, an_ipc_namespace),
    *(a_cgroup_namespace, a_user_namespace, a_container, another_root, a_control_group),
    *(memory_of_another, traced_by_the_parent),
)
