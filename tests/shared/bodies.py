# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the driver must do on every system: the same bodies for Linux, macOS and the emulated kext.

Each is a function of a kernel with the driver loaded and the device free, and leaves it so. Other
programs may run meanwhile, as they do on a real system: what is counted is held to the law, what
is looked for is known by its path.
"""

from collections.abc import Callable
from functools import partial

from tests.shared import protocol
from tests.shared.client import Client, Loaded, Refused
from tests.shared.protocol import Record

_LARGE = 1 << 16
# An exec's record has at least so many bytes.
_RECORD_BYTES = 272
_TYPES = 32


def opened(loaded: Loaded, *, wait: bool = True) -> Client:
    """Return a process that has the device; Refused when it does not get it."""
    peer = loaded.peer()
    error = peer.open(wait=wait)
    if error:
        raise Refused(error)
    return Client(peer)


def owner(loaded: Loaded, ring_bytes: int | None = _LARGE) -> Client:
    """Return a process with a ring, the smallest one for None, and a subscription to execs."""
    client = opened(loaded)
    client.allocate(ring_bytes)
    client.subscribe()
    return client


def refusal(loaded: Loaded, call: Callable[[], object]) -> str:
    """Return the name of the error of a call that must be refused; '' when it is not."""
    try:
        call()
    except Refused as error:
        return loaded.error_name(error.error)
    return ""


def execs_of(records: list[Record], path: str) -> list[Record]:
    """Return the records of one program's execs."""
    return [one for one in records if one.kind == protocol.EXEC and one.path == path]


# --- who has the device --------------------------------------------------------------------------


def one_process_at_a_time(loaded: Loaded) -> None:
    """A second one is told EBUSY; it gets the device when the first has closed it."""
    first = opened(loaded)

    assert refusal(loaded, lambda: opened(loaded)) == "EBUSY"
    first.close()
    opened(loaded).close()


def a_killed_owner_leaves_nothing(loaded: Loaded) -> None:
    """SIGKILL in the middle: the next one has the device, a ring of its own, and no old record."""
    first = owner(loaded)
    first.peer.run(loaded.program("killed"))
    first.peer.die()

    second = owner(loaded)
    assert execs_of(second.read(), loaded.program("killed")) == []
    assert second.sync().reset == 0
    second.close()


def a_childs_call_costs_the_queue(loaded: Loaded) -> None:
    """The child is refused; the owner is told by each call, and begins anew with a new ring."""
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


def a_program_started_by_exec_is_a_stranger(loaded: Loaded) -> None:
    """It has the number and the descriptor of the owner, and is refused; closing frees all."""
    client = owner(loaded)

    client.peer.become_heir()
    assert refusal(loaded, client.abi) == "EPERM"
    assert refusal(loaded, lambda: opened(loaded)) == "EBUSY"
    client.close()
    opened(loaded).close()


# --- what is refused -----------------------------------------------------------------------------


def each_misuse_has_its_own_error(loaded: Loaded) -> None:
    """As osq.h lists them; after all of them the ring works, and nothing was attempted."""
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


def caps_tell_what_works(loaded: Loaded) -> None:
    """Each type that CAPS names can be subscribed to; of execs every system tells."""
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
    """Its path is the program's, its parent the process that ran it; times and numbers rise."""
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


def nothing_is_told_without_a_subscription(loaded: Loaded) -> None:
    """Neither before one nor after its end; in between, each exec is."""
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


def what_does_not_fit_is_counted(loaded: Loaded) -> None:
    """A ring that is full: each attempt is a record or in a LOST one, by number and reason."""
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


def the_ring_goes_round(loaded: Loaded) -> None:
    """Read in time, nothing is lost, though the smallest ring is filled several times over."""
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
    """SYNC with WAIT comes back once there is a record, and gives it."""
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


def a_reader_that_may_not_wait_is_told(loaded: Loaded) -> None:
    """With O_NONBLOCK, WAIT is EAGAIN while there is nothing."""
    client = opened(loaded, wait=False)
    client.allocate()

    assert refusal(loaded, lambda: client.sync(flags=protocol.SYNC_WAIT)) == "EAGAIN"
    client.close()


BODIES: tuple[Callable[[Loaded], None], ...] = (
    one_process_at_a_time,
    a_killed_owner_leaves_nothing,
    a_childs_call_costs_the_queue,
    a_program_started_by_exec_is_a_stranger,
    each_misuse_has_its_own_error,
    caps_tell_what_works,
    an_exec_gives_one_record,
    nothing_is_told_without_a_subscription,
    what_does_not_fit_is_counted,
    the_ring_goes_round,
    a_waiting_reader_is_woken,
    a_reader_that_may_not_wait_is_told,
)
