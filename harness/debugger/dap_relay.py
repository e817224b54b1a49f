# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Relay between an editor and lldb-dap, and complete the editor's request to attach to a guest.

editor <-> relay <-> lldb-dap <-> guard <-> QEMU's stub

The relay adds the commands for this guest to the editor's `attach` request, so that the editor's
launch configuration need not contain them. The editor is served on standard input and output, or
on a loopback port.
"""

import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.debugger import attach, command_file, stub_process
from harness.debugger.attach import AttachRequest, Progress
from harness.errors import DebugError, UsageError
from harness.host import debuggers
from harness.model.settings import LOOPBACK
from harness.protocols import dap

_CHUNK_BYTES = 64 * 1024
_END_S = 10.0
Rewrite = Callable[[bytes], bytes]


def serve(request: AttachRequest, progress: Progress, *, port: int | None) -> int:
    """Connect editors with lldb-dap and through it with a guest, until the editors disconnect.

    Without a port, one editor is served on standard input and output, and the call returns when it
    disconnects. With a port, editors are served there one after the other until the call is
    interrupted; port 0 means any free port, which is printed. The call always returns 0. The
    guest's state is restored after every editor.
    Raises: the errors of `attach.attach`; UsageError for gdb, without lldb-dap, or for a taken
        port.
    """
    if request.debugger == "gdb":
        raise UsageError(
            "--dap needs lldb-dap", hint="gdb has supported the protocol itself since release 14"
        )
    program = debuggers.choose("lldb")
    adapter = debuggers.adapter(program)
    entry = attach.living(request)
    with stub_process.started(entry, cache=request.environment.cache) as guarded:
        symbols = attach.find_symbols(request, entry)
        prepared = attach.prepare(request, entry, symbols, guarded(), program)
        progress(f"{adapter.name} for guest {entry.run_id}, by {prepared.script}")

        def directed(body: bytes) -> bytes:
            command = command_file.reading_command(program.debugger, prepared.script)
            return dap.attach_message(body, [command])

        if port is None:
            relay(0, 1, adapter, directed)
        else:
            _serve_port(port, adapter, directed, progress)
    return 0


def _serve_port(port: int, adapter: Path, rewrite: Rewrite, progress: Progress) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            raise UsageError(f"--port {port}: {error.strerror}") from error
        listener.listen(1)
        progress(f"a debug adapter listens on {LOOPBACK}:{listener.getsockname()[1]}")
        try:
            while True:
                editor, _ = listener.accept()
                with editor:
                    progress(_relayed(editor.fileno(), adapter, rewrite))
        except KeyboardInterrupt:
            progress("closed")


def _relayed(editor: int, adapter: Path, rewrite: Rewrite) -> str:
    """Relay messages between an editor on a port and lldb-dap; return why that ended, as text."""
    try:
        relay(editor, editor, adapter, rewrite)
    except DebugError as error:
        return error.message
    return "the editor has left"


def relay(source: int, sink: int, adapter: Path, rewrite: Rewrite) -> None:
    """Start a debug adapter, and relay messages until the editor or the adapter disconnects.

    The editor's messages are read from `source`. `rewrite` gets the body of each of them, and
    returns the one that is sent to the adapter. The adapter's output is written to `sink`.
    Raises: DebugError for an editor that does not speak the protocol.
    """
    # Ctrl-C on the terminal is meant for this command, which then closes the adapter's input.
    process = subprocess.Popen(
        [adapter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None  # noqa: S101 - for mypy: both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        _pump(source, sink, (process.stdin.fileno(), process.stdout.fileno()), rewrite)
    except ValueError as error:
        raise DebugError(
            f"the editor does not speak the debug adapter protocol: {error}"
        ) from error
    finally:
        _end(process)


def _pump(source: int, sink: int, adapter: tuple[int, int], rewrite: Rewrite) -> None:
    into, out = adapter
    reader = dap.Reader()
    while True:
        ready, _, _ = select.select([source, out], [], [])
        with contextlib.suppress(ConnectionError):
            if out in ready:
                data = os.read(out, _CHUNK_BYTES)
                if not data:
                    return
                _write(sink, data)
            if source not in ready:
                continue
            data = os.read(source, _CHUNK_BYTES)
            for body in reader.feed(data):
                _write(into, dap.frame_message(rewrite(body)))
            if data:
                continue
        return


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the debug adapter by closing its input, or by a kill when that is not enough."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
