# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every table there is; one of new events joins here, and nowhere else."""

from osq.columns import Table
from osq.completeness import STATS
from osq.file_events import FILE_EVENTS
from osq.layout import EVENTS
from osq.loss_events import LOSS_EVENTS
from osq.process_events import PROCESS_EVENTS
from osq.socket_events import SOCKET_EVENTS

# Every table that this version knows; a test holds the store's version to them.
KNOWN: tuple[Table, ...] = (PROCESS_EVENTS, SOCKET_EVENTS, FILE_EVENTS, LOSS_EVENTS, STATS)
_IN_OSQ_H = {event for _, event in EVENTS.values()}
# Filled from the ring: those whose records osq.h has.
EVENT_TABLES: tuple[Table, ...] = tuple(table for table in KNOWN if set(table.holds) <= _IN_OSQ_H)
TABLES: tuple[Table, ...] = (*EVENT_TABLES, STATS)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
