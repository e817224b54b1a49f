# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The list of all tables; a new table is added here and nowhere else."""

from osq.bpf_events import BPF_EVENTS
from osq.columns import Table
from osq.completeness import STATS
from osq.credential_events import CREDENTIAL_EVENTS
from osq.file_events import FILE_EVENTS
from osq.kexec_events import KEXEC_EVENTS
from osq.loss_events import LOSS_EVENTS
from osq.module_events import MODULE_EVENTS
from osq.namespace_events import NAMESPACE_EVENTS
from osq.process_events import PROCESS_EVENTS
from osq.ptrace_events import PTRACE_EVENTS
from osq.signal_events import SIGNAL_EVENTS
from osq.socket_events import SOCKET_EVENTS

# Tables that are filled from the ring.
EVENT_TABLES: tuple[Table, ...] = (
    PROCESS_EVENTS,
    SOCKET_EVENTS,
    FILE_EVENTS,
    MODULE_EVENTS,
    CREDENTIAL_EVENTS,
    PTRACE_EVENTS,
    NAMESPACE_EVENTS,
    BPF_EVENTS,
    KEXEC_EVENTS,
    SIGNAL_EVENTS,
    LOSS_EVENTS,
)
# tests/subscriber/test_store.py ties the store's version to these tables.
TABLES: tuple[Table, ...] = (*EVENT_TABLES, STATS)
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}
