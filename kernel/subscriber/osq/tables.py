# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every table there is; one of new events joins here, and nowhere else."""

from osq.columns import Table
from osq.completeness import STATS
from osq.credential_events import CREDENTIAL_EVENTS
from osq.file_events import FILE_EVENTS
from osq.loss_events import LOSS_EVENTS
from osq.module_events import MODULE_EVENTS
from osq.process_events import PROCESS_EVENTS
from osq.socket_events import SOCKET_EVENTS

# Filled from the ring.
EVENT_TABLES: tuple[Table, ...] = (
    PROCESS_EVENTS,
    SOCKET_EVENTS,
    FILE_EVENTS,
    MODULE_EVENTS,
    CREDENTIAL_EVENTS,
    LOSS_EVENTS,
)
# A test holds the store's version to them.
TABLES: tuple[Table, ...] = (*EVENT_TABLES, STATS)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
