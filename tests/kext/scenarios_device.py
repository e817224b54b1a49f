# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scenarios about loading and unloading, the device and its owner, and waiting readers."""

import struct
from functools import partial

from harness.kext.emulator.kernel import is_waiting
from tests.kext import osq
from tests.kext.osq import Client
from tests.kext.steps import (
    FILEOP,
    GRACE_NS,
    KERN_FAILURE,
    KERN_SUCCESS,
    Boot,
    begin_exec,
    owner,
    paths,
    refused,
    run_program,
    start_kext,
    stop_kext,
)
from tests.shared import protocol

# --- life ----------------------------------------------------------------------------------------


def start_and_stop(boot: Boot) -> None:
    """The kext creates a node that only root may open; after its stop nothing is left."""
    kernel = start_kext(boot)
    (node,) = kernel.state.nodes.values()

    assert (node.name, node.mode, node.uid, node.gid) == ("osquery", 0o600, 0, 0)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()
    assert kernel.log == ["osq: loaded, ABI 0x2, schema 6\n", "osq: unloaded\n"]


def image_can_be_started_again(boot: Boot) -> None:
    """The kext can be started five times on the same image, each time as if it were new."""
    kernel = boot()
    for life in range(5):
        assert kernel.start() == KERN_SUCCESS
        client = owner(kernel)
        run_program(kernel, f"/bin/life{life}")
        records = client.read()
        assert paths(records) == [f"/bin/life{life}"]
        assert (client.generation, records[0].seq) == (1, 1)
        client.close()
        kernel.pass_time(GRACE_NS)
        assert kernel.stop() == KERN_SUCCESS
    kernel.unload()


def unloading_while_in_use_is_refused(boot: Boot) -> None:
    """While the device is open the kext refuses to stop and still works; afterwards it stops."""
    kernel = start_kext(boot)
    client = owner(kernel)

    assert kernel.stop() == KERN_FAILURE
    run_program(kernel)
    assert paths(client.read()) == ["/bin/ls"]
    client.close()
    stop_kext(kernel)


# --- the device ----------------------------------------------------------------------------------


def device_has_one_root_owner_at_a_time(boot: Boot) -> None:
    """Only root can open the device, and only one process at a time."""
    kernel = start_kext(boot)
    user = kernel.process(uid=501)
    assert refused(lambda: Client.open(kernel, user)) == osq.EPERM
    client = Client.open(kernel)
    assert refused(lambda: Client.open(kernel)) == osq.EBUSY
    client.close()
    Client.open(kernel).close()
    stop_kext(kernel)


def call_of_a_child_invalidates_the_queue(boot: Boot) -> None:
    """An ioctl by a child is refused and invalidates the queue; the owner can allocate another."""
    kernel = start_kext(boot)
    client = owner(kernel)
    run_program(kernel)
    child = kernel.process(parent=client.process)

    assert refused(lambda: client.ask("CAPS", who=child)) == osq.EPERM
    assert refused(client.sync) == osq.ESTALE
    assert refused(client.subscribe) == osq.ESTALE
    assert not kernel.listeners(FILEOP)
    # The mapping of the invalid queue stays readable.
    assert client.records(0) == []
    kernel.user_memory(client.process, client.address, 2 * client.ring_bytes)
    client.allocate()
    client.subscribe()
    run_program(kernel, "/bin/again")
    assert paths(client.read()) == ["/bin/again"]
    sync = client.sync()
    assert (sync.reset, sync.consumed, client.generation) == (1, 1, 2)
    client.close()
    stop_kext(kernel)


def program_after_exec_is_not_the_owner(boot: Boot) -> None:
    """After an exec the process has the same id, but is no longer the device's owner."""
    kernel = start_kext(boot)
    client = owner(kernel)
    other = kernel.executed(client.process)

    assert refused(lambda: client.ask("CAPS", who=other)) == osq.EPERM
    client.close()
    stop_kext(kernel)


def device_of_a_dead_owner_is_free(boot: Boot) -> None:
    """A child keeps a dead owner's descriptor open, and the next open succeeds all the same.

    XNU does not call the driver's close there; the next open notices that the owner has died.
    """
    kernel = start_kext(boot)
    client = owner(kernel)
    child = kernel.process(parent=client.process)
    client.descriptor.holders.add(child.pid)
    client.device.close(client.process, client.descriptor)
    assert refused(lambda: Client.open(kernel)) == osq.EBUSY
    kernel.end(client.process)

    other = owner(kernel)
    run_program(kernel)
    assert paths(other.read()) == ["/bin/ls"]
    other.close()
    # The driver is called for one of these two closes, because both descriptors have one vnode.
    client.device.close(child, client.descriptor)
    stop_kext(kernel)


def each_misuse_has_its_own_error(boot: Boot) -> None:
    """Each misuse returns the error that kernel/uapi/osq.h lists, and changes nothing."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    sync = client.sync_argument
    assert refused(client.sync) == osq.ENXIO
    assert refused(lambda: client.ask("MAP")) == osq.ENXIO
    assert refused(lambda: client.allocate(abi=0)) == osq.EPROTO
    for size in (0, 4096, 12288, 1 << 27):
        assert refused(partial(client.allocate, size)) == osq.EINVAL
    client.allocate()
    assert refused(client.allocate) == osq.EEXIST
    assert refused(lambda: client.subscribe(30)) == osq.EINVAL
    assert refused(lambda: client.subscribe(options=1 << 40)) == osq.EINVAL
    assert refused(lambda: client.ask("SYNC", sync(flags=8))) == osq.EINVAL
    assert refused(lambda: client.ask("SYNC", sync(read_pos=8))) == osq.EINVAL
    client.generation += 1
    assert refused(client.sync) == osq.ESTALE
    client.generation -= 1
    assert client.sync().attempts == 0
    for number in (osq.COMMANDS["SYNC"] & ~0x80000000, osq.COMMANDS["CAPS"] + 40, 0):
        data = bytes(number >> 16 & 0x1FFF) if number & 0x80000000 else b""
        assert client.device.ioctl(client.process, number, data)[0] == osq.ENOTTY
    client.close()
    stop_kext(kernel)


def caps_name_the_types_that_can_be_subscribed_to(boot: Boot) -> None:
    """Each type that CAPS names can be subscribed to, and no other."""
    kernel = start_kext(boot)
    client = Client.open(kernel)
    _abi, _schema, types, missing = struct.unpack_from("<2I2Q", client.ask("CAPS"))
    client.allocate()
    for kind in range(32):
        if types >> kind & 1:
            client.subscribe(kind)
            client.subscribe(kind, on=False)
        else:
            assert refused(partial(client.subscribe, kind)) == osq.EINVAL
    assert types >> protocol.EXEC & 1
    assert missing == 0
    client.close()
    stop_kext(kernel)


# --- waiting -------------------------------------------------------------------------------------


def a_waiting_reader_is_woken(boot: Boot) -> None:
    """A SYNC with WAIT sleeps until there is a record, and returns its position."""
    kernel = start_kext(boot)
    client = owner(kernel)
    call = client.begin_wait()
    assert not kernel.threads.run_to_wait(call.thread)
    run_program(kernel)
    kernel.threads.finish(call.thread)

    error, answer = client.device.end_ioctl(call)
    assert error == 0
    assert paths(client.records(protocol.parsed_sync(answer).max_pos)) == ["/bin/ls"]
    client.close()
    stop_kext(kernel)


def no_wakeup_is_lost(boot: Boot) -> None:
    """At whichever call a publisher interrupts a reader, the reader wakes and gets the record."""
    kernel = start_kext(boot)
    client = owner(kernel)
    for notify in (struct.pack("<2I", 1, 0), struct.pack("<2I", 4096, 250)):
        client.ask("NOTIFY", notify)
        for reader_calls in range(1, 24):
            call = client.begin_wait()
            kernel.threads.run_calls(call.thread, reader_calls)
            kernel.threads.finish(begin_exec(kernel))
            kernel.threads.finish(call.thread)
            error, answer = client.device.end_ioctl(call)
            assert error == 0
            assert len(client.records(protocol.parsed_sync(answer).max_pos)) == 1
    client.close()
    stop_kext(kernel)


def wait_ends_early_with_its_own_error(boot: Boot) -> None:
    """A wait ends with EAGAIN for O_NONBLOCK, EINTR for a signal, ESTALE for an invalid queue."""
    kernel = start_kext(boot)
    client = owner(kernel)
    call = client.begin_wait(flags=4)
    kernel.threads.finish(call.thread)
    assert client.device.end_ioctl(call)[0] == osq.EAGAIN

    call = client.begin_wait()
    kernel.threads.run_to_wait(call.thread)
    kernel.signal(call.thread)
    kernel.threads.finish(call.thread)
    assert client.device.end_ioctl(call)[0] == osq.EINTR

    call = client.begin_wait()
    kernel.threads.run_to_wait(call.thread)
    child = kernel.process(parent=client.process)
    assert refused(lambda: client.ask("CAPS", who=child)) == osq.EPERM
    kernel.threads.finish(call.thread)
    assert client.device.end_ioctl(call)[0] == osq.ESTALE
    client.close()
    stop_kext(kernel)


def a_signal_comes_before_a_wakeup(boot: Boot) -> None:
    """A wait that is woken and interrupted ends with EINTR; the next SYNC has the record."""
    kernel = start_kext(boot)
    client = owner(kernel)
    call = client.begin_wait()
    assert not kernel.threads.run_to_wait(call.thread)
    run_program(kernel)
    kernel.signal(call.thread)
    kernel.threads.finish(call.thread)
    assert client.device.end_ioctl(call)[0] == osq.EINTR

    call = client.begin_wait()
    kernel.threads.finish(call.thread)
    error, answer = client.device.end_ioctl(call)
    assert error == 0
    assert paths(client.records(protocol.parsed_sync(answer).max_pos)) == ["/bin/ls"]
    client.close()
    stop_kext(kernel)


def reader_sleeps_for_its_latency(boot: Boot) -> None:
    """A reader with a watermark, of which too few bytes arrive, sleeps for exactly its latency."""
    kernel = start_kext(boot)
    client = owner(kernel)
    client.ask("NOTIFY", struct.pack("<2I", 4096, 250))
    call = client.begin_wait()
    kernel.threads.run_to_wait(call.thread)
    run_program(kernel)
    reported_ns = kernel.threads.now_ns
    assert is_waiting(call.thread)
    kernel.threads.finish(call.thread)

    assert 249_000_000 < kernel.threads.now_ns - reported_ns < 251_000_000
    error, answer = client.device.end_ioctl(call)
    assert (error, protocol.parsed_sync(answer).pending) == (0, 1)
    client.close()
    stop_kext(kernel)
