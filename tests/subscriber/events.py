# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Records as the kernel would write them, for tests that need no ring."""

from collections.abc import Mapping
from typing import Any

from _libosq import ffi
from osq.layout import TYPES_BY_NAME, decode
from osq.records import Event, Exec, Exit, Fork

TAIL = {
    "path": b"/usr/bin/printf",
    "filename": b"printf",
    "argv": b"printf\0%s x\0\xff\0",
    "env": b"A=1\0SECRET=2\0B=3 4\0",
    "cwd": b"/root",
    "cgroup": b"/user.slice",
}


def record_bytes(name: str, *, spans: Mapping[str, bytes] | None = None, **changed: Any) -> bytes:
    """Return a record as the kernel writes it; `changed` has fields of its head or of its own.

    A span that is not given is empty.
    """
    record, size = ffi.new(f"struct osq_{name} *"), ffi.sizeof(f"struct osq_{name}")
    own = ffi.typeof(f"struct osq_{name}").fields
    empty = {field: b"" for field, one in own if one.type.cname == "struct osq_span"}
    tail = b""
    for field, content in {**empty, **(spans or {})}.items():
        span = getattr(record, field)
        span.off, span.len = size + len(tail), len(content)
        tail += content
    tail += b"\0" * (-len(tail) % 8)
    record.head.type, record.head.len = TYPES_BY_NAME[name], size + len(tail)
    for field, value in changed.items():
        setattr(record.head if field in dir(record.head) else record, field, value)
    return bytes(ffi.buffer(record)) + tail


def a_record(name: str, *, spans: Mapping[str, bytes] | None = None, **changed: Any) -> Event:
    """Return the event of such a record."""
    event = decode(record_bytes(name, spans=spans, **changed))
    assert event is not None
    return event


def exec_bytes(*, seq: int = 1, **changed: Any) -> bytes:
    """Return an exec record; spans are given as bytes, everything else as a number."""
    spans = {name: changed.pop(name, tail) for name, tail in TAIL.items()}
    return record_bytes("exec", spans=spans, seq=seq, **changed)


def an_exec(**changed: Any) -> Exec:
    """Return an exec event with the given fields changed."""
    event = decode(exec_bytes(**changed))
    assert isinstance(event, Exec)
    return event


def a_fork(**changed: Any) -> Fork:
    """Return a fork event with the given fields changed."""
    event = a_record("fork", **changed)
    assert isinstance(event, Fork)
    return event


def an_exit(**changed: Any) -> Exit:
    """Return the exit of a process's last thread with the given fields changed."""
    event = a_record("exit", **{"last": 1, **changed})
    assert isinstance(event, Exit)
    return event
