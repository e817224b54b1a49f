# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Bodies of tests that run unchanged on Linux, on macOS and on the emulated kext.

A body is called with a kernel in which the driver is loaded and the device is free, and leaves the
device free. Other programs may run meanwhile, as on a real system. So a body checks that the
counters add up, and finds its own records by their paths.
"""

from collections.abc import Callable
from functools import partial

from tests.shared import protocol
from tests.shared.client import Client, Loaded, Refused
from tests.shared.protocol import Record

_LARGE = 1 << 16
# The least size in bytes of an exec's record.
_RECORD_BYTES = 288
_TYPES = 32


def opened(loaded: Loaded, *, wait: bool = True) -> Client:
    """Return a process that has opened the device.

    Raises: Refused when the device cannot be opened.
    """
    peer = loaded.peer()
    error = peer.open(wait=wait)
    if error:
        raise Refused(error)
    return Client(peer)


def owner(loaded: Loaded, ring_bytes: int | None = _LARGE) -> Client:
    """Return a process with a ring (None: the smallest one) and a subscription to execs."""
    client = opened(loaded)
    client.allocate(ring_bytes)
    client.subscribe()
    return client


def refusal(loaded: Loaded, call: Callable[[], object]) -> str:
    """Return the name of the error of a call that must be refused; '' when it succeeds."""
    try:
        call()
    except Refused as error:
        return loaded.error_name(error.error)
    return ""


def execs_of(records: list[Record], path: str) -> list[Record]:
    """Return those of the records that are execs of the program at this path."""
    return [one for one in records if one.kind == protocol.EXEC and one.path == path]


# --- the device's owner --------------------------------------------------------------------------


def a_second_process_is_refused(loaded: Loaded) -> None:
    """A second process gets EBUSY until the first one has closed the device."""
    first = opened(loaded)

    assert refusal(loaded, lambda: opened(loaded)) == "EBUSY"
    first.close()
    opened(loaded).close()


def a_killed_owner_leaves_nothing(loaded: Loaded) -> None:
    """After SIGKILL to the owner, the next owner gets an empty ring and no old record."""
    first = owner(loaded)
    first.peer.run(loaded.program("killed"))
    first.peer.die()

    second = owner(loaded)
    assert execs_of(second.read(), loaded.program("killed")) == []
    assert second.sync().reset == 0
    second.close()


def an_ioctl_of_a_child_invalidates_the_queue(loaded: Loaded) -> None:
    """An ioctl by the owner's child is refused and makes the queue invalid.

    Each later call of the owner gets ESTALE, until the owner allocates another ring.
    """
    client = owner(loaded)
    path = loaded.program("again")
    client.peer.run(path)
    old = client.generation

    error = client.peer.ioctl_of_child("VERSION", bytes(protocol.SIZES["osq_version"]))
    assert loaded.error_name(error) == "EPERM"
    assert refusal(loaded, client.sync) == "ESTALE"
    assert refusal(loaded, client.subscribe) == "ESTALE"
    client.allocate(_LARGE)
    assert client.generation != old
    client.subscribe()
    client.peer.run(path)
    assert len(execs_of(client.read(), path)) == 1
    assert client.sync().reset >= 1
    client.close()


def a_program_after_exec_is_refused(loaded: Loaded) -> None:
    """A program that the owner execs has its pid and descriptor, but is refused with EPERM.

    The device is free again when that program closes it.
    """
    client = owner(loaded)

    client.peer.become_heir()
    assert refusal(loaded, client.abi) == "EPERM"
    assert refusal(loaded, lambda: opened(loaded)) == "EBUSY"
    client.close()
    opened(loaded).close()


# --- refused calls -------------------------------------------------------------------------------


def each_misuse_has_its_own_error(loaded: Loaded) -> None:
    """Each wrong call gets the error that osq.h lists, and the ring still works afterwards."""
    client = opened(loaded)
    said = partial(refusal, loaded)
    sync = client.sync_argument

    assert said(lambda: client.ask("UNKNOWN", bytes(8))) == "ENOTTY"
    assert said(client.sync) == said(client.subscribe) == "ENXIO"
    assert said(lambda: client.allocate(abi=client.abi() + 1)) == "EPROTO"
    smallest = client.smallest()
    for size in (0, 4096, smallest // 2, smallest + 1, 3 * smallest, 1 << 27):
        assert said(partial(client.make_ring, size)) == "EINVAL", size
    client.allocate()
    assert said(client.make_ring) == "EEXIST"
    assert said(lambda: client.subscribe(30)) == "EINVAL"
    assert said(lambda: client.subscribe(_TYPES)) == "EINVAL"
    assert said(lambda: client.subscribe(options=1 << 63)) == "EINVAL"
    assert said(lambda: client.watch("/")) == "ENOTCONN"
    assert said(lambda: client.ask("SYNC", sync(flags=8))) == "EINVAL"
    assert said(lambda: client.ask("SYNC", sync(read_pos=8))) == "EINVAL"
    client.generation += 1
    assert said(client.sync) == "ESTALE"
    client.generation -= 1
    assert client.sync().attempts == 0
    client.close()


def caps_lists_the_types_that_work(loaded: Loaded) -> None:
    """Exactly the types that CAPS names can be subscribed to; execs are always among them."""
    client = opened(loaded)
    types, _missing = client.caps()
    client.allocate()

    for kind in range(_TYPES):
        if types >> kind & 1:
            client.subscribe(kind)
            client.subscribe(kind, on=False)
        else:
            assert refusal(loaded, partial(client.subscribe, kind)) != "", kind
    assert types >> protocol.EXEC & 1
    client.close()


# --- records -------------------------------------------------------------------------------------


def an_exec_gives_one_record(loaded: Loaded) -> None:
    """Each exec gives one record with its own path and the parent's pid.

    The records' times and numbers rise.
    """
    client = owner(loaded)
    one, other = loaded.program("one"), loaded.program("other")
    for path in (one, other, one):
        client.peer.run(path)

    records = client.read()
    first, third = execs_of(records, one)
    (second,) = execs_of(records, other)
    assert first.seq < second.seq < third.seq
    assert first.ts_boot_ns < second.ts_boot_ns < third.ts_boot_ns
    assert len({first.pid, second.pid, third.pid}) == 3
    assert first.ppid == second.ppid == third.ppid
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    client.close()


def execs_are_recorded_only_while_subscribed(loaded: Loaded) -> None:
    """Execs are recorded during a subscription, and neither before nor after it."""
    client = opened(loaded)
    client.allocate(_LARGE)
    path = loaded.program("quiet")

    client.peer.run(path)
    assert client.sync().attempts == 0
    client.subscribe()
    client.peer.run(path)
    client.subscribe(on=False)
    client.peer.run(path)
    assert len(execs_of(client.read(), path)) == 1
    client.close()


def records_that_do_not_fit_are_counted(loaded: Loaded) -> None:
    """When the ring is full, each attempt has a record or is counted in a LOST record.

    A LOST record has the numbers of the first and last lost attempt and the reasons.
    """
    client = owner(loaded, None)
    path = loaded.program("many")
    too_many = client.ring_bytes // _RECORD_BYTES + 10
    for _ in range(too_many):
        client.peer.run(path)
    assert client.sync().dropped[protocol.FULL] > 0
    records = client.read()
    assert records, "what was there before the ring was full is still there"
    client.sync()
    client.peer.run(path)
    records += client.read()

    last = 0
    for record in records:
        if record.kind == protocol.LOST:
            assert record.lost_between == (last + 1, last + record.lost)
            last += record.lost
        last += 1
        assert record.seq == last
    lost = sum(record.lost for record in records if record.kind == protocol.LOST)
    assert lost > 0
    assert len(execs_of(records, path)) + lost >= too_many + 1
    sync = client.sync()
    assert sync.dropped[protocol.FULL] == sum(sync.dropped) == sync.dropped_of[protocol.EXEC]
    client.close()


def a_ring_that_is_read_in_time_loses_nothing(loaded: Loaded) -> None:
    """A reader in time loses no record while the smallest ring is filled three times."""
    client = owner(loaded, None)
    path = loaded.program("round")
    seen = 0
    while client.read_pos < 3 * client.ring_bytes:
        for _ in range(4):
            client.peer.run(path)
        seen += 4
        assert len(execs_of(client.read(), path)) == 4

    sync = client.sync()
    assert sum(sync.dropped) == 0
    assert sync.consumed >= seen
    client.close()


# --- waiting -------------------------------------------------------------------------------------


def a_waiting_reader_is_woken(loaded: Loaded) -> None:
    """SYNC with the flag WAIT returns once there is a record, which can then be read."""
    client, other = owner(loaded), loaded.peer()
    path = loaded.program("wake")
    records: list[Record] = []
    client.peer.begin("SYNC", client.sync_argument(flags=protocol.SYNC_WAIT))
    other.run(path)

    while not execs_of(records, path):
        error, answer = client.peer.end()
        assert error == 0
        records += client.records(protocol.parsed_sync(answer).max_pos)
        assert records, "it came back with nothing"
        if not execs_of(records, path):
            client.peer.begin("SYNC", client.sync_argument(flags=protocol.SYNC_WAIT))
    client.close()


def a_nonblocking_reader_gets_eagain(loaded: Loaded) -> None:
    """With O_NONBLOCK, SYNC with the flag WAIT gives EAGAIN while there is no record."""
    client = opened(loaded, wait=False)
    client.allocate()

    assert refusal(loaded, lambda: client.sync(flags=protocol.SYNC_WAIT)) == "EAGAIN"
    client.close()


BODIES: tuple[Callable[[Loaded], None], ...] = (
    a_second_process_is_refused,
    a_killed_owner_leaves_nothing,
    an_ioctl_of_a_child_invalidates_the_queue,
    a_program_after_exec_is_refused,
    each_misuse_has_its_own_error,
    caps_lists_the_types_that_work,
    an_exec_gives_one_record,
    execs_are_recorded_only_while_subscribed,
    records_that_do_not_fit_are_counted,
    a_ring_that_is_read_in_time_loses_nothing,
    a_waiting_reader_is_woken,
    a_nonblocking_reader_gets_eagain,
)
