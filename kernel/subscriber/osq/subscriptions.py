# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The options of each subscription, by what the configuration wants of a type of records."""

from _libosq import lib
from osq.config import Config
from osq.socket_events import watch_actions

_PROCESSES_ONLY: dict[str, int] = {
    "fork": lib.OSQ_FORK_PROCESSES,
    "exit": lib.OSQ_EXIT_PROCESSES,
}


def options_of(config: Config, record: str) -> int:
    """Return the options with which the daemon subscribes to a type of records, as bits of osq.h.

    exec: the environment, if variables of it are configured. socket: the configured actions.
    fork, exit: only processes, if threads are switched off. Without such an option, the result is
    0.
    """
    if record == "exec":
        return int(lib.OSQ_EXEC_ENV) if config.environment_variables else 0
    if record == "socket":
        return watch_actions(config.socket_actions)
    return 0 if config.threads else _PROCESSES_ONLY.get(record, 0)
