# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run the guard between a debugger and a guest's gdb stub, as a process of its own.

The process outlives a killed command. `started` runs it (`python -m harness.debugger.stub_process
FOLDER CACHE STATUS_FD`) and returns the socket for debuggers. The process ends when its standard
input is closed and no debugger is attached, so the guest's state is restored whatever ends the
debugger and the command. It has a session of its own, because Ctrl-C on the terminal is meant for
the debugger.
"""

import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.debugger import stub_relay
from harness.errors import DebugError, HarnessError, UsageError
from harness.guest import domain, hypervisor, registry
from harness.guest.registry import GuestEntry
from harness.protocols import rsp_socket

_LOG_FILE = "debugger.log"
_FOLDER = "dbg"
_READY_S = 20.0
_END_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A guest's open gdb stub: the guard's socket for debuggers, and the guest's earlier state.

    `log` is the file with the guard's log.
    """

    socket: Path
    found: stub_relay.Found
    log: Path


@contextmanager
def started(entry: GuestEntry, *, cache: Path) -> Iterator[Callable[[], Guarded]]:
    """Open a guest's gdb stub, with a guard, for a block; restore the guest's state at its end.

    The context manager gives a function that waits for the guard. Starting the guard takes a
    second, during which the caller can do other work. That function raises UsageError when another
    debugger is attached, and DebugError with the guard's message when the stub does not open.
    Raises: DebugError when a debugger is still attached 30 s after the end of the block.
    """
    log = entry.run / _LOG_FILE
    read_end, write_end = os.pipe()
    line = [
        sys.executable,
        "-m",
        "harness.debugger.stub_process",
        str(entry.folder),
        str(cache),
        str(write_end),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(write_end,),
            start_new_session=True,
        )
    # Then the guard alone has this end, and its death ends the wait for its status.
    os.close(write_end)
    try:
        with os.fdopen(read_end) as status:

            def guarded() -> Guarded:
                ready = _status(status.fileno(), log)
                found = stub_relay.Found(ready["found"])
                return Guarded(socket=Path(ready["socket"]), found=found, log=log)

            yield guarded
    finally:
        _end(process)


def _status(number: int, log: Path) -> dict[str, str]:
    readable, _, _ = select.select([number], [], [], _READY_S)
    data = os.read(number, 65536) if readable else b""
    if not data:
        tail = log.read_text(errors="replace").splitlines()[-10:]
        raise DebugError("the guard of the gdb stub did not start", evidence=tail)
    found: dict[str, str] = json.loads(data)
    if "error" in found:
        kind = UsageError if found["usage"] else DebugError
        raise kind(found["error"], hint=found["hint"])
    return found


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired as error:
        raise DebugError(
            "a debugger is still attached to the guest",
            hint=f"its guard is process {process.pid}; it ends with the debugger",
        ) from error


def main(folder: Path, cache: Path, status: int) -> int:
    """Guard the gdb stub of one guest until no debugger needs it, and return the exit status.

    The guard writes to the descriptor `status` once: that it is ready, or the error that ended it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        with ExitStack() as stack:
            _guard(folder, cache, status, stack)
    except HarnessError as error:
        usage = "usage" if isinstance(error, UsageError) else ""
        _say(status, {"error": error.message, "hint": error.hint, "usage": usage})
        return error.exit_code
    return 0


def _guard(folder: Path, cache: Path, status: int, stack: ExitStack) -> None:
    entry = registry.read(folder)
    if entry is None:
        raise UsageError(f"no guest in {folder}")
    stack.enter_context(registry.hold_for_debugger(folder))
    hv = stack.enter_context(
        hypervisor.connect(entry.uri, runtime=folder, cache=cache / "libvirt", mask_kvm=False)
    )
    guest = stack.enter_context(domain.attach(hv, entry.domain))
    found = stub_relay.found_state(guest)
    place = folder / _FOLDER
    listener = stack.enter_context(rsp_socket.listening(place / "gdb"))
    stack.enter_context(stub_relay.opened(guest, place / "stub"))
    _say(status, {"socket": str(place / "gdb"), "found": found.value})
    stub_relay.Guard(guest, stub=place / "stub", listener=listener).serve(_wanted)


def _wanted() -> bool:
    """Return whether the command that started this process is still running."""
    readable, _, _ = select.select([0], [], [], 0)
    return not readable or bool(os.read(0, 1))


def _say(status: int, what: dict[str, str]) -> None:
    try:
        os.write(status, json.dumps(what).encode())
        os.close(status)
    except OSError as error:
        logging.getLogger(__name__).warning("nobody listens: %s", error)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
