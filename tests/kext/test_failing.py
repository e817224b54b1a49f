# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Let each kernel function fail at each of its calls: the kext must keep working."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from harness.kext.emulator.kernel import Kernel
from harness.kext.emulator.network import AF_INET, STREAM, Network, address
from harness.kext.emulator.registry import MODELS
from tests.kext.osq import Client
from tests.kext.steps import FILEOP, GRACE_NS, KERN_FAILURE, KERN_SUCCESS, run_program
from tests.shared import protocol
from tests.shared.client import Refused

ENOMEM = 12
CAN_FAIL = sorted(name for name, one in MODELS.items() if one.failure is not None)


def use(kernel: Kernel) -> None:
    """In the emulated kernel, run two programs, open a file, connect and close a socket."""
    who, network = kernel.process(), Network(kernel)
    run_program(kernel)
    run_program(kernel)
    kernel.fire(FILEOP, who, 1, kernel.file(), kernel.put_text("/bin/ls"), 0, 0)
    so = network.socket(who, AF_INET, STREAM)
    network.connect(who, so, address("10.0.0.1", 80))
    network.close(who, so)


def life(kernel: Kernel) -> list[int]:
    """Start, use and stop the kext; return the error numbers that the client got.

    A call that failed must succeed when it is repeated.
    """
    errors = []
    if kernel.start() == KERN_FAILURE:
        assert kernel.failed
        assert kernel.start() == KERN_SUCCESS
    client = Client.open(kernel)
    subscriptions = [
        partial(client.subscribe, kind) for kind in (protocol.EXEC, protocol.SOCKET, protocol.FILE)
    ]
    watch = partial(client.watch, "/bin")
    calls: list[Callable[[], None]] = [client.make_ring, client.map_ring, *subscriptions, watch]
    for call in calls:
        try:
            call()
        except Refused as error:
            errors.append(error.error)
            kernel.pass_time(1)
            call()
    use(kernel)
    kinds = Counter(one.kind for one in client.read())
    assert kinds == {protocol.EXEC: 2, protocol.SOCKET: 3, protocol.FILE: 1}
    client.close()
    kernel.pass_time(GRACE_NS)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()
    return errors


def test_when_no_kernel_function_fails_the_kexts_client_gets_no_error(binary: bytes) -> None:
    """In the emulator, the kext is started, used and stopped, and its client gets no error."""
    assert life(Kernel(binary)) == []


@pytest.mark.parametrize("name", CAN_FAIL)
def test_each_failing_kernel_call_gives_the_client_at_most_one_enomem(
    binary: bytes, name: str
) -> None:
    """In the emulator, one call of an XNU function fails in each run; nothing is left after stop.

    After the kext's stop nothing is left.
    """
    usual = Kernel(binary)
    life(usual)
    calls = usual.calls[name]

    for number in range(1, calls + 1):
        kernel = Kernel(binary)
        kernel.fail = (name, number)
        errors = life(kernel)
        assert kernel.failed
        assert errors in ([], [ENOMEM])


def test_one_run_of_the_kext_calls_every_kernel_function_that_can_fail(binary: bytes) -> None:
    """The run that the other tests use calls each XNU function that they let fail."""
    kernel = Kernel(binary)
    life(kernel)

    assert {name for name in CAN_FAIL if not kernel.calls[name]} == set()


def test_full_kauth_scope_makes_subscribing_fail(binary: bytes) -> None:
    """If kauth_listen_scope returns NULL in the emulator, SUBSCRIBE gets ENOMEM."""
    kernel = Kernel(binary)
    kernel.start()
    client = Client.open(kernel)
    client.allocate()
    kernel.fail = ("_kauth_listen_scope", 1)
    with pytest.raises(Refused, match=f"error {ENOMEM}"):
        client.subscribe()
    client.close()
    kernel.pass_time(GRACE_NS)
    assert kernel.stop() == KERN_SUCCESS
