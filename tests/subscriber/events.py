# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Records as the kernel would write them, for tests that need no ring."""

from typing import Any

from _libosq import ffi, lib
from osq.layout import decode
from osq.records import Event, Exec, Exit, Fork

TAIL = {
    "path": b"/usr/bin/printf",
    "filename": b"printf",
    "argv": b"printf\0%s x\0\xff\0",
    "env": b"A=1\0SECRET=2\0B=3 4\0",
    "cwd": b"/root",
    "cgroup": b"/user.slice",
}


def exec_bytes(*, seq: int = 1, **changed: Any) -> bytes:
    """Return an exec record; spans are given as bytes, everything else as a number."""
    spans = {name: changed.pop(name, tail) for name, tail in TAIL.items()}
    record = ffi.new("struct osq_exec *")
    tail = b""
    for name, content in spans.items():
        span = getattr(record, name)
        span.off, span.len = ffi.sizeof("struct osq_exec") + len(tail), len(content)
        tail += content
    tail += b"\0" * (-len(tail) % 8)
    record.head.type = lib.OSQ_TYPE_EXEC
    record.head.len = ffi.sizeof("struct osq_exec") + len(tail)
    record.head.seq = seq
    for name, value in changed.items():
        setattr(record.head if name in dir(record.head) else record, name, value)
    return bytes(ffi.buffer(record)) + tail


def an_exec(**changed: Any) -> Exec:
    """Return an exec event with the given fields changed."""
    event = decode(exec_bytes(**changed))
    assert isinstance(event, Exec)
    return event


def a_fork(**changed: Any) -> Fork:
    """Return a fork event with the given fields changed."""
    record = ffi.new("struct osq_fork *")
    record.head.type, record.head.len = lib.OSQ_TYPE_FORK, ffi.sizeof("struct osq_fork")
    for name, value in changed.items():
        setattr(record.head if name in dir(record.head) else record, name, value)
    event: Event | None = decode(bytes(ffi.buffer(record)))
    assert isinstance(event, Fork)
    return event


def an_exit(**changed: Any) -> Exit:
    """Return the exit of a process's last thread with the given fields changed."""
    record = ffi.new("struct osq_exit *")
    record.head.type, record.head.len = lib.OSQ_TYPE_EXIT, ffi.sizeof("struct osq_exit")
    record.last = 1
    for name, value in changed.items():
        setattr(record.head if name in dir(record.head) else record, name, value)
    event: Event | None = decode(bytes(ffi.buffer(record)))
    assert isinstance(event, Exit)
    return event
