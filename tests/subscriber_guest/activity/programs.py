# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Steps of programs: how they are found, called, and ended."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import children, facts
from .children import PROCESSES, Start, encoded, in_child, start
from .log import Log, Row

SH, TRUE, SLEEP = "/usr/bin/sh", "/usr/bin/true", "/usr/bin/sleep"
_MOST_ARGUMENT_BYTES = 12_288
_TRUNC_ARGV, _DELETED, _MEMFD = 0x2, 0x1, 0x4000


def shell(script: str, *, status: int = 0, prepare: Callable[[], object] = lambda: None) -> Start:
    """Return the start of a shell that makes no process of its own."""
    return Start(program=SH, arguments=["sh", "-c", script], status=status, prepare=prepare)


def a_program(log: Log) -> None:
    """Run a program by its path."""
    start(log, Start(program=TRUE, arguments=["true"]))


def an_exit_code(log: Log) -> None:
    """Run programs that end with codes other than 0."""
    for code in (1, 7, 255):
        start(log, shell(f"exit {code}", status=code))


def odd_arguments(log: Log) -> None:
    """Pass an empty argument, blanks, a newline, quotes, UTF-8, and bytes that are no text."""
    odd: list[bytes | str] = [
        "true",
        "",
        " two  words ",
        "a\nb",
        "'\"\\",
        "\u00e9\u4e2d",
        b"\xff\xfe",
    ]
    start(log, Start(program=TRUE, arguments=odd))


def another_name(log: Log) -> None:
    """Run a program that is told a name that is none."""
    start(log, Start(program=TRUE, arguments=["[kworker/0:1]"]))


def many_arguments(log: Log) -> None:
    """Pass 2,000 short arguments."""
    start(log, Start(program=TRUE, arguments=["true", *(f"{n:04d}" for n in range(2000))]))


def arguments_that_are_cut(log: Log) -> None:
    """Pass an argument that is longer than a record's arguments can be."""
    arguments: list[bytes | str] = ["true", "x" * 20_000]
    kept = " ".join(("true", "x" * 20_000))[:_MOST_ARGUMENT_BYTES]
    own: Row = {"cmdline": kept, "overflows": "cmdline", "flags": _TRUNC_ARGV}
    start(log, Start(program=TRUE, arguments=arguments, own=own))


def another_folder(log: Log) -> None:
    """Run a program in another folder."""
    start(log, Start(program=TRUE, arguments=["true"], prepare=lambda: os.chdir("/var/lib")))


def a_relative_name(log: Log) -> None:
    """Run a program by a relative name."""
    start(
        log,
        Start(program="./true", arguments=["true"], prepare=lambda: os.chdir("/usr/bin")),
    )


def a_symbolic_link(log: Log) -> None:
    """Run a program by a symbolic link: the file is the one that the link leads to."""
    link = log.work / "link-to-true"
    link.symlink_to(TRUE)
    start(log, Start(program=str(link), arguments=["link"]))


def a_script(log: Log) -> None:
    """Run a script: what runs is its interpreter."""
    script = log.work / "script"
    script.write_text("#!/bin/sh\nexit 5\n")
    script.chmod(0o700)
    # The kernel passes the interpreter as the script names it, and the script as its argument.
    own = facts.of_arguments([b"/bin/sh", os.fsencode(script)], children.ENVIRONMENT)
    what = Start(
        program=str(script), arguments=["script"], script=script, file=SH, own=own, status=5
    )
    start(log, what)


def _to_inherit(path: str | Path) -> int:
    """Return a descriptor of a file that a program may be started by."""
    file = os.open(path, os.O_RDONLY)
    os.set_inheritable(file, True)  # noqa: FBT003 - the function takes it by position alone
    return file


def a_descriptor(log: Log) -> None:
    """Run a program by a descriptor of its file."""
    file = _to_inherit(TRUE)
    start(log, Start(program=file, arguments=["by-descriptor"], path=os.path.realpath(TRUE)))
    os.close(file)


def a_program_in_memory(log: Log) -> None:
    """Run a program that is in no file system."""
    file = os.memfd_create("osq-activity", 0)
    os.write(file, Path(TRUE).read_bytes())
    own: Row = {"flags": _MEMFD | _DELETED, "flag_names": "deleted,memfd"}
    path = "/memfd:osq-activity (deleted)"
    start(log, Start(program=file, arguments=["in-memory"], path=path, own=own))
    os.close(file)


def a_deleted_program(log: Log) -> None:
    """Run a program whose file has lost its name."""
    copy = log.work / "gone"
    copy.write_bytes(Path(TRUE).read_bytes())
    copy.chmod(0o755)
    file = _to_inherit(copy)
    copy.unlink()
    own: Row = {"flags": _DELETED, "flag_names": "deleted"}
    what = Start(program=file, arguments=["gone"], path=f"{copy} (deleted)", own=own)
    start(log, what)
    os.close(file)


def a_hard_link(log: Log) -> None:
    """Run a program by a second name of its file."""
    copy, other = log.work / "first-name", log.work / "second-name"
    copy.write_bytes(Path(TRUE).read_bytes())
    copy.chmod(0o755)
    os.link(copy, other)
    start(log, Start(program=str(other), arguments=["second-name"]))


def an_end_by_signal(log: Log) -> None:
    """End programs by signals that leave no core dump."""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1):
        start(log, shell(f"kill -{number} $$", status=-number))


def a_new_session(log: Log) -> None:
    """Run a program as the leader of a session."""
    start(log, Start(program=TRUE, arguments=["true"], prepare=os.setsid))


def on_a_terminal(log: Log) -> None:
    """Run a program on a terminal of its own."""
    ours, its = os.openpty()

    def prepare() -> None:
        os.login_tty(its)

    start(log, Start(program=TRUE, arguments=["on-a-terminal"], prepare=prepare))
    os.close(ours)
    os.close(its)


def one_program_after_another(log: Log) -> None:
    """Let one process run two programs: both rows have its pid."""
    line = f"{TRUE} second"

    def run() -> None:
        # The shell adds PWD to the environment.
        added = children.ENVIRONMENT | {b"PWD": os.fsencode(Path.cwd())}
        own = facts.of_arguments(encoded([TRUE, "second"]), added)
        second = Start(program=TRUE, arguments=[TRUE, "second"], own=own)
        children.expect_exec(log, second, facts.parent_program(), cmdline=line)
        first = Start(program=SH, arguments=["sh", "-c", f"exec {line}"])
        children.become(log, first, cmdline=f"sh -c exec {line}")

    pid = in_child(run)
    children.wait_for_end(log, pid)


def an_orphan(log: Log) -> None:
    """Let a process outlive its parent before it runs a program: then it has another."""
    read, write = os.pipe()

    def wait_and_run(middle: int) -> None:
        deadline = time.monotonic() + 30
        while os.getppid() == middle and time.monotonic() < deadline:
            time.sleep(0.01)
        # The first process began before the subscriber.
        what = Start(program=TRUE, arguments=["orphan"], own={"parent_path": None})
        children.become(log, what)

    def leave() -> None:
        middle = os.getpid()
        in_child(lambda: wait_and_run(middle))

    pid = in_child(leave)
    os.close(write)
    os.waitpid(pid, 0)
    # The pipe ends with its last writer.
    os.read(read, 1)
    os.close(read)


def a_thread(log: Log) -> None:
    """Begin and end a thread."""
    tids: list[int] = []
    thread = threading.Thread(target=lambda: tids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    own: Row = {"pid": os.getpid(), "child_pid": os.getpid()}
    log.expect(PROCESSES, {"event_type": "thread_fork", "child_tid": tids[0]}, **own)
    log.expect(PROCESSES, {"event_type": "thread_exit", "tid": tids[0]}, pid=os.getpid())


def a_program_from_a_thread(log: Log) -> None:
    """Let a thread run a program: it gets the id of the process."""

    def run() -> None:
        own: Row = {"old_tid": threading.get_native_id()}
        children.become(log, Start(program=TRUE, arguments=["from-a-thread"], own=own))

    def in_thread() -> None:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    pid = in_child(in_thread)
    children.wait_for_end(log, pid)


def a_process_without_a_program(log: Log) -> None:
    """Make a process that runs no program of its own."""
    pid = in_child(lambda: os._exit(3))
    children.wait_for_end(log, pid, 3)


def a_pipeline(log: Log) -> None:
    """Let a shell run two programs at once."""
    token = f"{os.getpid()}-pipeline"
    lines = (f"/usr/bin/printf {token}", f"/usr/bin/grep -q {token}")
    start(log, shell(f"{lines[0]} | {lines[1]}; exit $?"))
    for line in lines:
        key: Row = {"event_type": "exec", "cmdline": line}
        path = os.path.realpath(line.split()[0])
        log.expect(PROCESSES, key, path=path, parent_path=os.path.realpath(SH))


def a_posix_spawn(log: Log) -> None:
    """Start a program as vfork does, in the parent's memory."""
    line = f"{TRUE} spawned {os.getpid()}"
    pid = os.posix_spawn(TRUE, line.split(), {"A": "1"})
    os.waitpid(pid, 0)
    key: Row = {"event_type": "exec", "cmdline": line}
    own: Row = {"filename": TRUE, "env_count": 1, "parent": os.getpid(), **facts.audit()}
    log.expect(PROCESSES, key, pid=pid, path=os.path.realpath(TRUE), **own)


STEPS: tuple[Callable[[Log], None], ...] = (
    *(a_program, an_exit_code, odd_arguments, another_name, many_arguments),
    *(arguments_that_are_cut, another_folder, a_relative_name, a_symbolic_link, a_script),
    *(a_descriptor, a_program_in_memory, a_deleted_program, a_hard_link, an_end_by_signal),
    *(a_new_session, on_a_terminal, one_program_after_another, an_orphan, a_thread),
    *(a_program_from_a_thread, a_process_without_a_program, a_pipeline, a_posix_spawn),
)
