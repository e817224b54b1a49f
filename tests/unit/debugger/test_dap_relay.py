# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of dap_relay: it reads messages in pieces and completes an editor's attach request."""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.debugger import dap_relay
from harness.errors import DebugError
from harness.protocols import dap

COMMANDS = ["command source file"]


def request(command: str, **arguments: Any) -> bytes:
    """Return an editor's request as a message of its protocol."""
    body = {"seq": 1, "type": "request", "command": command, "arguments": arguments}
    return json.dumps(body).encode()


def directed(body: bytes) -> dict[str, Any]:
    """Return the arguments of a message after the relay has changed it."""
    return dict(json.loads(dap.attach_message(body, COMMANDS))["arguments"])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_dap_messages_are_read_completely_wherever_they_are_cut(size: int) -> None:
    """Two debug adapter protocol messages are read whole from pieces of 1, 7 or 1000 bytes."""
    bodies = ['{"a": "ü"}'.encode(), b"{}"]
    wire = dap.frame_message(bodies[0]) + b"X-Other: 1\r\ncontent-length:2\r\n\r\n{}"
    reader = dap.Reader()

    found = [
        body for at in range(0, len(wire), size) for body in reader.feed(wire[at : at + size])
    ]

    assert found == bodies


@pytest.mark.parametrize(
    "wire", [b"GET / HTTP/1.1\r\n\r\n", b"Content-Length: 99999999\r\n\r\n", b"x" * 5000]
)
def test_a_dap_message_with_a_wrong_oversized_or_endless_header_is_an_error(wire: bytes) -> None:
    """The reader of the debug adapter protocol raises ValueError, for example for HTTP."""
    with pytest.raises(ValueError):
        list(dap.Reader().feed(wire))


def test_the_dap_relay_replaces_pid_and_commands_of_an_attach_request_by_the_guests_commands() -> (
    None
):
    """The editor's attach request keeps all settings except those that say what to attach to."""
    assert directed(request("attach")) == {"stopOnEntry": True, "attachCommands": COMMANDS}
    wishes = {"stopOnEntry": False, "pid": 1, "attachCommands": ["x"], "timeout": 3}

    assert directed(request("attach", **wishes)) == {
        "stopOnEntry": False,
        "timeout": 3,
        "attachCommands": COMMANDS,
    }


def test_the_dap_relay_changes_terminate_debuggee_of_a_disconnect_request_to_false() -> None:
    """The guest goes on when the editor disconnects, whatever the editor's settings are."""
    assert directed(request("disconnect", terminateDebuggee=True)) == {"terminateDebuggee": False}


def test_messages_except_attach_and_disconnect_pass_unchanged() -> None:
    """An editor's other DAP messages pass unchanged; one that is no JSON object is refused."""
    event = b'{"type":"event",  "command":"attach"}'

    assert dap.attach_message(event, COMMANDS) == event
    assert dap.attach_message(request("threads"), COMMANDS) == request("threads")
    with pytest.raises(ValueError):
        dap.attach_message(b"[]", COMMANDS)


@pytest.mark.parametrize("arguments", ["[1]", '"text"', "3"])
def test_an_attach_request_whose_arguments_are_no_object_is_refused(arguments: str) -> None:
    """The relay cannot add the guest's commands to such arguments and raises ValueError."""
    body = f'{{"type": "request", "command": "attach", "arguments": {arguments}}}'

    with pytest.raises(ValueError, match="arguments of attach: a JSON object is expected"):
        dap.attach_message(body.encode(), COMMANDS)


def test_a_message_that_is_nested_too_deeply_is_refused() -> None:
    """Deeply nested JSON of an editor raises ValueError, not Python's RecursionError."""
    with pytest.raises(ValueError, match="nested"):
        dap.attach_message(b"[" * 200_000, COMMANDS)


def adapter(folder: Path, text: str) -> Path:
    """Write a shell script that acts as the debug adapter."""
    file = folder / "adapter"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_relay_ends_when_the_editor_or_the_adapter_ends(tmp_path: Path) -> None:
    """The DAP relay passes changed messages to the adapter until either side closes."""
    echo = adapter(tmp_path, "exec cat")
    editor, ours = socket.socketpair()
    with editor, ours:
        work = threading.Thread(
            target=dap_relay.relay,
            args=(ours.fileno(), ours.fileno(), echo, lambda body: body.upper()),
        )
        work.start()
        editor.sendall(dap.frame_message(b'{"a": 1}'))
        heard = editor.recv(100)
        editor.shutdown(socket.SHUT_WR)
        work.join(10)

        assert heard == dap.frame_message(b'{"A": 1}')
        assert not work.is_alive()

    gone = adapter(tmp_path, "exit 0")
    reader, writer = os.pipe()
    dap_relay.relay(reader, writer, gone, lambda body: body)
    os.close(reader)
    os.close(writer)


def test_the_dap_relay_raises_a_debug_error_if_the_editor_sends_http_instead_of_dap(
    tmp_path: Path,
) -> None:
    """The error's message says that the editor does not speak the debug adapter protocol."""
    editor, ours = socket.socketpair()
    with editor, ours:
        editor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(DebugError, match="editor does not speak the debug adapter protocol"):
            dap_relay.relay(
                ours.fileno(), ours.fileno(), adapter(tmp_path, "exec cat"), lambda body: body
            )
