# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scenarios about records of sockets and files."""

import struct
from functools import partial
from ipaddress import ip_address

from harness.kext.emulator.kernel import Kernel
from harness.kext.emulator.network import AF_INET, AF_INET6, DATAGRAM, STREAM, Network, address
from tests.kext import osq
from tests.kext.osq import Client
from tests.kext.steps import (
    FILEOP,
    GRACE_NS,
    KERN_FAILURE,
    Boot,
    refused,
    start_kext,
    stop_kext,
)
from tests.shared import protocol
from tests.shared.protocol import Record

# --- sockets and files ---------------------------------------------------------------------------


# The text of an address that is all zero.
NOWHERE = str(ip_address(0))


def sockets(records: list[Record]) -> list[tuple[int, int, str, int, str, int]]:
    """Return action, status, local and remote address and port of every socket record."""
    found = []
    for one in records:
        action, status = struct.unpack_from("<2I", one.data, 64)
        family, _type, _protocol, local, remote = struct.unpack_from("<2HI2H", one.data, 104)
        size = 4 if family == AF_INET else 16
        ends = [str(ip_address(one.data[at : at + size])) for at in (120, 136)]
        found.append((action, status, ends[0], local, ends[1], remote))
    return found


def socket_calls_give_records(boot: Boot) -> None:
    """Connect, bind, listen, accept and close give records with both addresses and the process."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    client.allocate()
    network, who = Network(kernel), kernel.process(uid=501)
    before = network.socket(who, AF_INET, STREAM)
    client.subscribe(protocol.SOCKET)
    here, there = address("10.0.0.1", 80), address("10.0.0.2", 4711)
    server = network.socket(who, AF_INET, STREAM)
    network.bind(who, server, here)
    network.listen(who, server)
    network.close(who, network.accept(who, server, there))
    other = network.socket(who, AF_INET6, DATAGRAM)
    network.connect(who, other, address("fe80::1", 53))
    network.connect(who, before, there)

    records = client.read()
    assert sockets(records) == [
        (3, 2, "10.0.0.1", 80, NOWHERE, 0),
        (4, 2, "10.0.0.1", 80, NOWHERE, 0),
        (2, 0, "10.0.0.1", 80, "10.0.0.2", 4711),
        (5, 0, "10.0.0.1", 80, "10.0.0.2", 4711),
        (1, 2, "::", 0, "fe80::1", 53),
        (1, 0, "::", 0, "fe80::1", 53),
    ]
    cookies = [struct.unpack_from("<Q", one.data, 152)[0] for one in records]
    assert cookies == [1, 1, 2, 2, 3, 3]
    assert {one.pid for one in records} == {who.pid}
    assert struct.unpack_from("<4I", records[0].data, 80) == (501, 501, 21, 20)
    for so in (before, server, other):
        network.close(who, so)
    client.close()
    stop_kext(kernel)


def attached_filters_prevent_unloading(boot: Boot) -> None:
    """While filters are attached to sockets, nothing is recorded and the kext does not stop.

    XNU detaches the filters of an ended subscription later, from open and from closed sockets.
    """
    kernel = start_kext(boot)
    client = Client.open(kernel)
    client.allocate()
    network, who = Network(kernel), kernel.process()
    client.subscribe(protocol.SOCKET)
    so, closed = (network.socket(who, AF_INET, STREAM) for _ in range(2))
    client.subscribe(protocol.SOCKET, on=False)
    assert refused(lambda: client.subscribe(protocol.SOCKET)) == osq.EBUSY
    network.connect(who, so, address("10.0.0.2", 80))
    network.close(who, closed)
    assert client.sync().attempts == 0
    client.close()
    kernel.threads.sleep(GRACE_NS)
    assert kernel.stop() == KERN_FAILURE
    kernel.pass_time(GRACE_NS)
    again = Client.open(kernel)
    again.allocate()
    again.subscribe(protocol.SOCKET)
    network.close(who, so)
    assert again.sync().attempts == 0
    again.close()
    stop_kext(kernel)


def subscription_options_select_actions(boot: Boot) -> None:
    """A subscription's options select actions, and can be changed while it is active."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    client.allocate()
    network, who = Network(kernel), kernel.process()
    client.subscribe(protocol.SOCKET, options=1 << 3)
    so = network.socket(who, AF_INET, STREAM)
    network.bind(who, so, address("127.0.0.1", 1))
    network.listen(who, so)
    client.subscribe(protocol.SOCKET, options=1 << 5)
    network.close(who, so)

    assert [one[0] for one in sockets(client.read())] == [3, 5]
    client.close()
    stop_kext(kernel)


def files(records: list[Record]) -> list[tuple[int, str, str]]:
    """Return action, path and destination of every file record."""
    return [
        (
            struct.unpack_from("<I", one.data, 104)[0],
            one.span(144).decode(),
            one.span(152).decode(),
        )
        for one in records
    ]


def report_file_operation(kernel: Kernel, action: int, *arguments: int) -> None:
    """Report a file operation of a process to every kauth listener."""
    rest = (0,) * (4 - len(arguments))
    kernel.fire(FILEOP, kernel.process(uid=501), action, *arguments, *rest)


def watched_files_give_records(boot: Boot) -> None:
    """Only files below a watched path give records, and only for the watch's actions."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    client.allocate()
    assert refused(lambda: client.watch("/etc")) == osq.ENOTCONN
    client.subscribe(protocol.FILE)
    root = "/private/etc"
    client.watch(root)
    client.watch(f"{root}/quiet", actions=1 << 4)
    vnode, text = kernel.file(), kernel.put_text
    fire = partial(report_file_operation, kernel)
    a, b, out = text("/private/etc/a"), text("/private/etc/b"), text("/private/other")

    fire(1, vnode, a)
    fire(2, vnode, a)
    fire(2, vnode, a, 2)
    fire(3, a, out)
    fire(3, out, b)
    fire(4, a, b)
    fire(5, a, b)
    fire(7, vnode, b)
    for other in (out, text("/private/etcetera")):
        fire(1, vnode, other)
    fire(7, vnode, text("/private/etc/quiet/x"))
    assert files(client.read()) == [
        (1, f"{root}/a", ""),
        (2, f"{root}/a", ""),
        (3, f"{root}/a", "/private/other"),
        (3, "/private/other", f"{root}/b"),
        (3, f"{root}/a", f"{root}/b"),
        (3, f"{root}/b", f"{root}/a"),
        (7, f"{root}/b", ""),
        (4, f"{root}/b", ""),
        (4, f"{root}/quiet/x", ""),
    ]
    client.watch(root, on=False)
    fire(1, vnode, a)
    assert client.read() == []
    client.close()
    stop_kext(kernel)


def invalid_watches_are_refused(boot: Boot) -> None:
    """Each invalid watch has its error, and watches end with the subscription of their type."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    client.allocate()
    client.subscribe(protocol.FILE)
    for path in ("", "etc", "/etc/", "/a//b", "/a/../b"):
        assert refused(partial(client.watch, path)) == osq.EINVAL
    assert refused(lambda: client.watch("/a", actions=0)) == osq.EINVAL
    assert refused(lambda: client.watch("/a", actions=1)) == osq.EINVAL
    assert refused(lambda: client.watch("/a", on=False)) == osq.ENOENT
    for number in range(128):
        client.watch(f"/w{number}")
    assert refused(lambda: client.watch("/more")) == osq.ENOSPC
    client.watch("/w5", actions=2)
    client.subscribe(protocol.FILE, on=False)
    client.subscribe(protocol.FILE)
    kernel.fire(FILEOP, kernel.process(), 1, kernel.file(), kernel.put_text("/w5"), 0, 0)
    assert client.sync().attempts == 0
    client.close()
    stop_kext(kernel)
