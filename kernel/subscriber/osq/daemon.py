# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The daemon: copy events from the ring into the store until it is stopped.

The daemon has one thread. It reads a batch, stores it, and only then releases it to the kernel.
While the disk is slow or full the ring fills, and the kernel counts the records that no longer
fit. Nothing is queued here, so memory does not grow with the load.
"""

import logging
import select
import time

from osq.columns import Context
from osq.completeness import Totals
from osq.config import Config
from osq.errors import CorruptRing, DeviceError, RingInvalid, StoreCorrupt, StoreError
from osq.file_events import watch_actions
from osq.layout import TYPES_BY_NAME
from osq.programs import Programs, running
from osq.records import Event, Unknown
from osq.ring import RECORD_WITH_ENVIRONMENT, Counters, Ring
from osq.stopping import Stop
from osq.store import Store

LOG = logging.getLogger(__name__)
_STORE_RETRY_S = 1.0
# A corrupt ring is opened again; after this many attempts in a row the daemon gives up.
_MOST_CORRUPT = 5
_WATERMARK_PART = 16


class Daemon:
    """One opening of the device, from the subscriptions to a clean end.

    Raises: DeviceError, StoreError; CorruptRing when the ring holds impossible data; UsageError
        for a filter with a path that is not what the filter needs.
    """

    def __init__(self, config: Config, ring: Ring, store: Store, stop: Stop) -> None:
        self._config, self._ring, self._store, self._stop = config, ring, store, stop
        self._variables = frozenset(one.encode() for one in config.environment_variables)
        self._interval_end_s = time.monotonic() + config.interval_s
        self._programs = Programs(running())
        self._filters = tuple(one.resolved() for one in config.filters)
        self._reported = Totals()
        # The counters of the last sync or commit. They are stored if a later step fails.
        self._last_totals = Totals()

    def run(self) -> None:
        """Store events until stopped, then every event that was attempted before that."""
        session = self._store.begin()
        try:
            self._subscribe()
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

    def _subscribe(self) -> None:
        watermark = self._config.ring_bytes // _WATERMARK_PART
        self._ring.notify(watermark_bytes=watermark, latency_ms=self._config.latency_ms)
        for name, percent in self._config.shares.items():
            self._ring.share(TYPES_BY_NAME[name], percent)
        # Filters come before the subscriptions, so that no unwanted record is made in between.
        for one in self._filters:
            self._ring.filter(one)
        for name in self._config.records:
            with_env = name == "exec" and bool(self._variables)
            options = RECORD_WITH_ENVIRONMENT if with_env else 0
            self._ring.subscribe(TYPES_BY_NAME[name], options=options)
        for path, with_opens in self._config.paths.watched.items():
            self._ring.watch(path, watch_actions(with_opens=with_opens))

    def _wait(self) -> None:
        left_s = max(0.0, self._interval_end_s - time.monotonic())
        poll = select.poll()
        poll.register(self._ring.fileno(), select.POLLIN)
        poll.register(self._stop.fileno(), select.POLLIN)
        poll.poll(left_s * 1000)

    def _drain(self) -> None:
        """Store every event that is in the ring now, and release the last batch by a sync."""
        most = self._config.batch_records
        read = most
        while read == most:
            counters = self._sync()
            events = self._ring.read(most)
            read = len(events)
            self._store_batch(counters, events)
        self._sync()

    def _sync(self) -> Counters:
        """Return the driver's counters; allocate a new ring if another process made it invalid."""
        while True:
            try:
                counters = self._ring.sync()
            except RingInvalid:
                LOG.error("another process has used %s: allocating a new ring", self._ring.device)
                self._ring.allocate()
                self._subscribe()
                LOG.info("reading a new ring")
                continue
            self._last_totals = self._store.totals.after(counters)
            return counters

    def _store_batch(self, counters: Counters, events: list[Event]) -> None:
        now_s = time.monotonic()
        closes = now_s >= self._interval_end_s
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
        context = Context(
            realtime_offset_ns=time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            environment_variables=self._variables,
            programs=programs,
            categories=categories,
        )
        self._commit(storable, totals, context, closes=closes)
        self._last_totals = totals
        if closes:
            self._interval_end_s = now_s + self._config.interval_s
            self._report(totals)

    def _commit(
        self, events: list[Event], totals: Totals, context: Context, *, closes: bool
    ) -> None:
        """Commit a batch; retry while the disk is full, during which the kernel counts the losses.

        Raises: StoreError when the daemon is stopped before the batch could be stored.
        """
        while True:
            try:
                self._store.commit(events, totals, context, close_interval=closes)
            except StoreCorrupt as error:
                self._store.replace_damaged(error)
            except StoreError as error:
                LOG.error("%s: trying again", error.message)
                if self._stop.wait(_STORE_RETRY_S):
                    raise
            else:
                return

    def _report(self, totals: Totals) -> None:
        """Log the losses of the interval; an interval without a loss logs nothing."""
        before = self._reported
        dropped = totals.dropped_sum - before.dropped_sum
        reset = totals.reset - before.reset
        if dropped or reset:
            LOG.warning("the kernel dropped %d records, and %d were reset", dropped, reset)
        self._reported = totals

    def _finish(self) -> None:
        """End the subscriptions, then store every event that was attempted up to that moment."""
        for name in self._config.records:
            self._ring.subscribe(TYPES_BY_NAME[name], on=False)
        self._drain()
        self._store.end(self._last_totals, "clean")
        LOG.info(
            "stopped: %d attempts, %d stored", self._last_totals.attempts, self._last_totals.stored
        )

    def _end_failed(self) -> None:
        try:
            self._store.end(self._last_totals.ended(), "failed")
        except StoreError as error:
            LOG.error("the end of the session is not recorded: %s", error.message)


def serve(config: Config, stop: Stop) -> None:
    """Run the daemon until it is stopped; open the device again when a ring is corrupt.

    Raises: OsqError for a failure that a retry cannot repair.
    """
    # The store is opened first, so that its errors appear before the kernel publishes events.
    with Store(config.store, config.limits) as store:
        for left in reversed(range(_MOST_CORRUPT)):
            try:
                with Ring(config.device, ring_bytes=config.ring_bytes) as ring:
                    Daemon(config, ring, store, stop).run()
            except CorruptRing as error:
                if not left:
                    raise
                LOG.error("%s: opening the device again", error.message)
            else:
                return
