# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kext must do in an emulated kernel: each a function that a fault in it makes fail.

They are run on the kext as it is (test_kext.py), and on kexts with one planted fault each
(test_planted.py), of which every one must fail here.
"""

import struct
from collections.abc import Callable

from harness.kext.emulator.kernel import Kernel, is_waiting
from harness.kext.emulator.threads import Process, Thread
from tests.kext import osq
from tests.kext.osq import Client, Record, Refused

Boot = Callable[[], Kernel]
FILEOP = "com.apple.kauth.fileop"
EXEC_ACTION = 6
GRACE_NS = 3_000_000_000
KERN_SUCCESS, KERN_FAILURE = 0, 5
PATH_AT = 168
# PARTIAL_ARGV, NO_CWD, NO_MNT_NS: what kauth does not tell.
EXEC_FLAGS = 0x0004 | 0x0080 | 0x0100


def started(boot: Boot) -> Kernel:
    """Return a kernel with the kext started."""
    kernel = boot()
    assert kernel.start() == KERN_SUCCESS
    return kernel


def stopped(kernel: Kernel) -> None:
    """Stop the kext once its grace is over, and take its image away."""
    kernel.threads.sleep(GRACE_NS)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()


def refused(call: Callable[[], object]) -> int:
    """Return the error number of a call that must be refused."""
    try:
        call()
    except Refused as error:
        return error.error
    raise AssertionError("it is not refused")


def run_program(kernel: Kernel, path: str = "/bin/ls", process: Process | None = None) -> Process:
    """Have a process run a program: every listener hears of it."""
    who = process or kernel.process(uid=0)
    kernel.fire(FILEOP, who, EXEC_ACTION, kernel.file(), kernel.put_text(path), 0, 0)
    return who


def begin_exec(kernel: Kernel, path: str = "/bin/ls") -> Thread:
    """Return a thread that is about to tell of a program."""
    (listener,) = kernel.listeners(FILEOP)
    path_at = kernel.put_text(path)
    who = kernel.process()
    return kernel.begin_callback(listener, who, EXEC_ACTION, kernel.file(), path_at, 0, 0)


def owner(kernel: Kernel, ring_bytes: int = osq.SMALLEST) -> Client:
    """Return a client with a ring and a subscription to execs."""
    client = Client.open(kernel)
    client.allocate(ring_bytes)
    client.subscribe()
    return client


def paths(records: list[Record]) -> list[str]:
    """Return the path of every exec record."""
    return [one.span(PATH_AT).decode() for one in records if one.kind == osq.EXEC]


# --- life ----------------------------------------------------------------------------------------


def start_and_stop(boot: Boot) -> None:
    """A node for root alone appears; after stop nothing is left."""
    kernel = started(boot)
    (node,) = kernel.state.nodes.values()

    assert (node.name, node.mode, node.uid, node.gid) == ("osquery", 0o600, 0, 0)
    assert kernel.stop() == KERN_SUCCESS
    kernel.unload()
    assert "osq: unloaded\n" in kernel.log


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
        kernel.threads.sleep(GRACE_NS)
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
        assert refused(lambda size=size: client.allocate(size)) == osq.EINVAL
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
            assert refused(lambda kind=kind: client.subscribe(kind)) == osq.EINVAL
    assert types >> osq.EXEC & 1
    assert missing == 0
    client.close()
    stopped(kernel)


# --- records -------------------------------------------------------------------------------------


def an_exec_gives_one_record(boot: Boot) -> None:
    """Path, ids, file and time are the process's and the file's; what is not told is flagged."""
    kernel = started(boot)
    client = owner(kernel)
    before = kernel.threads.now_ns
    who = run_program(kernel, "/usr/bin/true")
    after = kernel.threads.now_ns

    (record,) = client.read()
    assert (record.pid, record.ppid, record.seq) == (who.pid, 1, 1)
    assert (record.kind, record.flags) == (osq.EXEC, EXEC_FLAGS)
    assert before < record.ts_boot_ns < after
    ids = struct.unpack_from("<8I", record.data, 64)
    assert ids == (501, 0, 502, 0, 21, 20, 22, 20)
    mode, uid, gid, _old, device, inode = struct.unpack_from("<4I2Q", record.data, 112)
    assert (mode, uid, gid, device, inode) == (0o100755, 0, 0, 1 << 32 | 10, 77)
    times = struct.unpack_from("<3q", record.data, 144)
    assert times == (1000_000000001, 2000_000000002, 3000_000000003)
    spans = [record.span(PATH_AT + 8 * number) for number in range(5)]
    assert spans == [b"/usr/bin/true", b"", b"", b"", b""]
    client.close()
    stopped(kernel)


def other_file_operations_give_none(boot: Boot) -> None:
    """Opens, closes and deletions pass the exec publisher by."""
    kernel = started(boot)
    client = owner(kernel)
    path = kernel.put_text("/etc/passwd")
    for action in (1, 2, 3, 4, 5, 7, 8):
        kernel.fire(FILEOP, kernel.process(), action, kernel.file(), path, 0, 0)

    assert client.sync().attempts == 0
    client.close()
    stopped(kernel)


def a_long_path_is_cut_at_kauths_most(boot: Boot) -> None:
    """1,024 bytes are what vn_getpath has room for; more is not read."""
    kernel = started(boot)
    client = owner(kernel)
    run_program(kernel, "/" + "a" * 1500)
    run_program(kernel, "")

    long, none = client.read()
    assert len(long.span(PATH_AT)) == 1024
    assert none.flags == EXEC_FLAGS | 0x0008
    client.close()
    stopped(kernel)


def every_attempt_is_accounted(boot: Boot) -> None:
    """A ring is filled over and over: what is not in it is counted, and told in its place."""
    kernel = started(boot)
    client = owner(kernel)
    sent, seen, lost, last = 0, 0, 0, 0
    for burst in (10, 40, 3, 60, 1, 1, 25, 19, 22, 20, 60):
        for _ in range(burst):
            run_program(kernel, f"/bin/{'x' * (sent % 90)}{sent}")
            sent += 1
        for record in client.read():
            assert record.seq > last
            last = record.seq
            if record.kind == osq.LOST:
                lost += sum(struct.unpack_from("<8Q", record.data, 96))
            else:
                seen += 1
                number = int(record.span(PATH_AT).decode().strip("/bin").lstrip("x"))
                assert record.span(PATH_AT) == f"/bin/{'x' * (number % 90)}{number}".encode()
    sync = client.sync()
    assert lost > 0
    assert sync.dropped[osq.FULL] == sum(sync.dropped) == sync.dropped_of[osq.EXEC]
    assert seen + sync.dropped[osq.FULL] == sent
    assert client.read_pos > 3 * client.ring_bytes
    client.close()
    stopped(kernel)


def too_many_at_once_are_counted(boot: Boot) -> None:
    """With all buffers in use an exec is dropped as nested, not waited for."""
    kernel = started(boot)
    client = owner(kernel, 1 << 16)
    threads = [begin_exec(kernel) for _ in range(20)]
    for thread in threads:
        # Into the encoder, with a buffer, as far as the file's attributes.
        kernel.threads.run_calls(thread, 10)
    kernel.threads.finish_all()

    sync = client.sync()
    assert (sync.committed, sync.dropped[osq.NESTED]) == (16 + 1, 4)
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
    assert paths(client.records(osq.parsed(answer).max_pos)) == ["/bin/ls"]
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
            assert len(client.records(osq.parsed(answer).max_pos)) == 1
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
    assert (error, osq.parsed(answer).pending) == (0, 1)
    client.close()
    stopped(kernel)


# --- at any moment -------------------------------------------------------------------------------


def exec_calls(boot: Boot) -> int:
    """Return how many calls a publisher's callback makes."""
    kernel = started(boot)
    owner(kernel)
    thread = begin_exec(kernel)
    kernel.threads.finish(thread)
    return thread.calls


def only_whole_records_are_shown(boot: Boot) -> None:
    """A publisher stops behind each of its calls: what a reader may read then is whole."""
    kernel = started(boot)
    client = owner(kernel)
    for calls in range(exec_calls(boot) + 1):
        before = client.read_pos
        run_program(kernel, "/bin/before")
        thread = begin_exec(kernel, "/bin/midway")
        kernel.threads.run_calls(thread, calls)
        if not thread.spins:
            run_program(kernel, "/bin/after")
            seen = paths(client.read())
            assert seen[0] == "/bin/before"
            assert set(seen) <= {"/bin/before", "/bin/midway", "/bin/after"}
        kernel.threads.finish(thread)
        client.read()
        assert client.read_pos > before
        assert client.sync().pending == 0
    client.close()
    stopped(kernel)


def exec_steps(boot: Boot) -> int:
    """Return how many instructions a publisher's callback has, at most."""
    kernel = started(boot)
    owner(kernel)
    thread = begin_exec(kernel)
    steps = 0
    while not kernel.threads.run_steps(thread, 50):
        steps += 50
    return steps


def the_queue_may_go_at_any_moment(boot: Boot, stride: int = 61) -> None:
    """The owner closes while a callback is at any of its instructions: both come to their end."""
    kernel = started(boot)
    for steps in range(0, exec_steps(boot), stride):
        client = owner(kernel)
        thread = begin_exec(kernel)
        kernel.threads.run_steps(thread, steps)
        client.close()
        kernel.threads.finish(thread)
        assert not client.device.kernel.listeners(FILEOP)
    stopped(kernel)


def a_late_callback_is_harmless(boot: Boot) -> None:
    """A thread is on its way into a listener that is taken out: it finds the gate closed.

    Until it has had time to come and go, the kext is not unloaded.
    """
    kernel = started(boot)
    client = owner(kernel)
    late = begin_exec(kernel)
    client.close()
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.sleep(GRACE_NS // 3)
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.finish(late)
    stopped(kernel)


def a_callback_that_has_not_left_keeps_the_kext(boot: Boot) -> None:
    """One that has entered and found the gate closed is inside until it leaves.

    It calls nothing of the kernel's between the two.
    """
    kernel = started(boot)
    client = owner(kernel)
    late = begin_exec(kernel)
    client.close()
    kernel.threads.run_to(late, kernel.cpu.symbol("osq_gate_leave"))
    kernel.threads.sleep(10 * GRACE_NS)
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.finish(late)
    stopped(kernel)


SCENARIOS: tuple[Callable[[Boot], None], ...] = (
    start_and_stop,
    five_lives_on_one_image,
    unloading_while_in_use_is_refused,
    one_owner,
    a_stranger_costs_the_queue,
    a_program_started_by_exec_is_a_stranger,
    a_dead_owners_device_is_free,
    each_misuse_has_its_own_error,
    caps_tell_what_works,
    an_exec_gives_one_record,
    other_file_operations_give_none,
    a_long_path_is_cut_at_kauths_most,
    every_attempt_is_accounted,
    too_many_at_once_are_counted,
    a_waiting_reader_is_woken,
    no_wakeup_is_lost,
    what_ends_a_wait,
    a_latency_is_kept,
    only_whole_records_are_shown,
    the_queue_may_go_at_any_moment,
    a_late_callback_is_harmless,
    a_callback_that_has_not_left_keeps_the_kext,
)
