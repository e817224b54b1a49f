# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Print the state of the osq driver from a kernel's memory, a dump or a running guest.

In drgn's shell, with the module's symbols loaded: `report(prog)`, or `%osq`. The task vmcore-open
starts such a shell on a crashed run's dump.

The equations of the counters (uapi/osq.h) are checked against a second count: the numbers of
pending records and of records in flight are counted again in the ring's bitmaps. While ring->lock
is held, both may be half changed, so no result is given.
"""

from collections.abc import Iterator
from typing import Any

from drgn import Object, Program, ProgramFlags, cast
from drgn.helpers.linux.locking import mutex_owner
from drgn.helpers.linux.pid import pid_task

# The names of both builds of the driver: the release's, and the one for tests.
_MODULES = ("osq", "osq_test")
# enum pid_type of include/linux/pid_types.h; some kernels' debug information lacks its name.
_PIDTYPE_TGID = 1
_BITS_OF_A_BYTE = 8
_RECORD_ALIGN_BYTES = 8


def report(prog: Program) -> list[str]:
    """Return the state of the modules osq and osq_test (the test build), those that are loaded.

    Each text is one line for the reader: owner of the device, publishers, ring, counters.
    """
    lines = []
    for module in prog.modules():
        if module.name in _MODULES:
            if module.wants_debug_file():
                lines.append(f"{module.name}: loaded, but its symbols are not")
            else:
                lines += [f"{module.name}: {line}" for line in _of_module(prog, module.name)]
    return lines


def _of_module(prog: Program, module: str) -> Iterator[str]:
    device = _static(prog, module, "device", "struct osq_device")
    lock = _static(prog, module, "device_mutex", "struct mutex")
    holder = mutex_owner(lock.address_of_())
    if holder:
        yield f"device_mutex is held by {_task(holder)}"
    session = device.session
    if not session:
        yield f"nobody has the device open; rings so far: {device.generation.value_()}"
        return
    queue = _enumerator(prog, "enum osq_queue", "OSQ_QUEUE_", session.queue)
    yield f"queue {queue}, generation {session.generation.value_()}, owner {_owner(session)}"
    yield from _publishers(prog, module, session.subscribed.value_())
    yield from _ring(prog, session.ring)


def _static(prog: Program, module: str, name: str, kind: str) -> Object:
    """Return the static variable `name` of the module osq or osq_test; `kind` is its C type.

    The address decides, because other files and modules may have a variable of the same name.
    Raises: LookupError when the module has no such variable.
    """
    for symbol in prog.symbols(name):
        try:
            if prog.module(symbol.address).name == module:
                return Object(prog, kind, address=symbol.address)
        except LookupError:
            continue
    raise LookupError(f"{module} has no variable {name}")


def _owner(session: Object) -> str:
    task = pid_task(cast("struct pid *", session.owner), _PIDTYPE_TGID)
    return _task(task) if task else "a process that has ended"


def _task(task: Object) -> str:
    comm = task.comm.string_().decode(errors="replace")
    return f"{comm} (pid {task.pid.value_()})"


def _publishers(prog: Program, module: str, subscribed: int) -> Iterator[str]:
    table = _static(prog, module, "osq_publishers", "struct osq_publisher").address_of_()
    on: list[str] = []
    off: list[str] = []
    index = 0
    while table[index].name:
        kind = table[index].type.value_()
        (on if subscribed >> kind & 1 else off).append(table[index].name.string_().decode())
        index += 1
    yield f"publishers on: {', '.join(on) or 'none'}; off: {', '.join(off) or 'none'}"


def _ring(prog: Program, ring: Object) -> Iterator[str]:
    size = ring.size.value_()
    if not ring.data:
        yield "no ring"
    else:
        read, commit, write = (
            ring.member_(f"{name}_pos").value_() for name in ("read", "commit", "write")
        )
        yield (
            f"ring of {size} bytes: read {read}, commit {commit}, write {write}; "
            f"{commit - read} bytes to read, {write - commit} behind a record being written"
        )
    held = ring.lock.raw_lock.val.counter.value_() != 0
    if held:
        yield "ring->lock is held: counters and positions may be half changed"
    yield from _law(prog, ring, held=held)
    yield from _types(prog, ring.count)
    first = ring.lost.first_seq.value_()
    if first:
        yield f"a loss is not reported yet: attempts {first} to {ring.lost.last_seq.value_()}"


def _law(prog: Program, ring: Object, *, held: bool) -> Iterator[str]:
    """Yield the equations of attempts and of committed records, each compared with the bitmaps.

    After these come the drops by reason, and the number of filtered events.
    held: whether ring->lock is held; a difference is then no fault.
    """
    count = ring.count
    attempts, committed, consumed, reset = (
        count.member_(name).value_() for name in ("attempts", "committed", "consumed", "reset")
    )
    reasons = _named(prog, "enum osq_drop", "OSQ_DROP_", count.dropped)
    dropped = sum(reasons.values())
    in_flight = attempts - committed - dropped
    pending = committed - consumed - reset
    busy, waiting = _counted(prog, ring)
    live = bool(prog.flags & ProgramFlags.IS_LIVE)
    yield (
        f"attempts {attempts} = committed {committed} + in flight {in_flight} "
        f"+ dropped {dropped}: {_verdict(in_flight, busy, held=held, live=live)}"
    )
    yield (
        f"committed {committed} = consumed {consumed} + pending {pending} "
        f"+ reset {reset}: {_verdict(pending, waiting, held=held, live=live)}"
    )
    yield f"dropped: {_listed(reasons)}"
    yield f"filtered, and no attempts: {sum(one.value_() for one in count.filtered_of)}"


def _counted(prog: Program, ring: Object) -> tuple[int, int]:
    """Return two counts from the ring's bitmaps: records being written, and committed ones.

    Both are 0 when the ring has no memory.
    """
    if not ring.data:
        return 0, 0
    size = ring.size.value_() // _RECORD_ALIGN_BYTES // _BITS_OF_A_BYTE
    starts, busy, dead = (
        int.from_bytes(prog.read(ring.member_(name).value_(), size), "little")
        for name in ("starts", "busy", "dead")
    )
    return busy.bit_count(), (starts & ~busy & ~dead).bit_count()


def _verdict(said: int, counted: int, *, held: bool, live: bool) -> str:
    if said == counted:
        return "the counters add up"
    if held:
        return "not compared while the lock is held"
    unless = ", unless the guest ran while it was read" if live else ""
    return f"THE COUNTERS DO NOT ADD UP, the ring holds {counted}{unless}"


def _types(prog: Program, count: Object) -> Iterator[str]:
    for value, name in _names(prog, "enum osq_type", "OSQ_TYPE_").items():
        if value >= len(count.type):
            continue
        of_type = count.type[value]
        filtered = count.filtered_of[value].value_()
        if of_type.attempts.value_() or filtered:
            reasons = _named(prog, "enum osq_drop", "OSQ_DROP_", of_type.dropped)
            yield (
                f"{name}: attempts {of_type.attempts.value_()}, "
                f"committed {of_type.committed.value_()}, filtered {filtered}, "
                f"dropped: {_listed(reasons)}"
            )


def _named(prog: Program, enum: str, prefix: str, values: Object) -> dict[str, int]:
    """Return an array's values that are not zero; keys are names of the C enum that indexes it.

    prefix: the prefix of the enum's names, which the keys do not have.
    """
    names = _names(prog, enum, prefix)
    found = {names.get(index, str(index)): values[index].value_() for index in range(len(values))}
    return {name: value for name, value in found.items() if value}


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in reasons.items()) or "none"


def _names(prog: Program, enum: str, prefix: str) -> dict[int, str]:
    enumerators = prog.type(enum).enumerators or ()
    return {one.value: one.name.removeprefix(prefix).lower() for one in enumerators}


def _enumerator(prog: Program, enum: str, prefix: str, value: Object) -> str:
    return _names(prog, enum, prefix).get(value.value_(), str(value.value_()))


try:
    from drgn.commands.linux import linux_kernel_command
except ImportError:
    # drgn has commands since 0.1; without them report(prog) can still be called.
    pass
else:

    @linux_kernel_command(  # type: ignore[untyped-decorator]
        description="state of the osq driver: owner, ring, counters"
    )
    def _cmd_osq(prog: Program, _name: str, _arguments: object, **_: Any) -> None:
        print("\n".join(report(prog)))
