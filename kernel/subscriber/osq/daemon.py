# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon: copy events from the ring into the store until it is stopped.

The daemon has one thread. It reads a batch, stores it, and only then releases it to the kernel.
While the disk is slow or full the ring fills, and the kernel counts the records that no longer
fit. Nothing is queued here, so memory does not grow with the load.
"""

import errno
import logging
import math
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from osq.columns import Context
from osq.completeness import Totals
from osq.config import Config
from osq.errors import CorruptRing, DeviceError, RingInvalid, StoreCorrupt, StoreError
from osq.layout import TYPES_BY_NAME
from osq.moment import Moment
from osq.programs import Programs, running
from osq.records import Event, Unknown
from osq.repeats import Repeats
from osq.ring import CAP_DAC_READ_SEARCH, Counters, Ring
from osq.stopping import Stop
from osq.store import Store
from osq.subscriptions import options_of
from osq.watching import Watches

LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
_STORE_RETRY_S = 1.0
_DEVICE_RETRY_S = 1.0
# A clock that is adjusted gradually stays within this much from one batch to the next.
_CLOCK_STEP_NS = 1_000_000_000
_WATERMARK_PART = 16
# Between two syncs that look for one without a record that is being written.
_SHORTEST_WAIT_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """The sync at which an interval of kosquery_stats ends.

    The interval's row is written once the records that were in the ring at that sync are stored.
    read: how many records of the session were read before that sync; left: how many of those that
    were in the ring then are not stored yet.
    """

    counters: Counters
    read: int
    left: int


class Daemon:
    """Copies events into the store from one opening of the device to its end: one session.

    Raises: DeviceError, StoreError; CorruptRing when the ring holds impossible data; UsageError
        for a filter with a path that is not what the filter needs.
    """

    def __init__(
        self, config: Config, ring: Ring, watches: Watches, store: Store, stop: Stop
    ) -> None:
        self._config, self._ring, self._watches = config, ring, watches
        self._store, self._stop = store, stop
        self._variables = frozenset(one.encode() for one in config.environment_variables)
        self._interval_end_s = time.monotonic() + config.interval_s
        self._boundary: Boundary | None = None
        self._programs = Programs({})
        self._filters = tuple(one.resolved() for one in config.filters)
        self._reported = Totals()
        self._retention = Repeats()
        self._realtime_offset_ns = _realtime_offset_ns()
        # The counters of the last sync or commit. They are stored if a later step fails.
        self._last_totals = Totals()

    def run(self) -> None:
        """Store events until a stop is requested; then unsubscribe and empty the ring."""
        self._subscribe(compare=True)
        # From here on the stream has each change of what was found.
        self._programs = Programs(running())
        # To open the device and to read /proc/PID are done; paths will be looked up again.
        self._ring.limit_rights(CAP_DAC_READ_SEARCH)
        # Events before this moment belong to no session, and their types may not all be recorded.
        session = self._write(self._store.begin)
        self._last_totals = self._store.totals
        try:
            LOG.info(
                "session %d: reading %s into %s", session, self._ring.device, self._store.path
            )
            while not self._stop.is_set:
                self._wait()
                self._drain()
            self._finish()
        except CorruptRing:
            self._store.end(self._last_totals.ended(), "corrupt")
            raise
        except (DeviceError, StoreError):
            self._end_failed()
            raise

    def _subscribe(self, *, compare: bool) -> None:
        """Set up the driver as configured: wakeups, shares of the ring, filters, types, watches.

        compare: whether to compare watched paths with what the machine has there.
        """
        watermark = self._config.ring_bytes // _WATERMARK_PART
        self._ring.notify(watermark_bytes=watermark, latency_ms=self._config.latency_ms)
        for name, percent in self._config.shares.items():
            self._ring.share(TYPES_BY_NAME[name], percent)
        # Filters come before the subscriptions, so that no unwanted record is made in between.
        for one in self._filters:
            self._ring.filter(one)
        for name in self._config.records:
            self._ring.subscribe(TYPES_BY_NAME[name], options=options_of(self._config, name))
        self._watch(compare=compare)

    def _watch(self, *, compare: bool) -> None:
        faults = self._watches.apply(compare=compare)
        for fault in faults:
            LOG.error("%s", fault)
            self._store.add_note(str(fault))
        self._store.unwatched = len({one.path for one in faults if one.misses_events})

    def _wait(self) -> None:
        left_s = max(_SHORTEST_WAIT_S, self._interval_end_s - time.monotonic())
        poll = select.poll()
        poll.register(self._ring.fileno(), select.POLLIN)
        poll.register(self._stop.fileno(), select.POLLIN)
        poll.register(self._watches.fileno(), select.POLLPRI)
        ready = {number for number, _ in poll.poll(left_s * 1000)}
        if self._watches.fileno() in ready and self._watches.need_another_look():
            note = "file systems were mounted or unmounted at watched paths"
            LOG.info("%s: looking the paths up again", note)
            # What happened there before this look-up has no record.
            self._store.spoil(note)
            self._watch(compare=False)

    def _drain(self, *, ends: bool = False) -> None:
        """Store every event that is in the ring now, and release the last batch by a sync.

        While events come as fast as they are stored, this returns only when a stop is requested.
        ends: whether the subscriptions have ended; then the ring is emptied in spite of the stop.
        """
        is_more = True
        while is_more and (ends or not self._stop.is_set):
            counters = self._sync()
            if self._boundary is None and self._is_interval_over(counters):
                self._boundary = Boundary(
                    counters=counters, read=self._store.totals.read, left=counters.pending
                )
            most = self._config.batch_records
            if self._boundary is not None:
                most = min(most, self._boundary.left)
            events = self._ring.read(most)
            is_more = len(events) < counters.pending
            self._store_batch(counters, events)
        self._sync()

    def _is_interval_over(self, counters: Counters) -> bool:
        """Return whether the interval of kosquery_stats may end at the sync with these counters.

        A record that is being written is not in the ring yet, so it would be counted in the next
        interval. Therefore the interval waits for a sync without such a record, but no longer than
        one more interval.
        """
        late_s = time.monotonic() - self._interval_end_s
        return late_s >= 0 and (not counters.in_flight or late_s > self._config.interval_s)

    def _sync(self) -> Counters:
        """Return the driver's counters; allocate a new ring if another process made it invalid."""
        while True:
            try:
                counters = self._ring.sync()
            except RingInvalid:
                note = f"another process has used {self._ring.device}"
                LOG.error("%s: allocating a new ring", note)
                # Between the two rings nothing counts the events.
                self._store.spoil(note)
                self._boundary = None
                self._ring.allocate()
                self._subscribe(compare=False)
                LOG.info("reading a new ring")
                continue
            self._last_totals = self._store.totals.after(counters)
            return counters

    def _store_batch(self, counters: Counters, events: list[Event]) -> None:
        boundary = self._boundary
        if boundary is not None:
            boundary = self._boundary = replace(boundary, left=boundary.left - len(events))
        closes = boundary is not None and not boundary.left
        if not events and not closes:
            return
        programs = self._programs.follow(events)
        wanted, categories = self._config.paths.choose(events)
        storable = [event for event in wanted if type(event) is not Unknown]
        totals = self._store.totals.after(
            counters,
            stored=len(storable),
            unwanted=len(events) - len(wanted),
            unknown=len(wanted) - len(storable),
        )
        if boundary is not None and closes:
            totals = totals.as_of(boundary.counters, boundary.read)
        self._note_clock_steps()
        context = Context(
            realtime_offset_ns=self._realtime_offset_ns,
            environment_variables=self._variables,
            programs=programs,
            categories=categories,
        )
        self._commit(storable, totals, context, closes=closes)
        self._last_totals = self._store.totals
        if closes:
            self._boundary = None
            self._interval_end_s += self._config.interval_s
            self._interval_end_s = max(self._interval_end_s, time.monotonic())
            self._report(self._store.totals)

    def _note_clock_steps(self) -> None:
        """Log and note in kosquery_stats that the calendar clock was set, if it was.

        The column `time` of later rows follows the new clock.
        """
        offset_ns = _realtime_offset_ns()
        step_ns = offset_ns - self._realtime_offset_ns
        if abs(step_ns) > _CLOCK_STEP_NS:
            note = f"the clock was set by {step_ns / 1e9:+.0f} s"
            LOG.warning("%s", note)
            self._store.add_note(note)
        self._realtime_offset_ns = offset_ns

    def _commit(
        self, events: list[Event], totals: Totals, context: Context, *, closes: bool
    ) -> None:
        """Store a batch with its totals, in a new file if the store is found damaged.

        While the disk is full this tries again; meanwhile the ring fills, and the kernel counts
        drops.
        closes: whether the interval of kosquery_stats ends with this batch.
        """

        def commit() -> None:
            try:
                self._store.commit(events, totals, context, close_interval=closes)
            except StoreCorrupt as error:
                self._store.replace_damaged(error)
                self._store.commit(events, totals, context, close_interval=closes)

        self._write(commit)

    def _write(self, change: Callable[[], Value]) -> Value:
        """Call `change`, which writes to the store, until it succeeds, and return its result.

        Raises: StoreCorrupt at once for a damaged file; StoreError when `change` fails after a
        stop was requested.
        """
        full = Repeats()
        while True:
            try:
                result = change()
                break
            except StoreCorrupt:
                raise
            except StoreError as error:
                if self._stop.is_set:
                    raise
                if full.is_due():
                    LOG.error("%s: attempt %d, trying again", error.message, full.count)
                self._stop.wait(_STORE_RETRY_S)
        if full.count:
            LOG.info("the store can be written again, after %d attempts", full.count)
        return result

    def _report(self, totals: Totals) -> None:
        """Log what the last interval lost; log rarely how many old rows were deleted."""
        before = self._reported
        dropped = totals.dropped_sum - before.dropped_sum
        reset = totals.reset - before.reset
        if dropped or reset:
            LOG.warning("the kernel dropped %d records, and %d were reset", dropped, reset)
        if totals.expired > before.expired and self._retention.is_due():
            text = "the limits of the store have removed its oldest rows: %d in this session"
            LOG.info(text, totals.expired)
        self._reported = totals

    def _finish(self) -> None:
        """End the subscriptions, then store every event that was attempted up to that moment."""
        end = Moment.now()
        # No interval may claim to be complete beyond that moment.
        self._interval_end_s = math.inf
        for name in self._config.records:
            self._ring.subscribe(TYPES_BY_NAME[name], on=False)
        self._drain(ends=True)
        self._store.end(replace(self._last_totals, at=end), "clean")
        LOG.info(
            "stopped: %d attempts, %d stored", self._last_totals.attempts, self._last_totals.stored
        )

    def _end_failed(self) -> None:
        try:
            self._store.end(self._last_totals.ended(), "failed")
        except StoreError as error:
            LOG.error("the end of the session is not recorded: %s", error.message)


def _realtime_offset_ns() -> int:
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def open_ring(config: Config, stop: Stop) -> Ring | None:
    """Open the device, waiting while another process has it; None when a stop comes first.

    Raises: DeviceError for any other reason why it cannot be opened.
    """
    busy = Repeats()
    while True:
        try:
            return Ring(config.device, ring_bytes=config.ring_bytes)
        except DeviceError as error:
            if error.code != errno.EBUSY:
                raise
            if busy.is_due():
                LOG.error("%s: waiting until it is free: %s", error.message, error.hint)
        if stop.wait(_DEVICE_RETRY_S):
            return None


def serve(config: Config, stop: Stop) -> None:
    """Run `osq daemon` with these settings until `stop` is set.

    A corrupt ring ends it: the daemon has given up the rights that opening the device again would
    need. systemd starts it again.
    Raises: OsqError for a failure that a retry cannot repair.
    """
    # The store is opened first, so that its errors appear before the kernel publishes events.
    with Store(config.store, config.limits) as store:
        ring = open_ring(config, stop)
        if ring is None:
            return
        with ring, Watches(ring, config.paths) as watches:
            Daemon(config, ring, watches, store, stop).run()
