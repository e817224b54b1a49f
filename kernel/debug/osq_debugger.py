# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's own command in gdb and lldb: osq-ring, which shows the ring and its owner.

A plugin of the task debug-attach ([tool.harness.module] debugger); harness/debugger runs it.
"""

from collections.abc import Iterator, Sequence

from harness.debugger.inside.commands import Command, CommandError
from harness.debugger.inside.view import View

_MODULES = ("osq", "osq_test")
# enum osq_queue and enum osq_drop of kernel/core/osq_device.h and kernel/uapi/osq.h.
_QUEUES = ("none", "valid", "invalid", "left")
_TYPES = 32
_DROPS = ("full", "too big", "nested", "discarded", "missed")
_COUNTERS = ("attempts", "committed", "consumed", "reset")


def _ring(view: View, arguments: Sequence[str]) -> Iterator[str]:
    found = False
    for module in arguments or _MODULES:
        try:
            device = view.module_global(module, "device")
        except KeyError:
            continue
        found = True
        yield from _device(view, module, device)
    if not found:
        raise CommandError(f"none of {', '.join(arguments or _MODULES)} is loaded")


def _device(view: View, module: str, device: int) -> Iterator[str]:
    session = view.field(device, "osq_device.session")
    generation = view.field(device, "osq_device.generation")
    yield f"{module}: device {device:#x}, generation {generation}"
    if not session:
        yield "  no owner: nobody has the device open"
        return
    queue = view.field(session, "osq_session.queue")
    owner = view.field(session, "osq_session.owner")
    pid = view.number(view.at(owner, "pid.numbers"), 4, signed=True)
    yield (
        f"  owner: process {pid}, queue {_QUEUES[queue] if queue < len(_QUEUES) else queue}, "
        f"generation {view.field(session, 'osq_session.generation')}, "
        f"subscribed {view.field(session, 'osq_session.subscribed'):#x}"
    )
    yield from _positions(view, view.at(session, "osq_session.ring"))


def _positions(view: View, ring: int) -> Iterator[str]:
    size = view.field(ring, "osq_ring.size")
    read, commit, write = (
        view.field(ring, f"osq_ring.{name}_pos") for name in ("read", "commit", "write")
    )
    if not view.field(ring, "osq_ring.data"):
        yield "  ring: closed"
    else:
        yield (
            f"  ring: {size} bytes, read {read}, commit {commit}, write {write}: "
            f"{commit - read} to read, {write - commit} not committed, "
            f"{size - (write - read)} free"
        )
    count = view.at(ring, "osq_ring.count")
    values = {name: view.field(count, f"osq_counters.{name}") for name in _COUNTERS}
    dropped = view.at(count, "osq_counters.dropped")
    drops = {name: view.number(dropped + 8 * number) for number, name in enumerate(_DROPS)}
    yield "  counters: " + ", ".join(f"{name} {value}" for name, value in values.items())
    kept_out = view.at(count, "osq_counters.filtered_of")
    # The driver counts filtered events without the ring's lock, so it keeps no total.
    filtered = sum(view.number(kept_out + 8 * number) for number in range(_TYPES))
    yield "  dropped: " + ", ".join(f"{name} {value}" for name, value in drops.items())
    yield f"  filtered, and no attempts: {filtered}"
    open_now = values["attempts"] - values["committed"] - sum(drops.values())
    pending = values["committed"] - values["consumed"] - values["reset"]
    # The number of reservations that are open now is stored nowhere, so only a negative one shows
    # an error.
    sums = "add up" if open_now >= 0 and pending >= 0 else "DO NOT ADD UP"
    yield f"  the counters {sums}: {open_now} reserved now, {pending} committed and not consumed"


def commands() -> tuple[Command, ...]:
    """Return the osq driver's debugger command osq-ring, for harness/debugger to register."""
    return (
        Command(
            name="osq-ring",
            help="Show the ring: owner, positions, drops by reason, equations of the counters.\n\n"
            f"osq-ring [MODULE...]: of these builds of the driver ({', '.join(_MODULES)}).",
            run=_ring,
        ),
    )
