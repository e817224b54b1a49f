# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The part of the debug adapter protocol that a relay needs: framing, and two requests. Pure.

Source: microsoft.github.io/debug-adapter-protocol/specification, "Base protocol"; lldb-dap's
    README for `attachCommands`.
"""

import json
from collections.abc import Iterator
from typing import Any

_END = b"\r\n\r\n"
_LENGTH = b"content-length"
# With these limits a peer that speaks another protocol cannot fill the memory.
_MOST_HEAD_BYTES = 4096
_MOST_BYTES = 16 << 20


class Reader:
    """Collects bytes and yields the bodies of complete messages."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more bytes, and yield every message that is complete now.

        Raises: ValueError for bytes that are not a message of this protocol, and for a message of
            more than 16 MiB.
        """
        self._data += data
        while _END in self._data[: _MOST_HEAD_BYTES + len(_END)]:
            head, _, rest = self._data.partition(_END)
            size = _size(head)
            if len(rest) < size:
                return
            self._data = rest[size:]
            yield rest[:size]
        if len(self._data) > _MOST_HEAD_BYTES and _END not in self._data[:_MOST_HEAD_BYTES]:
            raise ValueError("a header without an end")


def frame_message(body: bytes) -> bytes:
    """Return a message with its header, as it is sent over the wire."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def attach_message(body: bytes, commands: list[str]) -> bytes:
    """Return a client's message, changed so that it attaches by these commands and ends no guest.

    `attach` keeps the client's own arguments except those that name a process to attach to. It
    stops at entry unless the client says otherwise. `disconnect` never terminates the guest. Every
    other message is unchanged.
    Raises: ValueError for a body that is not a JSON object, and for arguments of `attach` or
        `disconnect` that are not one.
    """
    try:
        message = _object(json.loads(body), "a message")
    except RecursionError as error:
        raise ValueError("a message is nested too deeply") from error
    answers: dict[str, dict[str, Any]] = {
        "attach": {"attachCommands": commands},
        "disconnect": {"terminateDebuggee": False},
    }
    own = answers.get(str(message.get("command")))
    if message.get("type") != "request" or own is None:
        return body
    # Without stopOnEntry lldb-dap resumes the kernel after it has attached.
    asked = {"stopOnEntry": True} if message["command"] == "attach" else {}
    arguments = _object(message.get("arguments") or {}, f"the arguments of {message['command']}")
    kept = {name: value for name, value in arguments.items() if name not in _TARGETS}
    return json.dumps({**message, "arguments": {**asked, **kept, **own}}).encode()


# The client's arguments that would make lldb-dap attach to a process.
_TARGETS = {"pid", "program", "waitFor", "coreFile", "gdb-remote-port", "gdb-remote-hostname"}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what}: a JSON object is expected")  # noqa: TRY004 - a value on the wire
    return value


def _size(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == _LENGTH and value.strip().isdigit():
            size = int(value)
            if size <= _MOST_BYTES:
                return size
            raise ValueError(f"a message of {size} bytes")
    raise ValueError(f"a header without Content-Length: {head[:80]!r}")
