# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scenarios: the life of the kext, its device and owner, and waiting readers."""

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
    started,
    stopped,
)
from tests.shared import protocol

# --- life ----------------------------------------------------------------------------------------


def start_and_stop(boot: Boot) -> None:
    """A node for root alone appears; after stop nothing is left."""
    kernel = started(boot)
    (node,) = kernel.state.nodes.values()

    assert (node.name, node.mode, node.uid, node.gid) == ("osquery", 0o600, 0, 0)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()
    assert kernel.log == ["osq: loaded, ABI 0x2, schema 3\n", "osq: unloaded\n"]


def five_lives_on_one_image(boot: Boot) -> None:
    """The same image is started again and again, its data as it was left, and is as new."""
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
    """While the device is open the kext stays and works; then it goes."""
    kernel = started(boot)
    client = owner(kernel)

    assert kernel.stop() == KERN_FAILURE
    run_program(kernel)
    assert paths(client.read()) == ["/bin/ls"]
    client.close()
    stopped(kernel)


# --- the device ----------------------------------------------------------------------------------


def one_owner(boot: Boot) -> None:
    """The device is root's, and one process's at a time."""
    kernel = started(boot)
    user = kernel.process(uid=501)
    assert refused(lambda: Client.open(kernel, user)) == osq.EPERM
    client = Client.open(kernel)
    assert refused(lambda: Client.open(kernel)) == osq.EBUSY
    client.close()
    Client.open(kernel).close()
    stopped(kernel)


def a_stranger_costs_the_queue(boot: Boot) -> None:
    """A child that uses the descriptor is refused; the owner is told, and begins anew."""
    kernel = started(boot)
    client = owner(kernel)
    run_program(kernel)
    child = kernel.process(parent=client.process)

    assert refused(lambda: client.ask("CAPS", who=child)) == osq.EPERM
    assert refused(client.sync) == osq.ESTALE
    assert refused(client.subscribe) == osq.ESTALE
    assert not kernel.listeners(FILEOP)
    # What the owner was reading is still there.
    assert client.records(0) == []
    kernel.user_memory(client.process, client.address, 2 * client.ring_bytes)
    client.allocate()
    client.subscribe()
    run_program(kernel, "/bin/again")
    assert paths(client.read()) == ["/bin/again"]
    sync = client.sync()
    assert (sync.reset, sync.consumed, client.generation) == (1, 1, 2)
    client.close()
    stopped(kernel)


def a_program_started_by_exec_is_a_stranger(boot: Boot) -> None:
    """The same number with another program in it is not the owner."""
    kernel = started(boot)
    client = owner(kernel)
    other = kernel.executed(client.process)

    assert refused(lambda: client.ask("CAPS", who=other)) == osq.EPERM
    client.close()
    stopped(kernel)


def a_dead_owners_device_is_free(boot: Boot) -> None:
    """An owner dies while a child has the descriptor: XNU tells nobody, the next open sees it."""
    kernel = started(boot)
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
    # Of these two closes the driver hears one, as with one vnode.
    client.device.close(child, client.descriptor)
    stopped(kernel)


def each_misuse_has_its_own_error(boot: Boot) -> None:
    """As kernel/uapi/osq.h lists them; none changes anything."""
    kernel = started(boot)
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
    stopped(kernel)


def caps_tell_what_works(boot: Boot) -> None:
    """Each type that CAPS names can be subscribed to, no other."""
    kernel = started(boot)
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
    stopped(kernel)


# --- waiting -------------------------------------------------------------------------------------


def a_waiting_reader_is_woken(boot: Boot) -> None:
    """SYNC with WAIT sleeps until there is a record, and gives it."""
    kernel = started(boot)
    client = owner(kernel)
    call = client.begin_wait()
    assert not kernel.threads.run_to_wait(call.thread)
    run_program(kernel)
    kernel.threads.finish(call.thread)

    error, answer = client.device.end_ioctl(call)
    assert error == 0
    assert paths(client.records(protocol.parsed_sync(answer).max_pos)) == ["/bin/ls"]
    client.close()
    stopped(kernel)


def no_wakeup_is_lost(boot: Boot) -> None:
    """Wherever reader and publisher meet, call by call, the reader wakes and has the record."""
    kernel = started(boot)
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
    stopped(kernel)


def what_ends_a_wait(boot: Boot) -> None:
    """A signal, O_NONBLOCK, the end of the queue, and a latency that is over."""
    kernel = started(boot)
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
    stopped(kernel)


def a_latency_is_kept(boot: Boot) -> None:
    """With a watermark the reader sleeps on for its latency, and no longer."""
    kernel = started(boot)
    client = owner(kernel)
    client.ask("NOTIFY", struct.pack("<2I", 4096, 250))
    call = client.begin_wait()
    kernel.threads.run_to_wait(call.thread)
    run_program(kernel)
    told_ns = kernel.threads.now_ns
    assert is_waiting(call.thread)
    kernel.threads.finish(call.thread)

    assert 249_000_000 < kernel.threads.now_ns - told_ns < 251_000_000
    error, answer = client.device.end_ioctl(call)
    assert (error, protocol.parsed_sync(answer).pending) == (0, 1)
    client.close()
    stopped(kernel)
