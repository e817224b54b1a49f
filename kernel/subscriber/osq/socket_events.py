# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table ksocket_events: connect, accept, bind, listen and close of sockets."""

import ipaddress
import socket
from collections.abc import Collection

from osq.columns import (
    Column,
    Context,
    Source,
    SqlType,
    SqlValue,
    Table,
    actor_columns,
    common_columns,
    program_column,
)
from osq.layout import enum_names
from osq.records import Socket
from osq.values import signed, text

ACTIONS = enum_names("osq_socket_action", "OSQ_SOCKET_")
_STATUSES = enum_names("osq_socket_status", "OSQ_SOCKET_")


# SMC has addresses of IP; its protocol is the version. socket has no name for it.
_AF_SMC = 43
_NOTATION = {
    (_AF_SMC, 0): socket.AF_INET,
    (_AF_SMC, 1): socket.AF_INET6,
}


def watch_actions(names: Collection[str]) -> int:
    """Return socket actions, such as "connect", as the options of SUBSCRIBE (OSQ_SOCKET_OPT)."""
    return sum(1 << number for number, name in ACTIONS.items() if name in names)


def _address(name: str) -> Source:
    """Return a function from a socket event to the text of its local or remote address.

    name: "local" or "remote". The text is "" when address and port are unset, and for a UNIX
    socket.
    """

    def of(event: Socket, _: Context) -> SqlValue:
        raw = bytes(getattr(event, f"{name}_addr"))
        if not any(raw) and not getattr(event, f"{name}_port"):
            return ""
        notation = _NOTATION.get((event.family, event.protocol), event.family)
        if notation == socket.AF_INET:
            return str(ipaddress.IPv4Address(raw[:4]))
        return str(ipaddress.IPv6Address(raw)) if notation == socket.AF_INET6 else ""

    return of


def _name(path: bytes) -> str:
    """Return the name of a UNIX socket; the NUL of an abstract one is shown as @, as in ss(8)."""
    return text(path).replace("\0", "@")


# Texts that many rows have.
_SHARED = frozenset({"socket", "remote_socket"})


def _col(
    name: str,
    kind: SqlType,
    by: str | Source,
    source: str,
    origin: str = "socket_events",
) -> Column:
    return Column(
        name=name,
        kind=kind,
        by={Socket: by},
        source=source,
        origin=origin,
        shared=name in _SHARED,
    )


_OF_OSQUERY = (
    _col("action", "TEXT", lambda e, _: ACTIONS.get(e.action, ""), "socket.action"),
    _col("pid", "BIGINT", "pid", "head.pid; 0: not known"),
    program_column(Socket, "path", origin="socket_events"),
    Column(
        name="fd",
        kind="TEXT",
        source="empty: the hooks lie below the system calls and know no descriptor",
        origin="socket_events",
    ),
    _col("auid", "BIGINT", "auid", "socket.auid; 4294967295 when not set"),
    _col("status", "TEXT", lambda e, _: _STATUSES.get(e.status, ""), "socket.status"),
    _col("family", "INTEGER", "family", "socket.family"),
    _col("protocol", "INTEGER", "protocol", "socket.protocol"),
    _col("local_address", "TEXT", _address("local"), "socket.local_addr"),
    _col("remote_address", "TEXT", _address("remote"), "socket.remote_addr"),
    _col("local_port", "INTEGER", "local_port", "socket.local_port"),
    _col("remote_port", "INTEGER", "remote_port", "socket.remote_port"),
    _col(
        *("socket", "TEXT", lambda e, _: _name(e.local_path or e.remote_path)),
        "socket.local_path, or remote_path; @ for a NUL",
    ),
    _col("success", "INTEGER", lambda e, _: int(e.error == 0), "socket.error is 0"),
)
_OWN = (
    _col("error", "INTEGER", "error", "socket.error: errno as the caller got it", "osq"),
    _col(
        *("remote_socket", "TEXT", lambda e, _: _name(e.remote_path)),
        "socket.remote_path; @ for a NUL",
        "osq",
    ),
    _col("parent", "BIGINT", "ppid", "head.ppid", "osq"),
    _col("tid", "BIGINT", "tid", "head.tid", "osq"),
    _col("socktype", "INTEGER", "socktype", "socket.socktype", "osq"),
    _col("backlog", "BIGINT", "backlog", "socket.backlog, of listen", "osq"),
    *(
        _col(name, "BIGINT", name, f"socket.{name}", "osq")
        for name in ("uid", "euid", "gid", "egid", "ifindex", "net_ns")
    ),
    _col("session_id", "BIGINT", "session", "socket.session: audit's", "osq"),
    _col(
        "cookie",
        "BIGINT",
        lambda e, _: signed(e.cookie),
        "socket.cookie: the same in all rows of one socket",
        "osq",
    ),
    _col(
        "acked_bytes",
        "BIGINT",
        lambda e, _: signed(e.acked_bytes),
        "socket.acked_bytes, at the close of TCP",
        "osq",
    ),
    _col(
        "received_bytes",
        "BIGINT",
        lambda e, _: signed(e.received_bytes),
        "socket.received_bytes, at the close of TCP",
        "osq",
    ),
    _col("start_ntime", "BIGINT", "start_boot_ns", "head.start_boot_ns", "osq"),
)

SOCKET_EVENTS = Table(
    name="ksocket_events",
    about="What was done to sockets.",
    columns=(*_OF_OSQUERY, *_OWN, *actor_columns((Socket,)), *common_columns((Socket,))),
    holds=(Socket,),
)
