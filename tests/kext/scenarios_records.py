# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Scenarios about exec records, counters, and callbacks that are stopped at any moment."""

import struct

from tests.kext.steps import (
    EXEC_FLAGS,
    FILEOP,
    GRACE_NS,
    KERN_FAILURE,
    Boot,
    begin_exec,
    owner,
    paths,
    run_program,
    start_kext,
    stop_kext,
)
from tests.shared import protocol
from tests.shared.protocol import PATH_AT

# --- records -------------------------------------------------------------------------------------


def an_exec_gives_one_record(boot: Boot) -> None:
    """An exec gives one record with the path, ids, file and time, and flags for missing fields."""
    kernel = start_kext(boot)
    client = owner(kernel)
    before = kernel.threads.now_ns
    who = run_program(kernel, "/usr/bin/true")
    after = kernel.threads.now_ns

    (record,) = client.read()
    assert (record.pid, record.ppid, record.seq) == (who.pid, 1, 1)
    assert (record.kind, record.flags) == (protocol.EXEC, EXEC_FLAGS)
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
    stop_kext(kernel)


def other_file_operations_give_no_exec_record(boot: Boot) -> None:
    """Opens, closes and deletions of files give no exec record."""
    kernel = start_kext(boot)
    client = owner(kernel)
    path = kernel.put_text("/etc/passwd")
    for action in (1, 2, 3, 4, 5, 7, 8):
        kernel.fire(FILEOP, kernel.process(), action, kernel.file(), path, 0, 0)

    assert client.sync().attempts == 0
    client.close()
    stop_kext(kernel)


def long_path_is_cut_at_1024_bytes(boot: Boot) -> None:
    """A path is cut at 1,024 bytes, the most that vn_getpath writes; an empty one is flagged."""
    kernel = start_kext(boot)
    client = owner(kernel)
    run_program(kernel, "/" + "a" * 1500)
    run_program(kernel, "")

    long, none = client.read()
    assert len(long.span(PATH_AT)) == 1024
    assert none.flags == EXEC_FLAGS | 0x0008
    client.close()
    stop_kext(kernel)


def every_attempt_is_accounted_for(boot: Boot) -> None:
    """A ring that is filled again and again counts and reports each lost record."""
    kernel = start_kext(boot)
    client = owner(kernel)
    sent, seen, lost, last = 0, 0, 0, 0
    for burst in (10, 40, 3, 60, 1, 1, 25, 19, 22, 20, 60):
        for _ in range(burst):
            run_program(kernel, f"/bin/{'x' * (sent % 90)}{sent}")
            sent += 1
        for record in client.read():
            assert record.seq > last
            last = record.seq
            if record.kind == protocol.LOST:
                lost += sum(struct.unpack_from("<8Q", record.data, 96))
            else:
                seen += 1
                number = int(record.span(PATH_AT).decode().strip("/bin").lstrip("x"))
                assert record.span(PATH_AT) == f"/bin/{'x' * (number % 90)}{number}".encode()
    sync = client.sync()
    assert lost > 0
    assert sync.dropped[protocol.FULL] == sum(sync.dropped) == sync.dropped_of[protocol.EXEC]
    assert seen + sync.dropped[protocol.FULL] == sent
    assert client.read_pos > 3 * client.ring_bytes
    client.close()
    stop_kext(kernel)


def exec_without_a_free_buffer_is_counted_as_nested(boot: Boot) -> None:
    """When all buffers are in use, an exec is dropped and counted as nested."""
    kernel = start_kext(boot)
    client = owner(kernel, 1 << 16)
    threads = [begin_exec(kernel) for _ in range(20)]
    for thread in threads:
        # After ten calls a callback has taken its buffer and is reading the file's attributes.
        kernel.threads.run_calls(thread, 10)
    kernel.threads.finish_all()

    sync = client.sync()
    assert (sync.committed, sync.dropped[protocol.NESTED]) == (16 + 1, 4)
    client.close()
    stop_kext(kernel)


# --- at any moment -------------------------------------------------------------------------------


def exec_calls(boot: Boot) -> int:
    """Return how many kernel functions a publisher's callback calls."""
    kernel = start_kext(boot)
    owner(kernel)
    thread = begin_exec(kernel)
    kernel.threads.finish(thread)
    return thread.calls


def reader_sees_only_complete_records(boot: Boot) -> None:
    """At whichever call a publisher is stopped, the reader sees only complete records."""
    kernel = start_kext(boot)
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
    stop_kext(kernel)


def exec_steps(boot: Boot) -> int:
    """Return the number of instructions in a publisher's callback, rounded up to 50."""
    kernel = start_kext(boot)
    owner(kernel)
    thread = begin_exec(kernel)
    steps = 0
    while not kernel.threads.run_steps(thread, 50):
        steps += 50
    return steps


def queue_may_close_at_any_instruction(boot: Boot, stride: int = 61) -> None:
    """The owner may close at any instruction of a callback; both finish without an error."""
    kernel = start_kext(boot)
    for steps in range(0, exec_steps(boot), stride):
        client = owner(kernel)
        thread = begin_exec(kernel)
        kernel.threads.run_steps(thread, steps)
        client.close()
        kernel.threads.finish(thread)
        assert not client.device.kernel.listeners(FILEOP)
    stop_kext(kernel)


def late_callback_delays_unloading(boot: Boot) -> None:
    """A callback that begins after its listener was removed finds the gate closed.

    The kext does not stop before such a callback has had time to finish.
    """
    kernel = start_kext(boot)
    client = owner(kernel)
    late = begin_exec(kernel)
    client.close()
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.sleep(GRACE_NS // 3)
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.finish(late)
    stop_kext(kernel)


def callback_inside_the_gate_prevents_unloading(boot: Boot) -> None:
    """The kext does not stop while a callback is inside the gate, however long that takes."""
    kernel = start_kext(boot)
    client = owner(kernel)
    late = begin_exec(kernel)
    client.close()
    kernel.threads.run_to(late, kernel.cpu.symbol("osq_gate_leave"))
    kernel.threads.sleep(10 * GRACE_NS)
    assert kernel.stop() == KERN_FAILURE
    kernel.threads.finish(late)
    stop_kext(kernel)
