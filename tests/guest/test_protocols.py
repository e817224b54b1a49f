# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that no protocol, and no call of its own that it has, hides a connection."""

from dataclasses import dataclass

import pytest

from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

USER = "setpriv --reuid 1000 --regid 1000 --clear-groups"
HERE = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A protocol with functions of its own for the calls on its sockets."""

    name: str
    family: int
    number: int


MPTCP = Protocol(name="mptcp", family=2, number=262)
SCTP = Protocol(name="sctp", family=2, number=132)
SMC = Protocol(name="smc", family=43, number=0)


@pytest.mark.parametrize("protocol", [MPTCP, SCTP, SMC], ids=lambda protocol: f"{protocol.name}")
def test_another_protocol_hides_no_connection(
    guest: Guest, tail: Tailing, protocol: Protocol
) -> None:
    """A user's bind, listen, connect and accept by MPTCP, SCTP and SMC have socket records.

    A kernel without the protocol, as 7.3's cloud kernel without SMC, has to refuse the socket.
    """
    port = 7_000 + protocol.number % 1_000
    options = "--socket bind --socket listen --socket connect --socket accept"
    module = f"modprobe --dry-run --quiet {protocol.name}"
    # Debian builds MPTCP into its kernels.
    is_known = protocol is MPTCP or guest.run(module, deadline_s=20, check=False).status == 0

    with tail(f"--type socket {options}") as running:
        connected = guest.run(
            f"{USER} osqsocks calls {protocol.family} 1 {protocol.number} {port}",
            deadline_s=60,
            check=False,
        )
        seen = running.finish()

    own = [
        one
        for one in seen.records
        if (one["family"], one["protocol"]) == (protocol.family, protocol.number)
    ]
    assert (connected.status == 0, "not supported" in connected.stderr) == (is_known, not is_known)
    if not is_known:
        assert own == []
        return
    by_action = {one["action"]: one for one in own}
    assert [one["action"] for one in own] == ["bind", "listen", "connect", "accept"]
    assert {one["uid"] for one in own} == {1000}
    assert (by_action["bind"]["local_address"], by_action["bind"]["local_port"]) == (HERE, port)
    remote = by_action["connect"]["remote_address"], by_action["connect"]["remote_port"]
    assert remote == (HERE, port)
    assert seen.stats["dropped"] == 0


@dataclass(frozen=True, kw_only=True)
class Detour:
    """A connection by calls beside bind, listen, connect and accept, and what must be recorded."""

    scene: str
    module: str
    records: tuple[tuple[str, int], ...]


TCP_NUMBER = 6
BY_TCP = tuple((action, TCP_NUMBER) for action in ("bind", "listen", "connect", "accept"))
BY_SCTP = tuple((action, SCTP.number) for action in ("bind", "listen", "connect", "accept"))
DETOURS = (
    Detour(scene="fallback", module="smc", records=BY_TCP),
    Detour(scene="fastopen", module="smc", records=BY_TCP),
    # The second connect is recorded when the first data are sent.
    Detour(scene="deferred", module="", records=(*BY_TCP[:3], *BY_TCP[2:])),
    Detour(
        scene="plain",
        module="",
        records=(
            ("bind", MPTCP.number),
            ("listen", MPTCP.number),
            ("connect", TCP_NUMBER),
            ("accept", TCP_NUMBER),
        ),
    ),
    Detour(scene="connectx", module="sctp", records=BY_SCTP),
    Detour(scene="sendto", module="sctp", records=BY_SCTP),
)


@pytest.mark.parametrize("detour", DETOURS, ids=lambda detour: f"{detour.scene}")
def test_another_protocol_hides_no_connection_that_is_made_by_other_calls(
    guest: Guest, tail: Tailing, detour: Detour
) -> None:
    """SMC that falls back to TCP, fast open, and SCTP's sendto and connectx have records."""
    port = 7_900 + DETOURS.index(detour)
    options = "--socket bind --socket listen --socket connect --socket accept"
    look = f"test -z '{detour.module}' || modprobe --dry-run --quiet {detour.module}"
    if guest.run(look, deadline_s=20, check=False).status:
        pytest.skip(f"this kernel has no {detour.module}")

    with tail(f"--type socket {options}") as running:
        guest.run(f"{USER} osqsocks {detour.scene} {port}", deadline_s=60)
        seen = running.finish()

    own = [one for one in seen.records if one["uid"] == 1000]
    client = next(one for one in own if one["action"] == "connect")
    server = next(one for one in own if one["action"] == "bind")
    assert tuple((one["action"], one["protocol"]) for one in own) == detour.records
    assert (client["remote_address"], client["remote_port"]) == (HERE, port)
    assert (server["local_address"], server["local_port"]) == (HERE, port)
