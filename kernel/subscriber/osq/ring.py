# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's device, read through libosq: subscriptions, batches of events, counters.

libosq requires that only one thread at a time uses the device. Records that were read are released
to the kernel by the next `sync`, and not earlier. So a caller that stores a batch before that sync
loses nothing in a crash.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from _libosq import ffi, lib
from osq.errors import CorruptRing, DeviceError, DeviceMissing, RingInvalid
from osq.layout import decode
from osq.moment import Moment
from osq.records import Event

FILTER_LIST_MAX: int = lib.OSQ_FILTER_LIST_MAX
FILTER_PATH_BYTES: int = lib.OSQ_FILTER_PATH_BYTES
# As a bit of a set: the number is from linux/capability.h.
CAP_DAC_READ_SEARCH = 1 << 2
# Record types that the kernel can filter by path.
FILTER_PATH_TYPES: frozenset[int] = frozenset({lib.OSQ_TYPE_EXEC})
_FILTER_BITS: dict[str, int] = {
    "uids": lib.OSQ_FILTER_BY_UID,
    "pid_namespaces": lib.OSQ_FILTER_BY_PID_NS,
    "cgroups": lib.OSQ_FILTER_BY_CGROUP,
    "paths": lib.OSQ_FILTER_BY_PATH,
}
# Errors of open: the path does not exist, or there is no driver behind its node.
_NO_DEVICE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO})


@dataclass(frozen=True, kw_only=True)
class Counters:
    """The driver's counters since the device was opened, as one SYNC returns them.

    osq.h says how they add up. dropped is by reason, dropped_of by record type.
    at: a moment just before the driver counted; every attempt before it is counted.
    """

    at: Moment
    generation: int
    attempts: int
    committed: int
    consumed: int
    pending: int
    in_flight: int
    reset: int
    filtered: int
    dropped: tuple[int, ...]
    dropped_of: tuple[int, ...]

    @property
    def dropped_sum(self) -> int:
        """The number of attempts of which the kernel has made no record, for any reason."""
        return sum(self.dropped)


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The driver's abilities on this kernel.

    types and missing are bit masks by record type; missing has the types without a kernel hook.
    """

    abi: int
    schema: int
    types: int
    missing: int
    ring_max_bytes: int


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which records of one type the kernel makes: struct osq_filter of uapi/osq.h.

    A record is made if it matches each list, except those in `exclude`, which must not match.
    A list has at most FILTER_LIST_MAX entries, and all paths have at most FILTER_PATH_BYTES bytes.
    Shape: uids are ranges, ends included.
    """

    record_type: int
    uids: tuple[tuple[int, int], ...] = ()
    pid_namespaces: tuple[int, ...] = ()
    cgroups: tuple[int, ...] = ()
    paths: tuple[bytes, ...] = ()
    exclude: frozenset[str] = frozenset()

    def in_c(self) -> Any:
        """Return the filter as the C struct that the driver takes."""
        made = ffi.new("struct osq_filter *")
        made.type = self.record_type
        made.exclude = sum(_FILTER_BITS[name] for name in self.exclude)
        made.uid_count, made.pid_ns_count = len(self.uids), len(self.pid_namespaces)
        made.cgroup_count, made.path_count = len(self.cgroups), len(self.paths)
        for place, (first, last) in enumerate(self.uids):
            made.uids[place].first, made.uids[place].last = first, last
        made.pid_ns[0 : len(self.pid_namespaces)] = self.pid_namespaces
        made.cgroups[0 : len(self.cgroups)] = self.cgroups
        used = 0
        for place, path in enumerate(self.paths):
            made.paths[place].off, made.paths[place].len = used, len(path)
            ffi.buffer(made.bytes)[used : used + len(path)] = path
            used += len(path)
        return made


def default_device() -> Path:
    """Return the path of the driver's device node."""
    return Path(os.fsdecode(ffi.string(lib.osq_device_path())))


class Ring:
    """The driver's device, opened with a ring of this size; leaving the block closes it.

    Raises: DeviceMissing when there is no driver; DeviceError with the errno of osq.h; RingInvalid
        when another process has made the ring invalid (ESTALE).
    """

    def __init__(self, device: Path, *, ring_bytes: int) -> None:
        self.device = device
        self._ring_bytes = ring_bytes
        self._client: Any = ffi.new("struct osq_client *")
        self._corrupt = False
        self._slot: Any = ffi.new("const struct osq_record **")
        status = lib.osq_client_open(self._client, os.fsencode(device), ring_bytes)
        if -status in _NO_DEVICE:
            raise DeviceMissing(f"{device}: open", -status)
        self._check("open", status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lib.osq_client_close(self._client)

    def _check(self, what: str, status: int) -> None:
        if status == 0:
            return
        text = f"{self.device}: {what}"
        if status == -errno.ESTALE:
            raise RingInvalid(text, errno.ESTALE)
        raise DeviceError(text, -status)

    def fileno(self) -> int:
        """Return the file descriptor for poll; POLLIN means that there is something to read."""
        return int(self._client.fd)

    def subscribe(self, record_type: int, *, on: bool = True, options: int = 0) -> None:
        """Start or stop the records of a type; options: the type's bits of SUBSCRIBE in osq.h."""
        status = lib.osq_client_subscribe(self._client, record_type, on, options)
        self._check(f"subscribe to type {record_type}", status)

    def filter(self, one: Filter) -> None:
        """Let the kernel make, of the filter's type, only the records that the filter passes.

        This lasts until the next `allocate`.
        """
        status = lib.osq_client_filter(self._client, one.in_c())
        self._check(f"filter type {one.record_type}", status)

    def share(self, record_type: int, percent: int) -> None:
        """Bound how much of the ring records of a type may fill, until the next `allocate`."""
        status = lib.osq_client_share(self._client, record_type, percent)
        self._check(f"share of type {record_type}", status)

    def watch(self, path: str, actions: int) -> None:
        """Have the driver record actions on a path and below it.

        actions: a bit for each, 1 << OSQ_FILE_*. File records must be subscribed to.
        """
        status = lib.osq_client_watch(self._client, os.fsencode(path), actions)
        self._check(f"watch {path}", status)

    def notify(self, *, watermark_bytes: int, latency_ms: int) -> None:
        """Have poll return at so many unread bytes, or when the oldest unread record is so old."""
        status = lib.osq_client_notify(self._client, watermark_bytes, latency_ms)
        self._check("notify", status)

    def allocate(self) -> None:
        """Allocate an empty ring without subscriptions, as needed after RingInvalid."""
        self._check("allocate", lib.osq_client_allocate(self._client, self._ring_bytes))

    def limit_rights(self, kept: int) -> None:
        """Give up this process's capabilities for good, except those whose bits are in `kept`.

        A ring that is open needs none.
        """
        self._check("give up capabilities", lib.osq_client_limit_rights(kept))

    def caps(self) -> Caps:
        """Return the driver's versions, its greatest ring, and the record types it can make."""
        caps = ffi.new("struct osq_caps *")
        self._check("caps", lib.osq_client_caps(self._client, caps))
        names = ("abi", "schema", "types", "missing", "ring_max_bytes")
        return Caps(**{name: int(getattr(caps, name)) for name in names})

    def sync(self) -> Counters:
        """Release the records that were read to the kernel, and return the driver's counters.

        This never waits.
        Raises: DeviceError with EPROTO when the counters contradict the equations in osq.h.
        """
        at = Moment.now()
        self._check("sync", lib.osq_client_sync(self._client, 0))
        stats = self._client.stats
        broken = lib.osq_client_broken_law(ffi.addressof(self._client, "stats"))
        if broken != ffi.NULL:
            text = os.fsdecode(ffi.string(broken))
            raise DeviceError(f"{self.device}: the counters do not add up: {text}", errno.EPROTO)
        names = ("attempts", "committed", "consumed", "pending", "in_flight", "reset", "filtered")
        return Counters(
            at=at,
            generation=int(self._client.generation),
            dropped=tuple(stats.dropped),
            dropped_of=tuple(stats.dropped_of),
            **{name: int(getattr(stats, name)) for name in names},
        )

    def read(self, most: int) -> list[Event]:
        """Return at most `most` events of those that the last sync reported as pending.

        Raises: CorruptRing when the next record is impossible; the records before it were
            returned by earlier calls.
        """
        events: list[Event] = []
        while len(events) < most and not self._corrupt:
            status = lib.osq_client_next(self._client, self._slot)
            if status == 0:
                break
            event = decode(self._bytes()) if status > 0 else None
            if event is None:
                self._corrupt = True
            else:
                events.append(event)
        if self._corrupt and not events:
            raise CorruptRing(f"{self.device}: read", errno.EBADMSG)
        return events

    def _bytes(self) -> bytes:
        record = self._slot[0]
        return bytes(ffi.buffer(record, record.len))
